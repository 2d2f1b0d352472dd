"""Models that ship with the package are used where they are."""

from pathlib import Path

import pytest

from matinee.core.digest import content_digest, file_sha256
from matinee.core.errors import InvalidReference, RevisionNotFound
from matinee.core.manifest import FileEntry, Manifest
from matinee.core.reference import ModelRef
from matinee.sources import SourceOptions
from matinee.sources.bundled import BundledSource


@pytest.fixture
def source(tmp_path: Path) -> BundledSource:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"model")
    files = {"model.bin": FileEntry(5, file_sha256(folder / "model.bin"))}
    manifest = Manifest(name="films", flavor="linear", labels=("a", "b"), version="7", files=files)
    (folder / "matinee.json").write_text(manifest.to_json(), encoding="utf-8")
    return BundledSource(SourceOptions(), tmp_path)


def test_the_digest_is_that_of_all_files(tmp_path: Path, source: BundledSource) -> None:
    """Though it is made from the manifest's digests, it is what hashing everything would give."""
    revision = source.resolve(ModelRef.parse("bundled:films"))
    folder = source.locate(revision)
    assert revision.digest == content_digest({path.name: file_sha256(path) for path in folder.iterdir()})
    assert (revision.version, revision.pinned, source.names()) == ("7", True, ["films"])


def test_a_name_cannot_lead_out_of_the_package(source: BundledSource) -> None:
    """Only plain names are names."""
    for name in ("../films", "/etc", "a/b", "."):
        with pytest.raises(InvalidReference):
            source.resolve(ModelRef.parse(f"bundled:{name}"))


def test_an_unknown_name_is_told_with_the_known_ones(source: BundledSource) -> None:
    """So that a typing error is seen at once."""
    with pytest.raises(RevisionNotFound, match="films"):
        source.resolve(ModelRef.parse("bundled:film"))


def test_a_copy_is_complete(tmp_path: Path, source: BundledSource) -> None:
    """For `matinee pull --to`."""
    (tmp_path / "copy").mkdir()
    source.pull(source.resolve(ModelRef.parse("bundled:films")), tmp_path / "copy")
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["matinee.json", "model.bin"]
