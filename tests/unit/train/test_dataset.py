"""Where reviews come from and how they are split."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.unit.train.corpus import dataset

from matinee.train.dataset import normalize, read_dataset, split
from matinee.train.imdb import NotTheDataset
from matinee.train.reviews import Dataset, Reviews

REVIEWS = {
    "train/neg/0_2.txt": "Dull.<br /><br />Très dull.",
    "train/neg/10_1.txt": "Awful",
    "train/neg/2_1.txt": "Tedious",
    "train/pos/0_9.txt": "Lovely",
    "train/unsup/0_0.txt": "Who knows?",
    "test/neg/0_3.txt": "Wooden",
    "test/pos/0_10.txt": "Superb",
}
PAGES = {
    "train/urls_neg.txt": "\n".join(f"http://www.imdb.com/title/tt{i:07d}/usercomments" for i in range(11)),
    "train/urls_pos.txt": "http://www.imdb.com/title/tt0000099/usercomments\n",
    "test/urls_neg.txt": "http://www.imdb.com/title/tt0000100/usercomments\n",
    "test/urls_pos.txt": "http://www.imdb.com/title/tt0000101/usercomments\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The unpacked archive, in small."""
    for name, content in (REVIEWS | PAGES | {"README": "about", "train/labeledBow.feat": "9 0:1"}).items():
        path = tmp_path / "aclImdb" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return tmp_path / "aclImdb"


def pack(folder: Path, target: Path) -> Path:
    """The archive of a folder, as `.tar.gz`."""
    with tarfile.open(target, "w:gz") as archive:
        archive.add(folder, "aclImdb")
    return target


def to_parquet(data: Dataset, folder: Path) -> None:
    """The same reviews as Parquet files."""
    folder.mkdir()
    for name, part in (("train", data.train), ("test", data.test), ("unsup", data.unlabelled)):
        columns: dict[str, list[str]] = {"text": part.texts}
        if name != "unsup":
            columns |= {"sentiment": [("neg", "pos")[i] for i in part.labels], "movie": part.groups}
        parquet.write_table(pa.table(columns), folder / f"{name}.parquet")


def test_folder_archive_and_parquet_are_the_same_data(folder: Path, tmp_path: Path) -> None:
    """Whatever the form, texts, labels, films and digest are equal."""
    unpacked = read_dataset(str(folder), tmp_path)
    archive = read_dataset(str(pack(folder, tmp_path / "aclImdb_v1.tar.gz")), tmp_path)
    to_parquet(unpacked, tmp_path / "tables")
    tables = read_dataset(str(tmp_path / "tables"), tmp_path)
    assert unpacked.train.texts == ["Dull.<br /><br />Très dull.", "Tedious", "Awful", "Lovely"]
    assert unpacked.train.labels.tolist() == [0, 0, 0, 1]
    assert unpacked.train.groups == ["tt0000000", "tt0000002", "tt0000010", "tt0000099"]
    for other in (archive, tables):
        assert other.digest == unpacked.digest
        assert other.train.texts == unpacked.train.texts
        assert other.test.groups == ["tt0000100", "tt0000101"]
        assert other.unlabelled.labels.tolist() == [-1]


def test_digest_notices_a_changed_label(folder: Path, tmp_path: Path) -> None:
    """The digest is over labels too, not only over texts."""
    before = read_dataset(str(folder), tmp_path).digest
    (folder / "train/neg/10_1.txt").rename(folder / "train/pos/10_8.txt")
    assert read_dataset(str(folder), tmp_path).digest != before


@pytest.mark.parametrize("source", ["nowhere", "."])
def test_what_is_no_data_set_is_refused_in_one_sentence(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that does not exist and a folder with something else in it both say what would be right."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotTheDataset, match=r"imdb to download it|train/pos/0_9\.txt"):
        read_dataset(source, tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.5, 2.0])
def test_a_file_that_is_no_archive_or_part_of_one_is_refused(folder: Path, tmp_path: Path, share: float) -> None:
    """A download that broke off, or another file: a traceback of tarfile's."""
    whole = pack(folder, tmp_path / "whole.tar.gz").read_bytes()
    (tmp_path / "data").write_bytes(b"text,label\nfine,1\n" if share > 1 else whole[: int(share * len(whole))])
    with pytest.raises(NotTheDataset, match=r"data is no \.tar\.gz archive"):
        read_dataset(str(tmp_path / "data"), tmp_path)


def test_a_table_without_texts_is_refused(folder: Path, tmp_path: Path) -> None:
    """So is one that is missing or is no table: the file is named."""
    to_parquet(read_dataset(str(folder), tmp_path), tmp_path / "tables")
    broken = tmp_path / "tables" / "test.parquet"
    parquet.write_table(pa.table({"review": ["fine"]}), broken)
    with pytest.raises(NotTheDataset, match=r"test\.parquet.*column text"):
        read_dataset(str(tmp_path / "tables"), tmp_path)
    broken.write_text("text\nfine\n")
    with pytest.raises(NotTheDataset, match=r"test\.parquet.*not Parquet"):
        read_dataset(str(tmp_path / "tables"), tmp_path)
    broken.unlink()
    with pytest.raises(NotTheDataset, match=r"test\.parquet is not there"):
        read_dataset(str(tmp_path / "tables"), tmp_path)


def test_no_film_is_on_both_sides() -> None:
    """Films are the unit of the split, and the seed decides which."""
    parts = split(dataset(), fraction=0.3)
    assert not set(parts.fit.groups) & set(parts.heldout.groups)
    assert len(parts.fit) > len(parts.heldout) > 0
    assert set(split(dataset(), fraction=0.3).heldout.groups) == set(parts.heldout.groups)
    assert set(split(dataset(), fraction=0.3, seed=1).heldout.groups) != set(parts.heldout.groups)


def test_what_the_test_side_has_never_trains() -> None:
    """Repeats in another spelling, films of the test side and repeats inside the training side are dropped."""
    data = dataset(20)
    copied = data.test.texts[0].upper().replace(" ", "<br />")
    train = Reviews(
        [copied, "Fresh and new.", "fresh, AND new!", "About a test film", "Only here"],
        np.array([0, 1, 1, 0, 1]),
        ["a", "b", "b", data.test.groups[0], "c"],
    )
    unlabelled = Reviews(["Only here...", copied, "Unheard of"], np.full(3, -1), ["", "", ""])
    parts = split(Dataset(train, data.test, unlabelled, data.labels, ""), fraction=0.0)
    assert parts.fit.texts == ["Fresh and new.", "Only here"]
    assert parts.unlabelled.texts == ["Unheard of"]


def test_normalize_ignores_markup_case_and_punctuation() -> None:
    """Only letters and digits count."""
    assert normalize("It's<br />GOOD -- 10/10!") == normalize("its good 10 10") == "itsgood1010"


def test_reading_an_archive_unpacks_nothing(folder: Path, tmp_path: Path) -> None:
    """Members are read in memory: a name that climbs out of the folder has nowhere to go."""
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("../../train/pos/1_9.txt", "aclImdb/test/pos/0_9.txt"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"Good"))
    before = sorted(tmp_path.rglob("*"))
    assert read_dataset(str(path), tmp_path).train.texts == ["Good"]
    assert sorted(tmp_path.rglob("*")) == before
