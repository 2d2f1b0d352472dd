"""The scheduled flow releases the registry's model when it differs from the live one, and only then."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.release.document import image_of
from deploy.release.errors import GateFailed, ReleaseError
from deploy.release.model import Pinned, pin, resolve
from deploy.release.refresh import Refresh, model_for_deploy
from tests.unit.deploy.stage import IMAGE, Stage, model, stage

ALIAS = "wandb:team/films/sentiment:live"


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path) as opened:
        opened.release().deploy(IMAGE, model())
        yield opened


def _refresh(on: Stage, version: str, behaviour: str = "good") -> bool:
    release = on.release({"BEHAVIOUR": behaviour})
    return Refresh(release, on.control, lambda _: model(version), on.report).run(ALIAS)


def test_the_same_version_is_left_alone_and_said(on: Stage) -> None:
    """No write at all."""
    before = len(on.launcher.started)
    on.cloud.calls.clear()
    assert not _refresh(on, "v1")
    assert len(on.launcher.started) == before
    assert not [call for call in on.cloud.calls if call[0] == "PUT"]
    assert f"nothing to do: {model().reference} is live already" in on.said


def test_another_version_is_released_with_the_live_image(on: Stage) -> None:
    """The image stays, the model changes, and the history says which replaced which."""
    old = on.live().stable
    assert _refresh(on, "v2")
    live = on.live()
    assert image_of(on.control.revision(live.stable)) == IMAGE
    assert live.notes.model == model("v2").reference
    assert live.notes.history[-1]["replaced"] == old


def test_an_alias_that_moves_back_is_followed(on: Stage) -> None:
    """Compared by "differs", never by "newer"."""
    assert _refresh(on, "v2")
    assert _refresh(on, "v1")
    assert on.live().notes.model == model("v1").reference


def test_a_version_that_failed_is_not_tried_again(on: Stage) -> None:
    """Until the alias means something else."""
    with pytest.raises(GateFailed):
        _refresh(on, "v2", behaviour="wrong")
    started = len(on.launcher.started)
    assert not _refresh(on, "v2")
    assert len(on.launcher.started) == started
    assert "was refused before" in on.said
    assert _refresh(on, "v3")


def test_nothing_to_refresh_before_the_first_release(tmp_path: Path) -> None:
    """The schedule may be set up before the service is."""
    with stage(tmp_path) as empty, pytest.raises(ReleaseError, match="nothing is live yet"):
        _refresh(empty, "v1")


def test_a_code_release_keeps_the_live_model(on: Stage) -> None:
    """A push must not change the model by the way, even if the alias has moved since."""
    kept = model_for_deploy(on.live(), ALIAS, lambda reference: model(reference.rpartition(":")[2]))
    assert (kept.reference, kept.version, kept.follows) == (model().reference, "v1", ALIAS)


def test_a_code_release_with_another_declared_model_takes_that(on: Stage) -> None:
    """What the configuration says is what is released."""
    assert model_for_deploy(on.live(), "bundled:imdb-sentiment", resolve) == Pinned(
        "bundled:imdb-sentiment", follows="bundled:imdb-sentiment"
    )


@pytest.mark.parametrize(
    ("reference", "version", "pinned"),
    [
        ("wandb:team/films/sentiment:production", "v7", "wandb:team/films/sentiment:v7"),
        ("wandb:films/sentiment", "v7", "wandb:films/sentiment:v7"),
        ("models:/imdb@champion", "3", "models:/imdb/3"),
        ("models:/imdb/2", "2", "models:/imdb/2"),
        ("hf:org/name@main", "0123abc", "hf:org/name@0123abc"),
        ("hf:org/name", "0123abc", "hf:org/name@0123abc"),
        ("s3://bucket/model/", "etag", "s3://bucket/model/"),
    ],
)
def test_an_alias_is_pinned_in_the_registrys_own_words(reference: str, version: str, pinned: str) -> None:
    """The revision that answers is given a reference that cannot move."""
    assert pin(reference, version) == pinned
