"""A process that gives up what it does not need, before it touches a file that somebody else made.

After `confine` there is no network, no new program, no file opened for writing but below one folder, and a bound on
memory, processor time and file size. On Linux the kernel holds the process to it (a seccomp filter); Python's own
audit hook does so everywhere, and tells what was tried.
"""

import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIB = 1024 * 1024
# Audit events of Python that a loader has no use for; `open` is looked at separately.
_REFUSED_EVENTS = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.kill", "os.remove",
    "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate", "shutil.", "ftplib.",
    "smtplib.", "urllib.", "http.client.", "webbrowser.", "pty.spawn", "ctypes.dlopen",
)  # fmt: skip
# System calls that make a connection or start a program: socket, connect, execve, execveat, ptrace (kernel headers).
_CALLS: Mapping[str, tuple[int, tuple[int, ...]]] = {
    "x86_64": (0xC000003E, (41, 42, 59, 322, 101)),
    "aarch64": (0xC00000B7, (198, 203, 221, 281, 117)),
}
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE_WITH_EPERM, _KILL = 0x7FFF0000, 0x00050001, 0x80000000


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the process may use: bytes of memory and of each file it writes, seconds of processor time."""

    memory: int = 4096 * MIB
    file: int = 4096 * MIB
    seconds: int = 120


def confine(folder: Path, bounds: Bounds = Bounds()) -> None:
    """Give up everything but reading, and writing below `folder`. There is no way back."""
    for kind, limit in (
        (resource.RLIMIT_AS, bounds.memory),
        (resource.RLIMIT_FSIZE, bounds.file),
        (resource.RLIMIT_CPU, bounds.seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (allowed, allowed))
    _refuse_system_calls()
    sys.addaudithook(_Watch(folder))


def scrubbed_environment() -> dict[str, str]:
    """The few variables that a helper process needs: no keys, no proxies, one thread for each numeric library."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "PYTHONPATH") if name in os.environ}
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**kept, **dict.fromkeys(threads, "1"), "PYTHONDONTWRITEBYTECODE": "1"}


class _Watch:
    """The audit hook: raises for what the process gave up."""

    def __init__(self, folder: Path) -> None:
        self._below = os.path.realpath(folder) + os.sep

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            self._open(*arguments)
        elif event.startswith(_REFUSED_EVENTS):
            raise PermissionError(f"a model tried {event}")

    def _open(self, path: int | str | bytes, mode: object, flags: object) -> None:
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if not writes or isinstance(path, int):
            return
        if not os.path.realpath(os.fsdecode(path)).startswith(self._below):
            raise PermissionError(f"a model tried to write a file ({mode})")


def _refuse_system_calls() -> None:
    """Install the seccomp filter where the kernel has it; containers that forbid it are left as they are."""
    if sys.platform != "linux" or platform.machine() not in _CALLS:
        return
    architecture, calls = _CALLS[platform.machine()]
    steps = [(_LOAD, 0, 0, 4), (_JUMP_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    for position, call in enumerate(calls):
        steps.append((_JUMP_EQUAL, len(calls) - position, 0, call))
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE_WITH_EPERM)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in steps))
    described = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(steps), ctypes.addressof(program)))
    kernel = ctypes.CDLL(None, use_errno=True)
    if kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        kernel.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, described, 0, 0)
