

nodeReadFile