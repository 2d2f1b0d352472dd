"""The Large Movie Review Dataset as its authors publish it: `aclImdb_v1.tar.gz`, or the folder that comes out of it.

Maas et al., "Learning Word Vectors for Sentiment Analysis", ACL 2011. A review is a file `train/pos/123_9.txt` (number
and rating); line 123 of `train/urls_pos.txt` is the page of the film that it is about.
"""

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from matinee.core.errors import MatineeError
from matinee.train.download import Download
from matinee.train.reviews import Reviews

# Size and digest as TensorFlow Datasets publishes them; the MD5 of torchtext, 7c2ac02c…, is of the same file.
ARCHIVE = Download(
    url="https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    size=84_125_825,
    sha256="c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
)
PARTS = ("train", "test", "unsup")
_SIDES = {"neg": 0, "pos": 1, "unsup": -1}
_REVIEW = re.compile(r"(?:^|/)(train|test)/(neg|pos|unsup)/(\d+)_\d+\.txt$")
_PAGES = re.compile(r"(?:^|/)(train|test)/urls_(neg|pos|unsup)\.txt$")
_FILM = re.compile(r"/title/(tt\d+)")


class NotTheDataset(MatineeError):
    """The path holds nothing that looks like the data set."""

    code = "not_the_dataset"
    exit_code = 2


def read_archive(path: Path) -> dict[str, Reviews]:
    """The parts train, test and unsup, read straight from the `.tar.gz`: nothing is unpacked.

    Raises `NotTheDataset` for anything else, and for an archive that is cut short.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            return _parts(_members(archive), path)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise NotTheDataset(f"{path} is no .tar.gz archive, or is cut short; name aclImdb_v1.tar.gz") from error


def read_folder(folder: Path) -> dict[str, Reviews]:
    """The same from an unpacked folder, the one with `train` and `test` in it."""
    names = (path for path in folder.rglob("*.txt") if path.is_file())
    return _parts(((path.relative_to(folder).as_posix(), path.read_bytes()) for path in names), folder)


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in archive:
        wanted = member.isfile() and (_REVIEW.search(member.name) or _PAGES.search(member.name))
        file = archive.extractfile(member) if wanted else None
        if file is not None:
            yield member.name, file.read()


def _parts(files: Iterable[tuple[str, bytes]], source: Path) -> dict[str, Reviews]:
    texts: dict[tuple[str, str, int], str] = {}
    films: dict[tuple[str, str], list[str]] = {}
    for name, content in files:
        if match := _REVIEW.search(name):
            texts[match[1], match[2], int(match[3])] = content.decode("utf-8")
        elif match := _PAGES.search(name):
            films[match[1], match[2]] = _FILM.findall(content.decode("utf-8"))
    if not texts:
        raise NotTheDataset(f"{source} has no reviews such as train/pos/0_9.txt; name the archive or its folder")
    return {part: _reviews(texts, films, part) for part in PARTS}


def _reviews(
    texts: Mapping[tuple[str, str, int], str], films: Mapping[tuple[str, str], list[str]], part: str
) -> Reviews:
    """One part, sorted by sentiment and number as the Parquet files are."""
    wanted = [("train", "unsup")] if part == "unsup" else [(part, "neg"), (part, "pos")]
    keys = sorted(key for key in texts if key[:2] in wanted)
    pages = {side: films.get(side, []) for side in wanted}
    groups = [pages[key[:2]][key[2]] if key[2] < len(pages[key[:2]]) else "" for key in keys]
    labels = np.array([_SIDES[key[1]] for key in keys], dtype=np.int64)
    return Reviews([texts[key] for key in keys], labels, groups)
