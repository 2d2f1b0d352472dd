"""The one OpenVINO core of this process."""

from functools import cache
from typing import Any

import openvino


@cache
def openvino_core() -> Any:
    """Made once and never destroyed, with the CPU plugin in it.

    Each core's CPU plugin gives the thread that loads it a signal stack of its own, and at its end puts back the one
    it found. With two cores that overlap, what is put back is gone already (seen with 2026.4), and the next signal in
    that thread, a SIGTERM for instance, ends the process with a segmentation fault.
    """
    return openvino.Core()
