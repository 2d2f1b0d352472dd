"""Twelve kinds of broken new version: none reaches a caller, and each has its reason on record."""

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from tests.fakes import words
from tests.unit.rollout.stage import House, known_flavor

from matinee.core.bundle import Revision
from matinee.core.errors import RevisionNotFound, SourceUnavailable
from matinee.core.events import ModelRefused, ModelSwapped, Polled
from matinee.core.manifest import Example, FileEntry, Manifest
from matinee.core.reference import ModelRef
from matinee.rollout import GateLimits

LIMITS = GateLimits(load_seconds=3.0, memory_bytes=120 * 1024 * 1024, latency_ms=40.0, answer_seconds=5.0)


@pytest.fixture(autouse=True)
def _flavor(tmp_path: Path) -> Iterator[None]:
    with known_flavor(tmp_path):
        yield


class Evil:
    """Unpickling it would make a file."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return (open, ("unpickled", "w"))


@dataclass(frozen=True)
class Broken:
    """A kind of broken version: how to publish it, the stage that refuses it, and a part of the reason."""

    publish: Callable[[House], None]
    stage: str
    reason: str


def missing_file(house: House) -> None:
    """A file of the manifest is not there."""
    folder = words.write(house.folder / "missing", bias=0.1)
    (folder / "words.json").unlink()
    house.point("missing")


def wrong_bytes(house: House) -> None:
    """One byte is another one than when the digest was taken."""
    folder = words.write(house.folder / "wrong", bias=0.1)
    (folder / "words.json").write_bytes(b"X" + (folder / "words.json").read_bytes()[1:])
    house.point("wrong")


def unsafe_pickle(house: House) -> None:
    """A pickle that would run code."""
    folder = house.folder / "unsafe"
    folder.mkdir()
    content = pickle.dumps(Evil())
    (folder / "model.pkl").write_bytes(content)
    files = {"model.pkl": FileEntry(len(content), sha256(content).hexdigest())}
    options = {"file": "model.pkl"}
    manifest = Manifest(name="unsafe", flavor="sklearn", labels=words.LABELS, files=files, options=options)
    (folder / "matinee.json").write_text(manifest.to_json())
    house.point("unsafe")


def with_trouble(trouble: str) -> Callable[[House], None]:
    """A version that misbehaves in its own code."""
    examples = [Example("a good film", "positive")]
    return lambda house: house.publish(trouble, trouble=trouble, bias=0.1, examples=examples)


BROKEN = {
    "missing file": Broken(missing_file, "verify", "words.json"),
    "wrong bytes": Broken(wrong_bytes, "verify", "words.json"),
    "wrong labels": Broken(lambda house: house.publish("labels", labels=("bad", "fine")), "gate", "its labels are"),
    "NaN": Broken(with_trouble("nan"), "gate", "not numbers"),
    "crash at load": Broken(with_trouble("crash"), "gate", "crashed while loading it (SIGSEGV)"),
    "hang at load": Broken(with_trouble("hang"), "gate", "loading took more than 3 seconds"),
    "out of memory": Broken(with_trouble("oom"), "gate", "takes more memory than there is: 120 MiB"),
    "too slow": Broken(
        lambda house: house.publish("slow", seconds=0.1, examples=[Example("a good film", "positive")]),
        "gate",
        "more than 40",
    ),
    "golden miss": Broken(
        lambda house: house.publish("miss", examples=[Example("a good film", "negative")]),
        "gate",
        "0 of 1 golden examples came out as expected",
    ),
    "unsafe pickle": Broken(unsafe_pickle, "verify", "model.pkl"),
}


class Audience:
    """A closed-loop client: asks again and again, and remembers every answer and every failure."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.answers: list[tuple[str, str, float]] = []

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Ask while the block runs; a failure ends the test."""
        task = asyncio.create_task(self._ask())
        try:
            yield
        finally:
            task.cancel()
            results = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError), results

    async def _ask(self) -> None:
        while True:
            self.answers += await self._house.ask(f"a good film, number {len(self.answers)}")
            await asyncio.sleep(0.002)


def test_no_broken_version_has_an_effect_and_each_leaves_its_reason(tmp_path: Path) -> None:
    """Every answer during all of it is the first version's; afterwards a sound version is taken as usual."""

    async def scene() -> None:
        house = House(tmp_path, gate=LIMITS)
        house.publish("one", bias=0.0)
        audience = Audience(house)
        async with house.open() as deployment, audience.watching():
            first = deployment.live
            for number, (kind, broken) in enumerate(BROKEN.items(), 1):
                broken.publish(house)
                await house.look()
                refusals = house.told.of(ModelRefused)
                assert len(refusals) == number, kind
                assert refusals[-1].stage == broken.stage, kind
                assert any(broken.reason in reason for reason in refusals[-1].reasons), (kind, refusals[-1].reasons)
                assert deployment.state.refused is not None
                assert deployment.state.refused.reasons == refusals[-1].reasons
            assert deployment.live is first
            assert len(house.told.of(ModelSwapped)) == 1
        assert len(audience.answers) > 100
        assert set(audience.answers) == {audience.answers[0]}

    asyncio.run(scene())
    assert not Path("unpickled").exists()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RevisionNotFound("wandb:team/p/m:production: there is no alias production"), "no alias production"),
        (SourceUnavailable("wandb: the registry answered a page, not data (text/html)"), "not data"),
    ],
    ids=["vanished alias", "HTML for an answer"],
)
def test_a_registry_without_an_answer_has_no_effect(tmp_path: Path, error: Exception, reason: str) -> None:
    """The version that answers goes on, and the reason is in the state and in the event."""

    def raise_it(reference: ModelRef) -> Revision:
        raise error

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one")
        async with house.open() as deployment:
            house.sources.answer = raise_it
            await house.look()
            polled = house.told.of(Polled)[-1]
            assert polled.outcome == "failed"
            assert reason in polled.reason
            assert reason in deployment.state.poll.reason
            assert (await house.ask())[0][1] == "positive"

    asyncio.run(scene())
