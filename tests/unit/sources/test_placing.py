"""The original endpoint's place: what W&B gives is copied there, and nobody's own files are touched."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.wandb_server import WandbServer

from matinee.app import original_place, source_options
from matinee.core.reference import ModelRef
from matinee.settings import Settings, load_settings
from matinee.sources import Sources

NAMES = {"PROJECT_NAME": "films", "LOCAL_MODEL_NAME": "model.pkl", "WANDB_API_KEY": "k" * 40}


@pytest.fixture(scope="module")
def server() -> Iterator[WandbServer]:
    with WandbServer() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment().items():
            patch.setenv(name, value)
        running.state.publish("team/films/model", {"model.pkl": b"one"}, aliases=("latest",))
        running.state.publish("team/films/model", {"model.pkl": b"two"}, aliases=("latest",))
        running.state.publish("team/films/folder", {"model.pkl": b"one", "deep/words.txt": b"a"}, aliases=("latest",))
        yield running


@pytest.fixture
def asked(tmp_path: Path, server: WandbServer) -> Iterator["Asked"]:
    asked = Asked(tmp_path, server.environment()["WANDB_API_KEY"])
    yield asked
    asked.close()


class Asked:
    """The original settings in a folder of their own."""

    def __init__(self, root: Path, key: str) -> None:
        self.root = root
        self.folder = root / "ml" / "model"
        self._key = key
        self._made: list[Sources] = []

    def settings(self, **changed: str) -> Settings:
        environ = NAMES | {"WANDB_API_KEY": self._key, "LOCAL_MODEL_DIR": str(self.folder), **changed}
        return load_settings({}, environ | {"CACHE_DIR": str(self.root / "cache")}, self.root)

    def answers(self, **changed: str) -> None:
        """What happens when the model that the settings name was loaded and answers."""
        settings = self.settings(**changed)
        sources = Sources(source_options(settings))
        self._made.append(sources)
        (reference,) = settings.references().values()
        sources.confirm(sources.pull(sources.resolve(ModelRef.parse(reference))))

    def close(self) -> None:
        for sources in self._made:
            sources.close()


def test_an_artifact_is_put_where_the_original_kept_it(asked: Asked) -> None:
    """One file is a file there, several are a folder; a new version replaces the copy of the one before."""
    asked.answers(MODEL_VERSION="v0")
    assert (asked.folder / "model.pkl").read_bytes() == b"one"
    asked.answers(MODEL_VERSION="latest")
    assert (asked.folder / "model.pkl").read_bytes() == b"two"
    asked.answers(LOCAL_MODEL_NAME="folder")
    assert (asked.folder / "folder" / "deep" / "words.txt").read_bytes() == b"a"
    left = {path.name for path in asked.folder.glob(".*/*")}
    assert left == {"digest"}


def test_a_folder_and_a_file_take_each_other_s_place(asked: Asked) -> None:
    """The copy is ours as long as nobody changed it, whatever it is."""
    asked.answers(LOCAL_MODEL_NAME="folder")
    (asked.folder / "folder").rename(asked.folder / "model.pkl")
    (asked.folder / ".folder.matinee").rename(asked.folder / ".model.pkl.matinee")
    asked.answers()
    assert (asked.folder / "model.pkl").read_bytes() == b"two"


@pytest.mark.parametrize("before", ["nothing of ours", "a copy of ours, changed since", "a link"])
def test_what_somebody_else_put_there_stays(asked: Asked, caplog: pytest.LogCaptureFixture, before: str) -> None:
    """The model is served all the same, and a warning says why its copy is missing."""
    if before == "a copy of ours, changed since":
        asked.answers(MODEL_VERSION="v0")
    asked.folder.mkdir(parents=True, exist_ok=True)
    own = asked.folder / "model.pkl"
    if before == "a link":
        (asked.root / "mine").write_bytes(b"mine")
        own.symlink_to(asked.root / "mine")
    else:
        own.write_bytes(b"mine")
    with caplog.at_level(logging.WARNING, "matinee.sources"):
        asked.answers()
    assert own.read_bytes() == b"mine"
    assert "left alone" in caplog.text


def test_a_place_that_cannot_be_written_stops_nothing(asked: Asked, caplog: pytest.LogCaptureFixture) -> None:
    """As in an image with a read-only file system."""
    asked.folder.parent.mkdir()
    asked.folder.write_bytes(b"a file where the folder should be")
    with caplog.at_level(logging.WARNING, "matinee.sources"):
        asked.answers()
    assert "cannot be written" in caplog.text


def test_what_a_killed_process_left_is_no_model(asked: Asked) -> None:
    """A half copy is never at the place itself, and is gone after the next one."""
    own = asked.folder / ".model.pkl.matinee"
    (own / "new").mkdir(parents=True)
    (own / "new" / "half").write_bytes(b"")
    asked.answers()
    assert (asked.folder / "model.pkl").read_bytes() == b"two"
    assert not (own / "new").exists()


def test_only_a_folder_that_was_named_is_written_to(asked: Asked) -> None:
    """Not the default one, and not when `MODEL` says what is served."""
    assert original_place(asked.settings(LOCAL_MODEL_DIR="")) == {}
    assert original_place(asked.settings(MODEL="wandb:films/model:latest")) == {}
    assert original_place(asked.settings(WANDB_API_KEY="")) == {}
