"""Reviews with labels and films: read in whatever form they come, then split by film.

Two rules keep the figures honest: films are the unit of every split (reviews of one film resemble each other), and a
text that the test split has, in any spelling, never trains.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from matinee.core.errors import MissingExtra
from matinee.train.imdb import ARCHIVE, PARTS, NotTheDataset, read_archive, read_folder
from matinee.train.reviews import Dataset, Reviews

LABELS = ("negative", "positive")
DOWNLOAD = "imdb"  # instead of a path: download the archive
_SENTIMENTS = {"neg": 0, "pos": 1}


@dataclass(frozen=True)
class Split:
    """What a recipe works with: films to fit on, films to choose and calibrate on, texts without labels."""

    fit: Reviews
    heldout: Reviews
    unlabelled: Reviews


def read_dataset(source: str, cache: Path) -> Dataset:
    """Read the word `imdb` (downloaded into ``cache``), the archive, its folder, or a folder of Parquet files.

    The Parquet files are `train`, `test` and `unsup`, with the columns `text`, `sentiment` (`neg`, `pos`) and `movie`.
    Raises `NotTheDataset` if there is nothing of the kind, `MissingExtra` if Parquet cannot be read here.
    """
    path = ARCHIVE.fetch(cache / "aclImdb_v1.tar.gz") if source == DOWNLOAD else Path(source).expanduser()
    if path.is_file():
        parts = read_archive(path)
    elif (path / "train.parquet").is_file():
        parts = {part: _read_parquet(path / f"{part}.parquet") for part in PARTS}
    elif path.is_dir():
        parts = read_folder(path)
    else:
        raise NotTheDataset(f"{source} does not exist; name the archive, a folder, or imdb to download it")
    return Dataset(parts["train"], parts["test"], parts["unsup"], LABELS, digest(*parts.values()))


def split(dataset: Dataset, *, fraction: float = 0.1, seed: int = 0) -> Split:
    """Hold out about ``fraction`` of the training films; drop from training whatever the other sides have.

    A film's side depends on its id and the seed alone, so that every recipe sees the same split.
    """
    train, test_films = dataset.train, set(dataset.test.groups) - {""}
    seen = {normalize(text) for text in dataset.test.texts}
    is_heldout = [
        _position(seed, film or text) < fraction for film, text in zip(train.groups, train.texts, strict=True)
    ]

    def side(*, heldout: bool) -> Reviews:
        wanted = [i for i, film in enumerate(train.groups) if is_heldout[i] is heldout and film not in test_films]
        return train.take(_unseen(train, wanted, seen))

    heldout, fit = side(heldout=True), side(heldout=False)
    rest = dataset.unlabelled
    return Split(fit, heldout, rest.take(_unseen(rest, list(range(len(rest))), seen)))


def normalize(text: str) -> str:
    """Letters and digits only, in lower case: texts that differ in markup, spacing or punctuation become equal."""
    return re.sub(r"[\W_]+", "", text.replace("<br />", " ").lower())


def digest(*parts: Reviews) -> str:
    """A SHA-256 over labels and texts of every part, independent of order and file format."""
    total = hashlib.sha256()
    for part in parts:
        rows = zip(part.labels.tolist(), part.texts, strict=True)
        hashes = sorted(hashlib.sha256(f"{label}\0{text}".encode()).digest() for label, text in rows)
        total.update(hashlib.sha256(b"".join(hashes)).digest())
    return f"sha256:{total.hexdigest()}"


def _unseen(reviews: Reviews, rows: list[int], seen: set[str]) -> list[int]:
    """Those of ``rows`` whose text was not seen before; it is from now on."""
    kept = []
    for row in rows:
        key = normalize(reviews.texts[row])
        if key not in seen:
            seen.add(key)
            kept.append(row)
    return kept


def _position(seed: int, film: str) -> float:
    """A place in [0, 1) that depends on the seed and the film alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{film}".encode()).digest()[:8], "big") / 2**64


def _read_parquet(path: Path) -> Reviews:
    try:
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("reading Parquet", "train") from None
    try:
        columns = parquet.read_table(path).to_pydict()
        texts: list[str] = columns["text"]
    except (OSError, ValueError, LookupError) as error:  # pyarrow's own errors derive from ValueError
        raise NotTheDataset(f"{path} is not there, is not Parquet, or has no column text") from error
    nothing = [""] * len(texts)
    labels = np.array([_SENTIMENTS.get(name, -1) for name in columns.get("sentiment", nothing)], dtype=np.int64)
    return Reviews(texts, labels, columns.get("movie", nothing))
