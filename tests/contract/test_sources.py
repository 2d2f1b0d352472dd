"""Every source keeps the same promises, each through its real client against a server of its own protocol."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.registries import Stand, pointed_at, pointed_at_nobody, stand

from matinee.core.bundle import Bundle
from matinee.core.errors import CorruptBundle, RevisionNotFound, SourceUnavailable
from matinee.core.manifest import Manifest
from matinee.core.reference import ModelRef
from matinee.sources import SourceOptions, Sources

KINDS = ("folder", "wandb", "objectstore", "huggingface", "web")
PUBLISHING = ("folder", "wandb", "objectstore")
REMOTE = ("wandb", "objectstore", "huggingface")
MODEL = {"model.safetensors": b"weights " * 500, "config.json": b'{"labels": 2}', "vocab.txt": b"good\nbad\n"}
ONE_FILE = {"model.safetensors": b"weights " * 500}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def place(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with stand(kind, tmp_path_factory.mktemp(kind)) as running, pointed_at(running):
        yield running


@pytest.fixture(scope="module")
def kept(place: Stand, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    sources = Sources(_options(tmp_path_factory.mktemp("cache")))
    yield sources
    sources.close()


def _options(cache: Path, resolve_seconds: float = 60) -> SourceOptions:
    return SourceOptions(cache_dir=cache, attempts=1, settle_seconds=0, resolve_seconds=resolve_seconds)


def _files(kind: str) -> dict[str, bytes]:
    return ONE_FILE if kind == "web" else MODEL


def _content(bundle: Bundle) -> dict[str, bytes]:
    paths = [path for path in bundle.folder.rglob("*") if path.is_file()]
    return {path.relative_to(bundle.folder).as_posix(): path.read_bytes() for path in paths}


def test_a_pulled_bundle_has_every_file_and_cannot_be_written_to(kind: str, place: Stand, kept: Sources) -> None:
    """What was published is what lies in the cache, and the digest is over exactly that."""
    bundle = kept.pull(kept.resolve(ModelRef.parse(place.publish("whole", _files(kind)))))
    assert _content(bundle) == _files(kind)
    assert all(path.stat().st_mode & 0o222 == 0 for path in bundle.folder.rglob("*"))


def test_the_second_pull_transfers_nothing(kind: str, place: Stand, kept: Sources) -> None:
    """A revision that is cached is taken from there."""
    revision = kept.resolve(ModelRef.parse(place.publish("twice", _files(kind))))
    first, seen = kept.pull(revision), place.transfers()
    assert kept.pull(revision).folder == first.folder
    assert place.transfers() == seen


def test_new_content_is_a_different_revision(kind: str, place: Stand, kept: Sources) -> None:
    """Looking again without a change says the same; after one it says something else."""
    before = kept.resolve(ModelRef.parse(place.publish("moves", _files(kind))))
    assert kept.resolve(before.reference).key == before.key
    changed = {name: content + b"2" for name, content in _files(kind).items()}
    assert kept.resolve(ModelRef.parse(place.publish("moves", changed))).key != before.key


def test_what_does_not_exist_is_not_found(kind: str, place: Stand, kept: Sources) -> None:
    """A registry that answers, and has no such thing, is told from one that does not answer."""
    with pytest.raises(RevisionNotFound):
        kept.pull(kept.resolve(ModelRef.parse(place.unknown())))


def test_wrong_bytes_are_never_a_bundle(kind: str, place: Stand, kept: Sources) -> None:
    """Bytes other than those that were promised raise, and nothing of them stays."""
    files = {name: content + b" of the damaged" for name, content in _files(kind).items()}
    revision = kept.resolve(ModelRef.parse(place.publish("damaged", files)))
    place.damage("damaged", files)
    known = {entry.digest for entry in kept.cached()}
    with pytest.raises(CorruptBundle):
        kept.pull(revision)
    assert {entry.digest for entry in kept.cached()} == known


def test_many_at_once_transfer_once(kind: str, place: Stand, kept: Sources) -> None:
    """Four that ask at the same moment get the same folder, through one transfer."""
    files = {name: content + b" for many" for name, content in _files(kind).items()}
    revision = kept.resolve(ModelRef.parse(place.publish("many", files)))
    before = place.transfers()
    folders: list[Path] = []
    threads = [threading.Thread(target=lambda: folders.append(kept.pull(revision).folder)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 4
    assert len(set(folders)) == 1
    assert place.transfers() - before in (0, len(files))


def test_without_its_registry_the_last_good_revision_is_there(kind: str, place: Stand, kept: Sources) -> None:
    """A registry that cannot be reached is one clear error; what was pulled before is found, marked stale."""
    if kind not in REMOTE:
        return
    reference = ModelRef.parse(place.publish("kept", _files(kind)))
    pulled = kept.pull(kept.resolve(reference))
    kept.confirm(pulled)
    with pointed_at_nobody(place):
        alone = Sources(_options(kept.cached()[0].folder.parent.parent, resolve_seconds=6))
        try:
            with pytest.raises(SourceUnavailable):
                alone.resolve(reference)
            found = alone.last_good(reference)
            assert found is not None
            assert (found.digest, found.stale) == (pulled.digest, True)
            assert alone.last_good(ModelRef.parse(place.unknown())) is None
        finally:
            alone.close()


def test_what_is_pushed_can_be_pulled(kind: str, place: Stand, kept: Sources, tmp_path: Path) -> None:
    """A published folder comes back with the same bytes, and publishing something else is a difference."""
    if kind not in PUBLISHING:
        return
    manifest = Manifest(name="films", flavor="linear", labels=("bad", "good"), metrics={"accuracy": 0.9})
    former = {"matinee.json": replace(manifest, metrics={}).to_json().encode()}
    reference = ModelRef.parse(place.publish("target", _files(kind) | former))
    before = kept.resolve(reference)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "weights.npz").write_bytes(b"published")
    (tmp_path / "matinee.json").write_text(manifest.to_json(), encoding="utf-8")
    pushed = kept.push(tmp_path, reference)
    assert pushed.key == kept.resolve(reference).key != before.key
    content = _content(kept.pull(pushed))
    assert content == {"sub/weights.npz": b"published", "matinee.json": manifest.to_json().encode()}


def test_hostile_names_never_leave_the_folder(
    kind: str, place: Stand, kept: Sources, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A name in a manifest or a listing that leads out of the folder is refused before anything is written."""
    if kind not in REMOTE:
        return
    hostile = place.publish("hostile", {**MODEL, "../outside": b"written by the registry"})
    with pytest.raises(CorruptBundle):
        kept.pull(kept.resolve(ModelRef.parse(hostile)))
    assert not list(tmp_path_factory.getbasetemp().rglob("outside"))
