"""W&B through its real client, against a server that speaks its protocol and misbehaves on demand."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.wandb_server import REGISTRY_ENTITY, WandbServer

from matinee.core.digest import file_sha256
from matinee.core.errors import CorruptBundle, InvalidReference, MatineeError, SourceDenied, SourceUnavailable
from matinee.core.manifest import FileEntry, Manifest
from matinee.core.reference import ModelRef
from matinee.sources import SourceOptions, Sources

MODEL = {"model.pkl": b"pickled " * 1000}
ALIAS = ModelRef.parse("wandb:team/films/model:production")


@pytest.fixture(scope="module")
def server() -> Iterator[WandbServer]:
    with WandbServer() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment().items():
            patch.setenv(name, value)
        running.state.publish("team/films/model", MODEL, aliases=("production",))
        yield running


@pytest.fixture(scope="module")
def kept(server: WandbServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    sources = _sources(tmp_path_factory.mktemp("cache"))
    yield sources
    sources.close()


@pytest.fixture(autouse=True)
def healthy(server: WandbServer) -> Iterator[None]:
    yield
    server.recover()


def _sources(cache: Path, **options: float) -> Sources:
    fixed = {"attempts": 1, "backoff_seconds": 0.01, "resolve_seconds": 20}
    return Sources(SourceOptions(cache_dir=cache, **{**fixed, **options}))  # type: ignore[arg-type]


def test_a_look_is_one_request_once_the_client_is_there(server: WandbServer, kept: Sources) -> None:
    """Only the first look asks who we are and what the server can do."""
    first = kept.resolve(ALIAS)
    server.requests.clear()
    assert kept.resolve(ALIAS).key == first.key
    assert server.requests == ["POST query ArtifactMembershipByName"]


def test_an_alias_that_moves_back_is_a_difference(server: WandbServer, kept: Sources) -> None:
    """A rollback lowers the version: the revision differs, whichever way it went."""
    server.state.publish("team/films/rolls", {"model.pkl": b"one"}, aliases=("live",))
    server.state.publish("team/films/rolls", {"model.pkl": b"two"}, aliases=("live",))
    reference = ModelRef.parse("wandb:films/rolls:live")
    newer = kept.resolve(reference)
    server.state.collections["team", "films", "rolls"].aliases["live"] = 0
    older = kept.resolve(reference)
    assert (newer.version, older.version) == ("v1", "v0")
    assert newer.key != older.key
    assert kept.resolve(ModelRef.parse("wandb:team/films/rolls:v0")).pinned


def test_a_registry_s_collection_is_followed_like_any_other(server: WandbServer, kept: Sources) -> None:
    """`wandb-registry-x/collection:alias` means the version that is linked there."""
    artifact = server.state.publish("team/films/linked", MODEL)
    server.state.link(artifact, f"{REGISTRY_ENTITY}/wandb-registry-model/sentiment", aliases=("champion",))
    for path in ("wandb-registry-model/sentiment:champion", "studio/wandb-registry-model/sentiment:champion"):
        assert kept.resolve(ModelRef.parse(f"wandb:{path}")).digest == f"wandb:{artifact.digest}"


def test_a_reference_without_a_project_is_refused(kept: Sources) -> None:
    """The error shows what is right."""
    with pytest.raises(InvalidReference, match="entity/project/name:alias"):
        kept.resolve(ModelRef.parse("wandb:model"))


@pytest.mark.parametrize("kind", ["wrong", "truncated"])
def test_a_damaged_download_is_wiped_and_tried_again(
    server: WandbServer, kept: Sources, tmp_path: Path, kind: str
) -> None:
    """The client itself would keep the damaged file, and serve it again."""
    revision = kept.resolve(ALIAS)
    server.fail("files", kind, times=1)
    sources = _sources(tmp_path, attempts=2)
    bundle = sources.pull(revision)
    assert (bundle.folder / "model.pkl").read_bytes() == MODEL["model.pkl"]


@pytest.mark.parametrize("kind", ["short", "html"])
def test_a_download_that_is_damaged_every_time_is_refused(
    server: WandbServer, kept: Sources, tmp_path: Path, kind: str
) -> None:
    """Half a file that claims to be all of it, and a log-in page with status 200."""
    revision = kept.resolve(ALIAS)
    server.fail("files", kind)
    sources = _sources(tmp_path)
    with pytest.raises(CorruptBundle, match="not those of the artifact"):
        sources.pull(revision)
    assert sources.cached() == []


def test_a_download_that_stalls_is_ended_from_outside(server: WandbServer, kept: Sources, tmp_path: Path) -> None:
    """The client waits without end for the rest of a file."""
    revision = kept.resolve(ALIAS)
    server.fail("files", "hang")
    with pytest.raises(SourceUnavailable, match="not a byte"):
        _sources(tmp_path, stall_seconds=8).pull(revision)
    assert list((tmp_path / "staging").iterdir()) == []


def test_files_outside_of_the_artifact_are_not_followed(server: WandbServer, kept: Sources, tmp_path: Path) -> None:
    """An entry that refers to a file of this machine, or to any address, is refused before it is fetched."""
    artifact = server.state.publish("team/films/refers", MODEL)
    artifact.manifest["contents"]["passwd"] = {"digest": "x", "ref": "file:///etc/passwd", "size": 1}
    with pytest.raises(CorruptBundle, match="outside the artifact"):
        _sources(tmp_path).pull(kept.resolve(ModelRef.parse("wandb:team/films/refers")))


def test_trouble_with_the_server_names_what_to_check(
    server: WandbServer, kept: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused key, a server in trouble, a page instead of an answer, a wrong key from the start; never the key."""
    kept.resolve(ALIAS)
    seen: list[tuple[type[MatineeError], str]] = []
    for kind, status in (("error", 401), ("html", 200)):
        server.fail("graphql", kind, status=status)
        with pytest.raises(SourceUnavailable) as failed:
            kept.resolve(ALIAS)
        seen.append((type(failed.value), failed.value.message))
    server.recover()
    monkeypatch.setenv("WANDB_API_KEY", "c0ffee" * 6 + "c0ff")
    other = _sources(tmp_path)
    with pytest.raises(SourceDenied) as failed:
        other.resolve(ALIAS)
    other.close()
    seen.append((type(failed.value), failed.value.message))
    assert [kind for kind, _ in seen] == [SourceDenied, SourceUnavailable, SourceDenied]
    assert all("WANDB_" in message and "c0ffee" not in message for _, message in seen)
    assert kept.resolve(ALIAS).version == "v0"


def test_a_pushed_model_says_how_it_was_made(server: WandbServer, kept: Sources, tmp_path: Path) -> None:
    """Metrics and lineage are the artifact's metadata and its run's, the alias is set, and it can be pulled."""
    (tmp_path / "model.pkl").write_bytes(b"model")
    files = {"model.pkl": FileEntry(5, file_sha256(tmp_path / "model.pkl"))}
    manifest = Manifest(
        name="films", flavor="sklearn", labels=("bad", "good"), files=files,
        metrics={"accuracy": 0.9}, lineage={"seed": 7},
    )  # fmt: skip
    (tmp_path / "matinee.json").write_text(manifest.to_json(), encoding="utf-8")
    target = ModelRef.parse("wandb:team/films/pushed:best")
    pushed = kept.push(tmp_path, target)
    assert kept.resolve(target).key == pushed.key
    artifact = server.state.collections["team", "films", "pushed"].versions[0]
    assert json.loads(artifact.metadata)["metrics"] == {"accuracy": 0.9}
    run = server.runs[-1]
    assert (run.summary["accuracy"], run.config["seed"]["value"], run.state) == (0.9, 7, "finished")
    assert set(artifact.manifest["contents"]) == {"model.pkl", "matinee.json"}
