"""End a process together with everything that it started."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from matinee.core.residence import resident


def end(pid: int) -> None:
    """Kill `pid`, its process group and its descendants.

    The group alone is not enough: wandb starts its service in a session of its own, and that one outlives its
    parent while it tries to deliver something. Without `/proc` (macOS) such a helper ends when it notices.
    """
    for descendant in _descendants(pid):
        with suppress(ProcessLookupError):
            os.kill(descendant, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # last, since it may be our own


def held(pid: int) -> int:
    """Bytes of memory that `pid` and its descendants hold."""
    return sum(map(resident, [pid, *_descendants(pid)]))


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # ended meanwhile
            parent = int(path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found
