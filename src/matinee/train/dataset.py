"""Reviews with labels and films, from Parquet files with the columns of the Large Movie Review Dataset.

Two rules keep the figures honest: films are the unit of every split (reviews of one film resemble each other), and a
text that the test split has, in any spelling, never trains.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LABELS = ("negative", "positive")
_SENTIMENTS = {"neg": 0, "pos": 1}


@dataclass(frozen=True)
class Reviews:
    """Texts with a label index each (-1: none) and the group (film) that each is about."""

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
    """The three parts of the corpus, and a digest of what was in them: `sha256:…`, independent of file format."""

    train: Reviews
    test: Reviews
    unlabelled: Reviews
    labels: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class Split:
    """What a recipe works with: films to fit on, films to choose and calibrate on, texts without labels."""

    fit: Reviews
    heldout: Reviews
    unlabelled: Reviews


def read_dataset(folder: Path) -> Dataset:
    """Read ``train.parquet``, ``test.parquet`` and ``unsup.parquet`` from a folder."""
    train, test, unlabelled = (_read_parquet(folder / f"{name}.parquet") for name in ("train", "test", "unsup"))
    return Dataset(train, test, unlabelled, LABELS, _digest(train, test, unlabelled))


def split(dataset: Dataset, *, fraction: float = 0.1, seed: int = 0) -> Split:
    """Hold out about ``fraction`` of the training films; drop from training whatever the other sides have.

    A film's side depends on its id and the seed alone, so that every recipe sees the same split.
    """
    test_films, seen = set(dataset.test.groups), {normalize(text) for text in dataset.test.texts}
    heldout: list[int] = []
    fit: list[int] = []
    train = dataset.train
    is_heldout = [_position(seed, film) < fraction for film in train.groups]
    for rows, side in ((heldout, True), (fit, False)):
        for row, text in enumerate(train.texts):
            key = normalize(text)
            if is_heldout[row] is side and key not in seen and train.groups[row] not in test_films:
                seen.add(key)
                rows.append(row)
    unlabelled: list[int] = []
    for row, text in enumerate(dataset.unlabelled.texts):
        key = normalize(text)
        if key not in seen:
            seen.add(key)
            unlabelled.append(row)
    return Split(train.take(fit), train.take(heldout), dataset.unlabelled.take(unlabelled))


def normalize(text: str) -> str:
    """Letters and digits only, in lower case: texts that differ in markup, spacing or punctuation become equal."""
    return re.sub(r"[\W_]+", "", text.replace("<br />", " ").lower())


def _position(seed: int, film: str) -> float:
    """A place in [0, 1) that depends on the seed and the film alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{film}".encode()).digest()[:8], "big") / 2**64


def _read_parquet(path: Path) -> Reviews:
    from pyarrow import parquet

    columns = parquet.read_table(path).to_pydict()
    texts: list[str] = columns["text"]
    nothing = [""] * len(texts)
    labels = np.array([_SENTIMENTS.get(name, -1) for name in columns.get("sentiment", nothing)], dtype=np.int64)
    return Reviews(texts, labels, columns.get("movie", nothing))


def _digest(*parts: Reviews) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(_rows_digest(part.texts, part.labels.tolist()))
    return f"sha256:{total.hexdigest()}"


def _rows_digest(texts: Sequence[str], labels: Sequence[int]) -> bytes:
    rows = sorted(hashlib.sha256(f"{label}\0{text}".encode()).digest() for text, label in zip(texts, labels, strict=True))
    return hashlib.sha256(b"".join(rows)).digest()
