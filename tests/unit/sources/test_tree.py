"""Names that come from elsewhere stay inside the folder; what lies in a folder is plain files."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.core.errors import CorruptBundle
from matinee.sources.tree import safe_names, size_of, walk, wipe

HOSTILE = [
    "../x", "/x", "a/../../x", "a/../b", "..", ".", "", "a//b", "a/./b", "a/", "C:\\x", "C:/x", "a\\b", "\\\\host\\x",
    "a\0b", "a\nb", "x:stream", "n" * 256, "/".join(["d" * 200] * 6), "a\u202eb",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_leaves_the_folder_is_refused(name: str) -> None:
    """Whatever the trick, the name is refused, and the error shows it."""
    with pytest.raises(CorruptBundle):
        safe_names([name])


@pytest.mark.parametrize("pair", [("Model.onnx", "model.onnx"), ("caf\u00e9.txt", "cafe\u0301.txt")])
def test_two_names_for_one_file_are_refused(pair: tuple[str, str]) -> None:
    """Names that some file systems take for one would overwrite each other."""
    with pytest.raises(CorruptBundle):
        safe_names(pair)


@given(st.text(max_size=40))
def test_a_name_that_passes_is_below_the_folder(name: str) -> None:
    """Joined and resolved, an accepted name is always inside."""
    try:
        safe_names([name])
    except CorruptBundle:
        return
    root = Path("/bundle")
    assert Path(os.path.normpath(root / name)).is_relative_to(root)
    assert Path(os.path.normpath(root / name)) != root


def test_links_and_pipes_are_no_files_of_a_bundle(tmp_path: Path) -> None:
    """A link could lead out of the folder after it was checked, a pipe has no content."""
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(CorruptBundle, match="link"):
        walk(tmp_path, 10, 10_000)
    (tmp_path / "link").unlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CorruptBundle, match="pipe"):
        walk(tmp_path, 10, 10_000)


def test_a_folder_beyond_the_limits_is_refused(tmp_path: Path) -> None:
    """Both the number of files and their bytes have a bound."""
    for number in range(3):
        (tmp_path / f"{number}.bin").write_bytes(b"12345")
    assert list(walk(tmp_path, 3, 15)) == ["0.bin", "1.bin", "2.bin"]
    for limits in ((2, 15), (3, 14)):
        with pytest.raises(CorruptBundle, match="more than"):
            walk(tmp_path, *limits)


def test_wiping_keeps_only_the_folder(tmp_path: Path) -> None:
    """Files, folders and links go; what a link leads to stays."""
    (tmp_path / "outside").mkdir()
    inside = tmp_path / "inside"
    (inside / "folder").mkdir(parents=True)
    (inside / "folder" / "file").write_bytes(b"123")
    (inside / "link").symlink_to(tmp_path / "outside")
    assert size_of(inside / "folder") == 3
    wipe(inside)
    assert list(inside.iterdir()) == []
    assert (tmp_path / "outside").is_dir()
