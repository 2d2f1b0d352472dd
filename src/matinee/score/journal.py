"""What a scoring run has put on disk for good, so that the same command goes on from there after a kill."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from matinee.score.readers import InvalidInput


@dataclass(frozen=True, slots=True)
class Progress:
    """Rows that are done (refused ones included), and how far the output and the side file have come."""

    job: str
    rows: int = 0
    refused: int = 0
    position: int = 0
    rejects_bytes: int = 0


class Journal:
    """A small JSON file beside the output, replaced whole after every chunk."""

    def __init__(self, target: Path, job: str) -> None:
        self._path = target.with_name(target.name + ".progress")
        self.progress = Progress(job)

    def load(self) -> Progress:
        """What an earlier run left, or a fresh start; raises `InvalidInput` if it was a different job."""
        if self._path.exists():
            found = Progress(**json.loads(self._path.read_text()))
            if found.job != self.progress.job:
                raise InvalidInput(
                    f"{self._path.name} belongs to a run with another input, model or option: finish that one first, "
                    "or start over with --restart"
                )
            self.progress = found
        return self.progress

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
