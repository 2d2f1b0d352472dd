"""How a deployment starts: with what was live before, from the cache while the registry is away, or not yet."""

import asyncio
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.unit.rollout.stage import House, known_flavor, unavailable

from matinee.core.bundle import Revision
from matinee.core.errors import ModelRejected, NotReady
from matinee.core.events import ModelOpened, ModelRefused, ModelSwapped, Polled
from matinee.core.manifest import Example
from matinee.core.reference import ModelRef
from matinee.rollout import GateLimits


@pytest.fixture(autouse=True)
def _flavor(tmp_path: Path) -> Iterator[None]:
    with known_flavor(tmp_path):
        yield


async def gone_back(folder: Path) -> None:
    """A server that went from `one` to `two` and back, and was stopped; the alias still means `two`."""
    house = House(folder)
    house.publish("one", bias=0.0)
    async with house.open() as deployment:
        house.publish("two", bias=0.1)
        await deployment.reload()
        await deployment.rollback()


def test_restarts_do_not_bring_back_what_was_gone_back_from(tmp_path: Path) -> None:
    """The history is on the disk: every new process answers with the version that was live, not with the alias."""

    async def scene() -> None:
        await gone_back(tmp_path)
        for _ in range(3):
            again = House(tmp_path)
            async with again.open() as deployment:
                await again.look()
                assert (await again.ask())[0][2] == 0.9
        causes = [entry.cause for entry in deployment.history]
        assert causes == ["start", "reload", "rollback", "start", "start", "start"]

    asyncio.run(scene())


def test_after_restarts_what_was_gone_back_from_may_come_again_when_it_is_meant_anew(tmp_path: Path) -> None:
    """The alias moves away and back: that is how people say that they want it."""

    async def scene() -> None:
        await gone_back(tmp_path)
        again = House(tmp_path)
        async with again.open():
            pass
        again = House(tmp_path)
        async with again.open():
            again.point("one")
            await again.look()
            again.point("two")
            again.deployment.hint()
            await again.told.until(lambda: len(again.told.of(ModelSwapped)) == 2)
            assert (await again.ask())[0][2] == 0.8

    asyncio.run(scene())


def test_without_its_registry_a_restart_does_not_bring_back_what_was_gone_back_from(tmp_path: Path) -> None:
    """The cache holds both versions; the one that was left is only better than nothing."""

    async def scene() -> None:
        await gone_back(tmp_path)
        again = House(tmp_path)
        again.sources.answer = unavailable
        async with again.open() as deployment:
            assert deployment.state.stale
            assert (await again.ask())[0][2] == 0.9
            again.sources.answer = None
            await again.look()
            assert (await again.ask())[0][2] == 0.9, "the alias still means what was gone back from"

    asyncio.run(scene())


def test_a_restart_judges_once_more_what_was_refused(tmp_path: Path) -> None:
    """Meanwhile what was live before answers; with other settings the refused version may pass."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one", bias=0.0)
        async with house.open():
            house.publish("two", bias=0.1, labels=("bad", "good"))
            await house.look()
            assert len(house.told.of(ModelRefused)) == 1
        names = {"bad": "negative", "good": "positive"}
        again = House(tmp_path, gate=GateLimits(label_names=names))
        async with again.open() as deployment:
            assert deployment.state.poll.outcome == "differs", "the alias does not mean what answers"
            assert (await again.ask())[0] == (deployment.history[0].version, "positive", 0.9)
            deployment.hint()
            await again.told.until(lambda: len(again.told.of(ModelSwapped)) == 2)
            assert (await again.ask())[0][1:] == ("positive", 0.8)

    asyncio.run(scene())


def test_a_restart_forgets_what_was_refused_even_if_it_is_not_meant_at_that_moment(tmp_path: Path) -> None:
    """The alias was moved away, and is moved to it again after the settings have changed."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one", bias=0.0)
        async with house.open():
            house.publish("two", bias=0.1, labels=("bad", "good"))
            await house.look()
            assert len(house.told.of(ModelRefused)) == 1
            house.point("one")
        again = House(tmp_path, gate=GateLimits(label_names={"bad": "negative", "good": "positive"}))
        async with again.open():
            again.point("two")
            await again.look()
            assert (await again.ask())[0][1:] == ("positive", 0.8)

    asyncio.run(scene())


def test_starts_once_even_if_a_person_asks_for_it_meanwhile(tmp_path: Path) -> None:
    """Both have waited for the registry: the second finds that there is nothing left to do."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one", seconds=0.2, examples=[Example("a good film", "positive")])
        house.sources.answer = unavailable
        async with house.open(opened=False) as deployment:
            await house.told.until(lambda: "away" in deployment.state.error)
            house.sources.answer = None
            reloading = asyncio.create_task(deployment.reload())
            await house.told.until(lambda: deployment.state.candidate is not None)
            deployment.hint()
            await reloading
            await deployment.opened()
            assert [entry.cause for entry in deployment.history] == ["reload"]

    asyncio.run(scene())


def away_after_some_time(reference: ModelRef) -> Revision:
    """A registry that takes long to be away: longer than opening a small model takes."""
    time.sleep(3.0)
    return unavailable(reference)


def test_starts_with_the_last_good_version_while_the_registry_is_away(tmp_path: Path) -> None:
    """It is marked stale, and not any more once the registry has confirmed it."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one")
        async with house.open():
            pass
        again = House(tmp_path)
        again.sources.answer = away_after_some_time
        async with again.open() as deployment:
            assert deployment.state.stale
            assert again.told.of(ModelOpened)[0].seconds < again.told.of(Polled)[0].seconds, "waiting is no opening"
            assert (await again.ask())[0][1] == "positive"
            again.sources.answer = None
            await again.look()
            assert not deployment.state.stale

    asyncio.run(scene())


def test_without_registry_and_cache_it_is_not_ready_and_comes_up_by_itself(tmp_path: Path) -> None:
    """Requests are refused, nothing crashes, and the first answer of the registry is enough."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one")
        house.sources.answer = unavailable
        async with house.open(opened=False) as deployment:
            await house.told.until(lambda: "away" in deployment.state.error)
            with pytest.raises(NotReady):
                deployment.acquire()
            house.sources.answer = None
            deployment.hint()
            await deployment.opened()
            assert deployment.state.error == ""

    asyncio.run(scene())


def test_golden_examples_have_as_long_as_the_setting_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's file may be long, and the model slow: by this clock a text takes minutes."""
    ticks = count(step=60.0)
    clock = SimpleNamespace(perf_counter=lambda: next(ticks), process_time=lambda: 0.0)
    monkeypatch.setattr("matinee.rollout.trial.time", clock)

    async def scene() -> None:
        house = House(tmp_path, gate=GateLimits(load_seconds=1000.0))
        house.publish("one", examples=[Example("a good film", "positive")] * 5)
        async with house.open():
            assert (await house.ask())[0][1] == "positive"

    asyncio.run(scene())


def test_a_model_that_cannot_be_served_is_told_by_opened(tmp_path: Path) -> None:
    """What no waiting will cure is an error for the one who starts the server."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one", trouble="raises")
        async with house.open(opened=False) as deployment:
            with pytest.raises(ModelRejected, match="ValueError"):
                await deployment.opened()

    asyncio.run(scene())
