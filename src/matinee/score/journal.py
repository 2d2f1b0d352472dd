"""What a scoring run has put on disk for good, so that the same command goes on from there after a kill."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from matinee.score.readers import InvalidInput


@dataclass(frozen=True, slots=True)
class Progress:
    """Rows that are done (refused ones included), and how far the output and the side file have come.

    `texts` is a digest of the texts of these rows: input that has other ones is not the same input.
    """

    job: str
    rows: int = 0
    refused: int = 0
    position: int = 0
    rejects_bytes: int = 0
    texts: str = ""


class Journal:
    """A small JSON file beside the output, replaced whole after every chunk."""

    def __init__(self, target: Path, job: str) -> None:
        self._path = target.with_name(target.name + ".progress")
        self.progress = Progress(job)

    def load(self) -> Progress:
        """What an earlier run left, or a fresh start; raises `InvalidInput` if it was a different job."""
        if self._path.exists():
            found = self._read()
            if found.job != self.progress.job:
                raise InvalidInput(
                    f"{self._path.name} belongs to a run with another input, model or option: finish that one first, "
                    "or start over with --restart"
                )
            self.progress = found
        return self.progress

    def _read(self) -> Progress:
        try:
            return Progress(**json.loads(self._path.read_bytes()))
        except (ValueError, TypeError):
            raise changed(self._path) from None

    def commit(self, progress: Progress) -> None:
        """Record that everything up to here is on disk; atomic."""
        self.progress = progress
        unfinished = self._path.with_name(self._path.name + ".writing")
        with unfinished.open("w") as stream:
            json.dump(asdict(self.progress), stream)
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(self._path)

    def remove(self) -> None:
        """The run is over."""
        self._path.unlink(missing_ok=True)


def changed(path: Path) -> InvalidInput:
    """Somebody removed or changed what an interrupted run goes on from."""
    return InvalidInput(f"{path.name} is not as an interrupted run leaves it; start over with --restart")


def cut_back(path: Path, size: int) -> None:
    """Forget what a file holds beyond `size` bytes; a missing one starts empty.

    Raises `InvalidInput` where it is shorter than that: made longer, it would have zeros where rows were.
    """
    path.touch()
    if path.stat().st_size < size:
        raise changed(path)
    os.truncate(path, size)
