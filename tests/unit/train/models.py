"""Opened models for tests: the fakes' obedient classifier, or any other, under a reference."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from tests.unit.train.corpus import BAD, GOOD

from matinee.core.prediction import Answer, Capacity, Encoded, FloatArray, ModelIdentity, Overflow, Row


@dataclass(frozen=True)
class Window:
    """A row: how many good words and bad words it has, and its length."""

    good: int
    bad: int
    cost: int


@dataclass
class Counter:
    """Says positive when there are more good words than bad ones, as sure as `strength` says.

    Rows are windows of `size` words; with `quick` it answers while it encodes. `blind` words are not seen.
    """

    strength: float = 1.0
    quick: bool = False
    size: int = 16
    blind: frozenset[str] = frozenset()
    batches: list[list[int]] = field(default_factory=list)
    labels: tuple[str, ...] = ("negative", "positive")
    closed: bool = False

    @property
    def capacity(self) -> Capacity:
        """Small batches, so that there are several."""
        return Capacity(batch_tokens=64, quick=self.quick)

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:
        """Cut into windows of words."""
        return [self._encode(text) for text in texts]

    def run(self, rows: Sequence[Row]) -> FloatArray:
        """Logits from the counts."""
        windows = [row for row in rows if isinstance(row, Window)]
        self.batches.append([row.cost for row in windows])
        logits = [[self.strength * row.bad, self.strength * row.good] for row in windows]
        return np.array(logits, dtype=np.float32)

    def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:
        """Softmax of the sum."""
        total = outputs.sum(axis=0)
        scores = np.exp(total - total.max())
        return Answer(tuple((scores / scores.sum()).tolist()))

    def close(self) -> None:
        """Remember it."""
        self.closed = True

    def _encode(self, text: str) -> Encoded:
        words = [word for word in text.split() if word not in self.blind]
        parts = [words[i : i + self.size] for i in range(0, max(1, len(words)), self.size)]
        rows = [
            Window(sum(word in GOOD for word in part), sum(word in BAD for word in part), max(1, len(part)))
            for part in parts
        ]
        encoded = Encoded(rows, len(words), len(rows), truncated=False)
        if not self.quick:
            return encoded
        return Encoded((), len(words), 1, truncated=False, answer=self.finish(encoded, self.run(rows)))


@dataclass(frozen=True)
class Model:
    """What the recipes need of an opened model: the classifier, and what it is called."""

    classifier: Counter
    identity: ModelIdentity


def opened(classifier: Counter, source: str = "bundled:counter") -> Model:
    """Open a fake under a reference."""
    return Model(classifier, ModelIdentity("default", "1", f"sha256:{len(source):064x}", source))
