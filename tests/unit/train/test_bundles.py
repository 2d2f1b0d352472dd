"""A bundle takes the place of an older one, and of nothing else."""

from pathlib import Path

import pytest

from matinee.core.errors import InvalidSettings
from matinee.core.manifest import Manifest
from matinee.train.bundles import check_out, read_manifest, write_bundle


def write(folder: Path, version: str) -> None:
    manifest = Manifest(name="tiny", version=version, flavor="linear", labels=("no", "yes"))
    write_bundle(folder, manifest, lambda _: "# tiny", lambda made: (made / "weights.bin").touch())


def test_an_older_bundle_is_replaced(tmp_path: Path) -> None:
    """And so is an empty folder, as mkdir leaves it."""
    (tmp_path / "made").mkdir()
    for version in ("1", "2"):
        write(tmp_path / "made", version)
    assert read_manifest(tmp_path / "made").version == "2"
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["card.md", "matinee.json", "weights.bin"]


def test_a_folder_with_anything_else_in_it_is_left_alone(tmp_path: Path) -> None:
    """It was moved aside and removed, with all that was in it."""
    write(tmp_path / "made", "1")
    for folder in (tmp_path, tmp_path / "made"):
        (folder / "thesis.tex").write_text("years of work")
        with pytest.raises(InvalidSettings, match=r"--out: .* holds .*, which would be lost"):
            write(folder, "2")
        assert (folder / "thesis.tex").read_text() == "years of work"
    assert read_manifest(tmp_path / "made").version == "1"


def test_a_file_and_a_folder_without_a_name_are_refused(tmp_path: Path) -> None:
    """Before training, not by an error of the system after it."""
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", Path(), tmp_path / ".."):
        with pytest.raises(InvalidSettings, match="name a new folder"):
            check_out(out)
