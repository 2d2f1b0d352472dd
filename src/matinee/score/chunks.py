"""Rows a chunk at a time, and a digest by which a continued run knows that it reads what it read before."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from matinee.score.journal import Progress
from matinee.score.readers import InvalidInput
from matinee.score.rows import Reject, Row

CHUNK_ROWS = 512


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, in order (none: the input has ended), and a digest of all texts up to and with theirs."""

    rows: list[Row | Reject]
    texts: str


class Chunks:
    """The rows of one input, in chunks of `CHUNK_ROWS`."""

    def __init__(self, rows: Iterator[Row | Reject]) -> None:
        self._rows = rows
        self._texts = hashlib.sha256()

    def take(self, most: int = CHUNK_ROWS) -> Chunk:
        """The next rows, `most` of them where there are as many."""
        rows = list(islice(self._rows, most))
        for row in rows:
            self._texts.update((row.text if isinstance(row, Row) else row.reason).encode() + b"\0")
        return Chunk(rows, self._texts.hexdigest())

    def skip(self, done: Progress) -> None:
        """Pass by what is done; raises `InvalidInput` when the input has other texts there by now."""
        left, texts = done.rows, ""
        while left:
            chunk = self.take(min(left, CHUNK_ROWS))
            if not chunk.rows:
                break
            left, texts = left - len(chunk.rows), chunk.texts
        if texts != done.texts:
            raise InvalidInput("IN: the input has changed since the run that is to go on; start over with --restart")
