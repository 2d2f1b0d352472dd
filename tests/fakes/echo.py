"""A classifier whose answers say which text they belong to, and whose batches run when the test says so."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from matinee.core.errors import TextTooLong
from matinee.core.prediction import Answer, Capacity, Encoded, FloatArray, Overflow, Row


@dataclass(frozen=True)
class Piece:
    """A window of a text, which carries the whole text's number."""

    text: str
    start: int
    cost: int


def number(text: str) -> float:
    """What the answer to `text` begins with; exact in float32."""
    return float(crc32(text.encode()) & 0xFFFF)


class EchoClassifier:
    """Answers (number of the text, number of its windows).

    Texts with `poison` fail the batch they are in, with `nan` give no number, with `unreadable` fail to encode. A gated
    one runs a batch only after `gate.release()`; each batch that begins releases `begun`.
    """

    labels = ("number", "windows")
    window = 16  # characters, which are its tokens

    def __init__(self, capacity: Capacity | None = None, *, gated: bool = False) -> None:
        self.capacity = capacity or Capacity(batch_tokens=64)
        self.gate = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.batches: list[list[Piece]] = []
        self.encoding_threads: set[str] = set()
        self.encoded: list[str] = []
        self.closed = False
        self._gated = gated

    @property
    def ran(self) -> set[str]:
        """Every text of which a row ran."""
        return {piece.text for batch in self.batches for piece in batch}

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:
        """Cut into windows of `window` characters without overlap."""
        self.encoding_threads.add(threading.current_thread().name)
        self.encoded += texts
        return [self._encoded(text, overflow) for text in texts]

    def _encoded(self, text: str, overflow: Overflow | None) -> Encoded:
        if "unreadable" in text:
            raise ValueError("cannot be encoded")
        if overflow == "error" and len(text) > self.window:
            raise TextTooLong("text", f"has {len(text)} tokens, and the model reads {self.window} at once")
        starts = range(0, max(len(text), 1), self.window)[: 1 if overflow == "truncate" else None]
        rows = [Piece(text, start, max(1, min(self.window, len(text) - start))) for start in starts]
        answer = Answer((number(text), 0.0), ("quick",)) if self.capacity.quick and "unsure" not in text else None
        return Encoded([] if answer else rows, len(text), len(rows), truncated=overflow == "truncate", answer=answer)

    def run(self, rows: Sequence[Row]) -> FloatArray:
        """For each row the number of its text and its place in it."""
        pieces = [row for row in rows if isinstance(row, Piece)]
        self.batches.append(pieces)
        self.begun.release()
        if self._gated:
            assert self.gate.acquire(timeout=60)
        if any("poison" in piece.text for piece in pieces):
            raise ValueError("poisoned")
        outputs = np.array([[number(piece.text), piece.start // self.window] for piece in pieces], dtype=np.float32)
        outputs[["nan" in piece.text for piece in pieces]] = np.nan
        return outputs

    def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:
        """Check that the windows are all there, in order, and of one text."""
        assert outputs[:, 1].tolist() == list(range(len(encoded.rows)))
        assert len(set(outputs[:, 0].tolist())) == 1
        return Answer((float(outputs[0, 0]), float(len(outputs))))

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
