"""Locks between processes that cannot go stale: the kernel drops a `flock` when its process ends, however it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOK_AGAIN_SECONDS = 0.05


class Lock:
    """One hold on one lock file; two holds in the same process exclude each other as well."""

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.path = path
        self._mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if nobody is in the way."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, self._mode | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == self.path.stat().st_ino:
                self._descriptor = descriptor
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)  # somebody else has it, or the file was removed by its last holder in between
        return False

    def acquire(self, seconds: float) -> None:
        """Wait for the lock; raises `TimeoutError`."""
        deadline = time.monotonic() + seconds
        while not self.try_acquire():
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{self.path.name} is held by another process")
            time.sleep(_LOOK_AGAIN_SECONDS)

    def release(self, *, remove: bool = False) -> None:
        """Give the lock back; with `remove` its file goes too (only an exclusive holder may)."""
        if self._descriptor is not None:
            if remove:
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def exclusive(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock for the length of a block, and leave no file of it behind; raises `TimeoutError`."""
    lock = Lock(path)
    lock.acquire(seconds)
    try:
        yield
    finally:
        lock.release(remove=True)
