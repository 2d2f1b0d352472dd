"""`OUT.rejects.jsonl`: the rows without an answer, and whose turn it is to write `OUT`."""

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path

from matinee.score.journal import cut_back
from matinee.score.readers import InvalidInput
from matinee.score.rows import Reject


class Rejects:
    """The side file of one run, locked from its beginning to its end: two runs would write into one another's output.

    The kernel drops the lock with the process, however that ends.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".rejects.jsonl")
        self._target = target
        self._descriptor = -1

    def open(self) -> None:
        """Take the lock; raises `InvalidInput` when another run has it."""
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise InvalidInput(f"OUT: another run is writing {self._target}: wait for it, or name another") from None
        except OSError:  # a file system that has no locks: whoever uses it sees to this himself
            return

    def resume(self, size: int) -> None:
        """Forget what was written beyond `size` bytes; raises `InvalidInput` where some of it is gone."""
        cut_back(self.path, size)

    def append(self, refused: Sequence[Reject]) -> int:
        """Force their numbers and reasons to disk; returns the size in bytes."""
        lines = "".join(json.dumps({"row": item.number, "reason": item.reason}) + "\n" for item in refused)
        with os.fdopen(self._descriptor, "a", closefd=False) as stream:
            stream.write(lines)
            stream.flush()
            os.fsync(stream.fileno())
            return os.fstat(self._descriptor).st_size

    def remove(self) -> None:
        """There was nothing to refuse."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give the lock back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
