"""The one OpenVINO core of this process."""

import os
from functools import cache
from typing import Any

import openvino

# Kernels that oneDNN, beneath OpenVINO, keeps for the process: 1,024 if not told otherwise. They outlive the graph they
# were made for and lie scattered over the heap, which grew with every version until there were so many. With none at
# all, what each graph keeps for itself (`_SHAPES` in `openvino`) is too little: a review takes 4 % more time.
_KERNELS_OF_THE_PROCESS = "256"


@cache
def openvino_core() -> Any:
    """Made once and never destroyed, with the CPU plugin in it.

    Each core's CPU plugin gives the thread that loads it a signal stack of its own, and at its end puts back the one
    it found. With two cores that overlap, what is put back is gone already (seen with 2026.4), and the next signal in
    that thread, a SIGTERM for instance, ends the process with a segmentation fault.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _KERNELS_OF_THE_PROCESS)  # read at the first kernel
    return openvino.Core()
