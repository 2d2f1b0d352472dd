"""Local models: what counts as one, when it is another one, and that half of one is never taken."""

import os
import threading
from pathlib import Path

import pytest

from matinee.core.bundle import Bundle
from matinee.core.errors import CorruptBundle, InvalidReference, MatineeError, RevisionNotFound
from matinee.core.manifest import FileEntry, Manifest
from matinee.core.reference import ModelRef
from matinee.sources import SourceOptions, Sources

LINEAR = Manifest(name="m", flavor="linear", labels=("negative", "positive"))


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(SourceOptions(cache_dir=tmp_path / "cache", attempts=1, settle_seconds=0))


def _pull(sources: Sources, reference: str) -> Bundle:
    return sources.pull(sources.resolve(ModelRef.parse(reference)))


def _names(bundle: Bundle) -> list[str]:
    return sorted(path.name for path in bundle.folder.iterdir())


def test_of_a_single_file_its_siblings_do_not_count(tmp_path: Path, sources: Sources) -> None:
    """`./ml/model/model.pkl` is that file alone, and changes only with it."""
    (tmp_path / "model.pkl").write_bytes(b"model")
    (tmp_path / "notes.txt").write_bytes(b"notes")
    bundle = _pull(sources, str(tmp_path / "model.pkl"))
    assert _names(bundle) == ["model.pkl"]
    (tmp_path / "notes.txt").write_bytes(b"other notes")
    assert sources.resolve(bundle.revision.reference).key == bundle.revision.key


def test_a_single_file_takes_the_manifest_that_names_it(tmp_path: Path, sources: Sources) -> None:
    """A `matinee.json` beside it counts when it is about this one file, and not when it is about others."""
    (tmp_path / "model.pkl").write_bytes(b"model")
    for names, expected in ((["model.pkl"], ["matinee.json", "model.pkl"]), (["other.onnx"], ["model.pkl"])):
        files = {name: FileEntry(5, "0" * 64) for name in names}
        manifest = Manifest(name="m", flavor="sklearn", labels=("a", "b"), files=files)
        (tmp_path / "matinee.json").write_text(manifest.to_json(), encoding="utf-8")
        assert _names(_pull(sources, str(tmp_path / "model.pkl"))) == expected


def test_a_file_url_names_a_folder_of_this_machine(tmp_path: Path, sources: Sources) -> None:
    """`file:///a%20b` is decoded; another host is refused."""
    (tmp_path / "my model").mkdir()
    (tmp_path / "my model" / "model.onnx").write_bytes(b"graph")
    assert _names(_pull(sources, f"file://{tmp_path}/my%20model")) == ["model.onnx"]
    with pytest.raises(InvalidReference, match="this machine"):
        sources.resolve(ModelRef.parse("file://elsewhere/model"))


def test_hidden_files_and_linked_folders_do_not_count(tmp_path: Path, sources: Sources) -> None:
    """A mounted volume's `..data` and a checkout's `.git` are left out; a linked file is its content."""
    model = tmp_path / "model"
    (model / ".git").mkdir(parents=True)
    (model / ".git" / "config").write_bytes(b"secret")
    (tmp_path / "real.onnx").write_bytes(b"graph")
    (model / "model.onnx").symlink_to(tmp_path / "real.onnx")
    (model / "more").symlink_to(tmp_path)
    bundle = _pull(sources, str(model))
    assert _names(bundle) == ["model.onnx"]
    assert not (bundle.folder / "model.onnx").is_symlink()


def test_what_is_no_model_is_said_clearly(tmp_path: Path, sources: Sources) -> None:
    """Nothing there, an empty folder, a pipe."""
    (tmp_path / "empty").mkdir()
    for name in ("nothing", "empty"):
        with pytest.raises(RevisionNotFound, match=name):
            sources.resolve(ModelRef.parse(str(tmp_path / name)))
    os.mkfifo(tmp_path / "empty" / "pipe")
    with pytest.raises(CorruptBundle, match="pipe"):
        sources.resolve(ModelRef.parse(str(tmp_path / "empty")))


def test_the_bytes_that_were_checked_are_the_bytes_in_the_cache(tmp_path: Path, sources: Sources) -> None:
    """Changing the original after the pull changes nothing of what is loaded."""
    (tmp_path / "model.pkl").write_bytes(b"good")
    bundle = _pull(sources, str(tmp_path / "model.pkl"))
    (tmp_path / "model.pkl").write_bytes(b"evil")
    assert (bundle.folder / "model.pkl").read_bytes() == b"good"


def test_files_that_are_being_written_are_not_taken(tmp_path: Path) -> None:
    """Without a manifest, nobody can tell half a file from a whole one: a file that grows meanwhile is refused."""
    path = tmp_path / "model.pkl"
    path.write_bytes(b"")
    done = threading.Event()

    def write() -> None:
        while not done.wait(0.005):
            with path.open("ab") as file:
                file.write(b"more")

    writer = threading.Thread(target=write)
    sources = Sources(SourceOptions(cache_dir=tmp_path / "cache", attempts=1, settle_seconds=0.5))
    writer.start()
    try:
        with pytest.raises(MatineeError, match="try again when"):
            _pull(sources, str(path))
    finally:
        done.set()
        writer.join()
    assert _pull(sources, str(path)).folder.is_dir()


def test_a_pushed_folder_replaces_the_old_one_as_a_whole(tmp_path: Path, sources: Sources) -> None:
    """No file of the former version stays, and no temporary folder either."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "matinee.json").write_text(LINEAR.to_json(), encoding="utf-8")
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "old.bin").write_bytes(b"old")
    (tmp_path / "place" / "matinee.json").write_text("{}")
    revision = sources.push(tmp_path / "new", ModelRef.parse(str(tmp_path / "place")))
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["matinee.json"]
    assert sources.resolve(revision.reference).key == revision.key
    assert {path.name for path in tmp_path.iterdir()} <= {"new", "place", "cache"}


@pytest.mark.parametrize("names", [["thesis.tex"], [".git", "matinee.json"]])
def test_a_folder_that_is_no_model_is_not_replaced(tmp_path: Path, sources: Sources, names: list[str]) -> None:
    """Whatever was in it was removed, with its history if it was a repository."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "matinee.json").write_text(LINEAR.to_json(), encoding="utf-8")
    (tmp_path / "place").mkdir()
    for name in names:
        (tmp_path / "place" / name).write_text("years of work")
    with pytest.raises(InvalidReference, match="push to"):
        sources.push(tmp_path / "new", ModelRef.parse(str(tmp_path / "place")))
    assert sorted(path.name for path in (tmp_path / "place").iterdir()) == names


def test_a_folder_without_a_manifest_is_not_published(tmp_path: Path, sources: Sources) -> None:
    """Whoever pulls it would have to guess what it is."""
    with pytest.raises(MatineeError, match=r"matinee\.json"):
        sources.push(tmp_path, ModelRef.parse(str(tmp_path / "place")))
