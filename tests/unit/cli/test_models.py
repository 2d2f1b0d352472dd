"""`matinee pull`, `push` and `models`: what they print, for people and for programs."""

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from matinee.cli import app
from matinee.core.digest import file_sha256
from matinee.core.errors import InvalidManifest, InvalidReference, InvalidSettings, RevisionNotFound
from matinee.core.manifest import FileEntry, Manifest


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle in a folder, and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.npz").write_bytes(b"weights" * 300)
    files = {"model.npz": FileEntry(2100, file_sha256(folder / "model.npz"))}
    manifest = Manifest(name="films", flavor="linear", labels=("bad", "good"), files=files)
    (folder / "matinee.json").write_text(manifest.to_json(), encoding="utf-8")
    return folder


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_pull_fills_the_cache_and_says_where(model: Path, tmp_path: Path) -> None:
    """One line for a person; with --json everything for a program."""
    assert "2 files" in _run("pull", str(model)).output
    about = json.loads(_run("pull", str(model), "--json").output)
    assert Path(about["folder"]).is_relative_to(tmp_path / "cache")
    assert about["digest"].startswith("sha256:")
    assert about["files"] == 2


def test_pull_copies_into_a_new_folder_only(model: Path, tmp_path: Path) -> None:
    """A folder with something in it is not written to."""
    assert _run("pull", str(model), "--to", str(tmp_path / "copy")).exit_code == 0
    assert (tmp_path / "copy" / "model.npz").read_bytes() == (model / "model.npz").read_bytes()
    # The cache is read-only, and nobody but root can move a folder that is: the command failed for everybody else.
    assert all(path.stat().st_mode & stat.S_IWUSR for path in (tmp_path / "copy", *(tmp_path / "copy").iterdir()))
    (tmp_path / "usual").mkdir()
    assert (tmp_path / "copy").stat().st_mode == (tmp_path / "usual").stat().st_mode
    again = _run("pull", str(model), "--to", str(tmp_path / "copy"))
    assert isinstance(again.exception, InvalidSettings)


def test_push_tells_the_version(model: Path, tmp_path: Path) -> None:
    """The version is what the target's own `resolve` says."""
    pushed = json.loads(_run("push", str(model), str(tmp_path / "place"), "--json").output)
    pulled = json.loads(_run("pull", str(tmp_path / "place"), "--json").output)
    assert pushed["version"] == pulled["version"]


def test_what_cannot_be_done_is_an_error_of_ours(model: Path, tmp_path: Path) -> None:
    """No such model, no manifest, a target that takes none."""
    assert isinstance(_run("pull", str(tmp_path / "nothing")).exception, RevisionNotFound)
    assert isinstance(_run("push", str(tmp_path), str(tmp_path / "place")).exception, InvalidManifest)
    assert isinstance(_run("push", str(model), "bundled:films").exception, InvalidReference)


def test_models_lists_what_ships_and_what_is_cached(model: Path) -> None:
    """Reference, digest, size and state."""
    pulled = json.loads(_run("pull", str(model), "--json").output)
    rows = json.loads(_run("models", "--json").output)
    cached = next(row for row in rows if row["digest"] == pulled["digest"])
    assert str(model) in cached["reference"]
    assert cached["bytes"] == pulled["bytes"]
    assert any(row["reference"].startswith("bundled:") for row in rows)
    assert pulled["digest"].removeprefix("sha256:")[:12] in _run("models").output
