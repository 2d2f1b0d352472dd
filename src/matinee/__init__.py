"""matinee serves a text classifier straight from a model registry, and keeps answering with the current version.

A model travels **sources → verify → flavors → rollout**; a request travels **api → engine → classifier** and back;
**monitor** listens to both. The folders are the words of that sentence:

* `core`     the nouns that every stage shares
* `sources`  where a model comes from
* `verify`   may we load it?
* `flavors`  from files to a classifier
* `rollout`  which version answers
* `engine`   from many requests to few batches
* `api`      HTTP in, JSON out
* `monitor`  what happened
* `score`    bulk scoring of files
* `train`    data set to bundle
* `ui`       the page
* `cli`      the commands
* `app`      the one place where concrete things are wired together
"""

import sys

__version__ = "0.1.0"

# OpenVINO tells Google Analytics of each graph, from a fork of the process, and leaves files in the home folder. Where
# the package for that is absent it does without: here, since each process of ours imports this before OpenVINO.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # none means: cannot be imported
