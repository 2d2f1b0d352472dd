"""What can this machine's processor do, and how much of it is ours?"""

import hashlib
import math
import os
import platform
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_CGROUP = Path("/sys/fs/cgroup")


@cache
def features() -> frozenset[str]:
    """The CPU's flags as Linux names them (`avx512_vnni`, `amx_bf16`); empty elsewhere."""
    return frozenset(_field("flags").split() or _field("Features").split())


@cache
def fingerprint() -> str:
    """Names this kind of CPU and what we may use of it: what is compiled or measured here is right only there."""
    parts = (platform.machine(), _field("model name"), " ".join(sorted(features())), str(available()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def available() -> int:
    """CPUs that we may use: by affinity, and by the container's quota, which the runtimes do not look at."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(mine, _quota())))


def _quota() -> float:
    """CPUs that the control group allows; infinite without a limit."""
    try:
        if (_CGROUP / "cpu.max").exists():
            quota, period = (_CGROUP / "cpu.max").read_text().split()
        else:
            quota, period = ((_CGROUP / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError):
        return math.inf


@cache
def _field(name: str) -> str:
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.split(":")[0].strip() == name), "")
