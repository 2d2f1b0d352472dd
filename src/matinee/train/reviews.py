"""The nouns of a data set: reviews, and the corpus with its three parts."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Reviews:
    """Texts with a label index each (-1: none) and the group (film) that each is about ("": not known)."""

    texts: list[str]
    labels: NDArray[np.int64]
    groups: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Iterable[int]) -> "Reviews":
        """The given rows, in the given order."""
        index = np.fromiter(rows, dtype=np.int64)
        return Reviews([self.texts[i] for i in index], self.labels[index], [self.groups[i] for i in index])


@dataclass(frozen=True)
class Dataset:
    """The three parts of a corpus, and a digest of what is in them: `sha256:…`, whatever form they came in."""

    train: Reviews
    test: Reviews
    unlabelled: Reviews
    labels: tuple[str, ...]
    digest: str
