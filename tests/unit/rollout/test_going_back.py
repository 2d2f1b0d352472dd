"""Going back: asked for, done elsewhere, or because the first minutes of a version were bad."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes import words
from tests.unit.rollout.stage import House, known_flavor, unavailable

from matinee.core.errors import ClassifierFailed, Conflict, DeadlineExceeded
from matinee.core.events import ModelClosed, ModelSwapped
from matinee.engine import EngineLimits
from matinee.rollout import ProbationLimits


@pytest.fixture(autouse=True)
def _flavor(tmp_path: Path) -> Iterator[None]:
    with known_flavor(tmp_path):
        yield


async def closed(house: House, number: int) -> None:
    """Wait until so many versions have been closed."""
    await house.told.until(lambda: len(house.told.of(ModelClosed)) == number)


def test_a_rollback_is_one_step_and_lasts_until_the_alias_moves_again(tmp_path: Path) -> None:
    """Going back answers at once with the old version; what was gone back from is passed over until meant anew."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            with pytest.raises(Conflict, match="no earlier version"):
                await deployment.rollback()
            house.publish("two", bias=0.1)
            await deployment.reload()
            left = deployment.live
            live = await deployment.rollback()
            assert live.revision != (left and left.revision)
            assert (await house.ask())[0][2] == 0.9
            await house.look()
            assert (await house.ask())[0][2] == 0.9, "the alias still means what was gone back from"
            house.point("one")
            await house.look()
            house.point("two")
            deployment.hint()
            await house.told.until(lambda: house.told.of(ModelSwapped)[-1].cause == "follow")
            assert (await house.ask())[0][2] == 0.8
            causes = [entry.cause for entry in deployment.history]
            assert causes == ["start", "reload", "rollback", "follow"]

    asyncio.run(scene())


def test_going_back_twice_after_the_warm_time_goes_two_versions_back(tmp_path: Path) -> None:
    """What was left before is passed over then: it is loaded from the cache again, and must not come back by that."""

    async def scene() -> None:
        house = House(tmp_path, warm_seconds=0.0)
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            for number, name in ((1, "two"), (2, "three")):
                house.publish(name, bias=number / 10)
                await deployment.reload()
                await closed(house, number)
            await deployment.rollback()
            assert (await house.ask())[0][2] == 0.8
            await closed(house, 3)
            await deployment.rollback()
            assert (await house.ask())[0][2] == 0.9

    asyncio.run(scene())


def test_a_version_that_fails_in_its_first_minutes_is_taken_back(tmp_path: Path) -> None:
    """Requests that fail because of the new version bring the old one back, and the reason is on record."""

    async def scene() -> None:
        house = House(tmp_path)
        house.options = replace(house.options, probation=ProbationLimits(minimum=5))
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            house.publish("two", bias=0.1, trouble="late-failure")
            await deployment.reload()
            for number in range(12):
                with suppress(ClassifierFailed):
                    await house.ask(f"film number {number}")
            assert house.told.of(ModelSwapped)[-1].cause == "auto-rollback"
            assert (await house.ask("a good one"))[0][2] == 0.9
            assert "requests failed" in deployment.history[-1].reasons[0]

    asyncio.run(scene())


@pytest.mark.parametrize("warm_seconds", [600.0, 0.0])
def test_a_version_is_taken_back_to_none_that_was_bad_itself(tmp_path: Path, warm_seconds: float) -> None:
    """Nothing is taken back to and fro; and what is no longer warm, or not good enough itself, is loaded again."""

    async def scene() -> None:
        house = House(tmp_path, warm_seconds=warm_seconds)
        house.options = replace(house.options, probation=ProbationLimits(minimum=5))
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            house.publish("two", bias=0.1, trouble="late-failure")
            await deployment.reload()
            house.publish("three", bias=0.2, trouble="late-failure")
            await deployment.reload()
            if not warm_seconds:
                await closed(house, 2)
            for number in range(12):
                with suppress(ClassifierFailed):
                    await house.ask(f"film number {number}")
            await house.told.until(lambda: house.told.of(ModelSwapped)[-1].cause == "auto-rollback")
            if warm_seconds:
                for number in range(12):
                    with suppress(ClassifierFailed):
                        await house.ask(f"another film, number {number}")
                await house.told.until(lambda: len(house.told.of(ModelSwapped)) == 5)
                assert (await house.ask("a good one"))[0][2] == 0.9
            causes = [entry.cause for entry in deployment.history]
            assert causes == ["start", "reload", "reload", "auto-rollback", "auto-rollback"][: len(causes)]
            assert deployment.live is not None
            assert deployment.live.revision.key not in {entry.held for entry in deployment.history}

    asyncio.run(scene())


def test_a_rollback_leaves_the_version_that_it_was_asked_to_leave_and_no_other(tmp_path: Path) -> None:
    """The one before must be loaded again, so it waits for the change that goes on: what answers then stays."""

    async def scene() -> None:
        house = House(tmp_path, warm_seconds=0.0)
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            house.publish("two", bias=0.1)
            await deployment.reload()
            await closed(house, 1)
            house.publish("three", bias=0.2)
            deployment.hint()
            await house.told.until(lambda: deployment.state.candidate is not None)
            with pytest.raises(Conflict, match="another version has come to answer"):
                await deployment.rollback()
            assert (await house.ask())[0][2] == 0.7

    asyncio.run(scene())


def test_a_version_that_was_gone_back_to_is_not_stale(tmp_path: Path) -> None:
    """It was when the server started without its registry; since then the registry has answered."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one")
        async with house.open():
            pass
        again = House(tmp_path)
        again.sources.answer = unavailable
        async with again.open() as deployment:
            assert deployment.state.stale
            again.sources.answer = None
            again.publish("two", bias=0.1)
            await deployment.reload()
            await deployment.rollback()
            assert not deployment.state.stale

    asyncio.run(scene())


def test_what_another_process_went_back_from_is_left_here_too(tmp_path: Path) -> None:
    """Whether it answers here already, is on its way, or is not known yet; and only while the reference means it."""

    async def scene(when: str) -> None:
        house = House(tmp_path / when)
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            house.publish("two", bias=0.1)
            revision = house.sources.resolve(deployment.reference)
            assert deployment.live is not None
            first = deployment.live.revision
            if when == "answering":
                await deployment.reload()
            if when == "on its way":
                deployment.hint()
                await house.told.until(lambda: deployment.state.candidate is not None)
            await deployment.leave(revision.key, first)
            await house.look()
            assert (await house.ask())[0][2] == 0.9
            assert deployment.left == revision.key
            house.point("one")
            await house.look()
            house.point("two")
            deployment.hint()
            await house.told.until(lambda: house.told.of(ModelSwapped)[-1].cause == "follow")
            assert (await house.ask())[0][2] == 0.8

    for when in ("answering", "on its way", "not known"):
        asyncio.run(scene(when))


def test_a_process_goes_where_another_went_even_if_it_never_was_there(tmp_path: Path) -> None:
    """To and fro, in the other process: this one loads what it has never answered with."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            assert deployment.live is not None
            first = deployment.live.revision
            house.publish("two", bias=0.1)
            second = house.sources.resolve(deployment.reference)
            await deployment.leave(second.key, first)
            await deployment.leave(first.key, second)
            assert (await house.ask())[0][2] == 0.8
            await deployment.leave(second.key, first)
            assert (await house.ask())[0][2] == 0.9
            causes = [entry.cause for entry in deployment.history]
            assert causes == ["start", "rollback", "rollback"]

    asyncio.run(scene())


def test_a_version_that_hangs_in_its_first_minutes_is_taken_back(tmp_path: Path) -> None:
    """Requests that get no answer in time bring the old version back, and its thread that hangs holds up nobody."""

    async def scene() -> None:
        house = House(tmp_path)
        limits = EngineLimits(timeout_seconds=1.0, cache_entries=0)
        house.options = replace(house.options, probation=ProbationLimits(minimum=5), engine=limits)
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            house.publish("two", bias=0.1, trouble="late-hang")
            await deployment.reload()
            while house.told.of(ModelSwapped)[-1].cause == "reload":
                asked = (house.ask("a good film") for _ in range(6))
                outcomes = await asyncio.gather(*asked, return_exceptions=True)
                assert all(isinstance(outcome, list | DeadlineExceeded) for outcome in outcomes)
            assert house.told.of(ModelSwapped)[-1].cause == "auto-rollback"
            assert (await house.ask("a good one"))[0][2] == 0.9
            assert "got no answer in time" in deployment.history[-1].reasons[0]
            words.RELEASE.set()

    words.RELEASE.clear()
    asyncio.run(scene())
