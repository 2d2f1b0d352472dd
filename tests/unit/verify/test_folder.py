"""What may lie in the folder of a bundle."""

import os
from pathlib import Path

import pytest
from tests.fakes.bundles import bundle_of, copied

from matinee.verify import Policy, check


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An ordinary bundle."""
    return copied("benign/logistic", tmp_path)


def reasons(folder: Path, policy: Policy = Policy()) -> str:  # noqa: B008 - frozen
    """All reasons in one text."""
    return "; ".join(check(bundle_of(folder), policy).reasons)


def test_links_are_refused_and_not_followed(folder: Path) -> None:
    """A symbolic link may lead anywhere."""
    (folder / "more.bin").symlink_to("/etc/passwd")
    assert "more.bin: is a symbolic link" in reasons(folder)


def test_a_linked_folder_is_refused(folder: Path) -> None:
    """Also when it is the folder that is linked."""
    (folder / "inner").symlink_to("/etc")
    assert "inner: is a symbolic link" in reasons(folder)


def test_devices_and_pipes_are_refused(folder: Path) -> None:
    """Opening a named pipe would wait for ever."""
    os.mkfifo(folder / "pipe.pkl")
    assert "pipe.pkl: is not a regular file" in reasons(folder)


@pytest.mark.parametrize("name", ["new\nline.pkl", "back\\slash.pkl", "bell\a.txt"])
def test_names_that_mislead_are_refused(folder: Path, name: str) -> None:
    """Names with control characters or backslashes."""
    (folder / name).write_bytes(b"x")
    assert "control characters or backslashes" in reasons(folder)


def test_names_that_differ_in_case_only_are_refused(folder: Path) -> None:
    """On another file system one would replace the other."""
    (folder / "Model.Joblib").write_bytes(b"x")
    assert "in case or accents only" in reasons(folder)


def test_too_many_files_are_refused(folder: Path) -> None:
    """The listing stops at the limit."""
    for number in range(6):
        (folder / f"{number}.txt").write_bytes(b"")
    assert "more than 5 files" in reasons(folder, Policy(max_files=5))


def test_too_large_a_bundle_is_refused(folder: Path) -> None:
    """By what the files say they take, before one is read."""
    with (folder / "sparse.bin").open("wb") as file:
        file.truncate(1 << 40)
    assert "GiB large" in reasons(folder)


def test_a_deep_nest_of_folders_is_refused(folder: Path) -> None:
    """No model needs more than a few levels."""
    (folder / "/".join("abcdefghijklmnop")).mkdir(parents=True)
    assert "nested deeper" in reasons(folder)


def test_hidden_entries_are_not_read(folder: Path) -> None:
    """A repository's `.git` is named as such and does no harm."""
    (folder / ".git").mkdir()
    (folder / ".git" / "hook.pkl").write_bytes(b"cos\nsystem\n")
    report = check(bundle_of(folder))
    assert report.passed
    assert any(line.subject == ".git" and line.outcome == "note" for line in report.checks)


def test_an_empty_and_an_absent_folder_are_refused(tmp_path: Path) -> None:
    """Both with a sentence."""
    assert "holds no files" in reasons(tmp_path)
    assert "is not a folder" in reasons(tmp_path / "absent")
