"""Several deployments in one process: none waits for another, and none answers for another."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.fakes import words
from tests.unit.rollout.stage import Scripted, Told, known_flavor

from matinee.core.bundle import Revision
from matinee.core.errors import ModelRejected, Overloaded, SourceUnavailable, UnknownModel
from matinee.core.events import ModelRefused, ModelSwapped
from matinee.core.reference import ModelRef
from matinee.flavors import LoadOptions
from matinee.rollout import Deployments, RolloutOptions, Stages
from matinee.sources import SourceOptions, Sources
from matinee.verify import Policy


@pytest.fixture(autouse=True)
def _flavor(tmp_path: Path) -> Iterator[None]:
    with known_flavor(tmp_path):
        yield


class Street:
    """Two deployments, `films` and `stars`, each behind an alias of its own."""

    def __init__(self, folder: Path, queue_size: int = 100) -> None:
        self.folder = folder
        self.told = Told()
        self.sources = Scripted(SourceOptions(cache_dir=folder / "cache", settle_seconds=0.0, attempts=1))
        self._options = RolloutOptions(poll_seconds=0, state_dir=folder / "state", queue_size=queue_size)
        for name, bias in (("films", 0.0), ("stars", 0.1)):
            self.publish(name, "one", bias=bias)

    def publish(self, name: str, version: str, **options: object) -> None:
        """Let the alias of `name` mean a new version."""
        folder = words.write(self.folder / f"{name}-{version}", **options)  # type: ignore[arg-type]
        words.point(self.folder / name, folder)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Deployments]:
        """Both, started."""
        self.told.attach()
        references = {name: ModelRef.parse(str(self.folder / name)) for name in ("films", "stars")}
        stages = Stages(self.sources, Policy(), LoadOptions(), self.told)
        deployments = Deployments(references, stages, self._options)
        deployments.start()
        try:
            yield deployments
        finally:
            await deployments.close()


async def ask(deployments: Deployments, name: str) -> float:
    """The score that `name` gives."""
    with deployments.get(name).acquire() as live:
        assert live.identity.name == name
        (prediction,) = await live.engine.predict(["a good film"])
        return round(max(prediction.scores.values()), 3)


def test_each_answers_follows_and_goes_back_by_itself(tmp_path: Path) -> None:
    """A hint makes both look; what happens to one is in its own history only."""

    async def scene() -> None:
        street = Street(tmp_path)
        async with street.open() as deployments:
            await deployments.opened()
            assert deployments.ready
            assert deployments.default is deployments.get("films")
            street.publish("stars", "two", bias=0.2)
            deployments.hint()
            await street.told.until(lambda: len(street.told.of(ModelSwapped)) == 3)
            assert [await ask(deployments, name) for name in ("films", "stars")] == [0.9, 0.7]
            await deployments.get("stars").rollback()
            assert [await ask(deployments, name) for name in ("films", "stars")] == [0.9, 0.8]
            causes = {each.name: [entry.cause for entry in each.history] for each in deployments}
            assert causes == {"films": ["start"], "stars": ["start", "follow", "rollback"]}
            with pytest.raises(UnknownModel, match="films, stars"):
                deployments.get("actors")

    asyncio.run(scene())


def test_one_whose_registry_hangs_holds_up_neither_start_nor_change_of_another(tmp_path: Path) -> None:
    """The other opens, follows its alias and answers; the first opens when its registry is back."""
    release = threading.Event()

    async def scene() -> None:
        street = Street(tmp_path)

        def answer(reference: ModelRef) -> Revision:
            if reference.text.endswith("films"):
                release.wait(60)
            return Sources.resolve(street.sources, reference)

        street.sources.answer = answer
        async with street.open() as deployments:
            await deployments.get("stars").opened()
            assert not deployments.ready
            street.publish("stars", "two", bias=0.2)
            deployments.hint()
            await street.told.until(lambda: len(street.told.of(ModelSwapped)) == 2)
            assert await ask(deployments, "stars") == 0.7
            release.set()
            await deployments.opened()
            assert await ask(deployments, "films") == 0.9

    asyncio.run(scene())


def test_one_that_cannot_be_served_is_told_while_another_waits_for_its_registry(tmp_path: Path) -> None:
    """What no waiting will cure is told at once, whichever of them it is."""

    def answer(reference: ModelRef) -> Revision:
        if "films" in str(reference):
            raise SourceUnavailable("the registry is away")
        return Sources.resolve(street.sources, reference)

    street = Street(tmp_path)

    async def scene() -> None:
        street.publish("stars", "broken", trouble="raises")
        street.sources.answer = answer
        async with street.open() as deployments:
            with pytest.raises(ModelRejected, match="no such layer"):
                async with asyncio.timeout(60):
                    await deployments.opened()

    asyncio.run(scene())


def test_a_broken_version_of_one_leaves_the_other_alone(tmp_path: Path) -> None:
    """Only the one is refused anything."""

    async def scene() -> None:
        street = Street(tmp_path)
        async with street.open() as deployments:
            await deployments.opened()
            street.publish("films", "two", trouble="crash")
            with pytest.raises(ModelRejected, match="SIGSEGV"):
                await deployments.get("films").reload()
            assert [refusal.name for refusal in street.told.of(ModelRefused)] == ["films"]
            assert deployments.get("stars").state.refused is None
            assert [await ask(deployments, name) for name in ("films", "stars")] == [0.9, 0.8]

    asyncio.run(scene())


def test_each_has_a_queue_of_its_own(tmp_path: Path) -> None:
    """A full queue of one refuses nobody who asks the other."""

    async def scene() -> None:
        street = Street(tmp_path, queue_size=1)
        street.publish("films", "slow", seconds=0.5)
        async with street.open() as deployments:
            await deployments.opened()
            waiting = asyncio.create_task(ask(deployments, "films"))
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await ask(deployments, "films")
            assert await ask(deployments, "stars") == 0.8
            assert await waiting == 0.9

    asyncio.run(scene())


def test_a_registry_that_hangs_does_not_block_the_event_loop_at_the_end(tmp_path: Path) -> None:
    """Whoever closes can give up waiting: the server's shutdown has its limit."""
    release = threading.Event()

    class Stubborn(Scripted):
        """Its client is in the middle of a question."""

        def close(self) -> None:
            release.wait(60)

    async def scene() -> None:
        street = Street(tmp_path)
        street.sources = Stubborn(SourceOptions(cache_dir=tmp_path / "cache", settle_seconds=0.0))
        async with street.open() as deployments:
            await deployments.opened()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await deployments.close()
            release.set()

    asyncio.run(scene())
