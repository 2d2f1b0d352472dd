

nodeEagerPyFunc