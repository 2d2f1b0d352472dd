"""A deployment follows its reference: what is good comes to answer, what is not changes nothing."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.rollout.stage import House, known_flavor

from matinee.core.bundle import Revision
from matinee.core.errors import ModelRejected, SourceUnavailable
from matinee.core.events import GateJudged, ModelClosed, ModelRefused, ModelSwapped, Polled
from matinee.core.reference import ModelRef
from matinee.rollout import probing
from matinee.sources import Sources


@pytest.fixture(autouse=True)
def _flavor(tmp_path: Path) -> Iterator[None]:
    with known_flavor(tmp_path):
        yield


def test_answers_with_what_the_alias_means_after_a_hint(tmp_path: Path) -> None:
    """A moved alias and a hint lead to the new version, judged by the gate."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            assert (await house.ask())[0][2] == 0.9
            house.publish("two", bias=0.1)
            deployment.hint()
            await house.told.until(lambda: len(house.told.of(ModelSwapped)) == 2)
            assert (await house.ask())[0][2] == 0.8
            assert [event.cause for event in house.told.of(ModelSwapped)] == ["start", "follow"]
            assert house.told.of(GateJudged)[0].passed
            assert deployment.state.live is not None
            assert deployment.state.live.figures["gate_seconds"] > 0

    asyncio.run(scene())


def test_a_request_in_flight_finishes_on_its_version_which_is_closed_after_it(tmp_path: Path) -> None:
    """The old engine closes only after its last request, and that request is answered by it."""

    async def scene() -> None:
        house = House(tmp_path, warm_seconds=0.0)
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            house.publish("two", bias=0.1)
            with deployment.acquire() as old:
                await deployment.reload()
                assert (await house.ask())[0][2] == 0.8
                assert house.told.of(ModelClosed) == []
                predictions = await old.engine.predict(["a good film"])
                assert round(predictions[0].scores["positive"], 3) == 0.9
            await house.told.until(lambda: bool(house.told.of(ModelClosed)))
            assert house.told.of(ModelClosed)[0].model == old.identity
            assert deployment.state.previous is None

    asyncio.run(scene())


def test_a_refused_version_is_on_record_and_not_tried_again_until_reload(tmp_path: Path) -> None:
    """The gate runs once for a revision, however often the registry is asked; reload runs it again and says why."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one")
        async with house.open() as deployment:
            house.publish("two", labels=("bad", "fine"))
            deployment.hint()
            await house.told.until(lambda: bool(house.told.of(ModelRefused)))
            await house.look()
            assert len(house.told.of(GateJudged)) == 1
            refused = deployment.state.refused
            assert refused is not None
            assert refused.stage == "gate"
            assert "its labels are bad, fine; callers know negative, positive" in refused.reasons[0]
            with pytest.raises(ModelRejected, match="its labels are bad, fine"):
                await deployment.reload()
            assert (await house.ask())[0][1] == "positive"

    asyncio.run(scene())


def test_a_flapping_alias_costs_one_load_for_each_version(tmp_path: Path) -> None:
    """Back and forth between two versions moves a pointer: the other one is still warm."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            house.publish("two", bias=0.1)
            await deployment.reload()
            for name in ("one", "two") * 5:
                house.point(name)
                await house.look()
            await house.told.until(lambda: len(house.told.of(ModelSwapped)) == 12)
            assert len(house.told.of(GateJudged)) == 1
            assert (await house.ask())[0][2] == 0.8

    asyncio.run(scene())


def test_new_versions_beyond_the_budget_wait(tmp_path: Path) -> None:
    """A third new version in a row waits for its turn; a reload by a person does not."""

    async def scene() -> None:
        house = House(tmp_path, load_every=3600.0)
        house.options = replace(house.options, load_burst=1)
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            for name, bias in (("two", 0.1), ("three", 0.2)):
                house.publish(name, bias=bias)
                await house.look()
            await house.told.until(lambda: len(house.told.of(ModelSwapped)) == 2)
            assert (await house.ask())[0][2] == 0.8
            await deployment.reload()
            assert (await house.ask())[0][2] == 0.7

    asyncio.run(scene())


def test_a_registry_that_hangs_is_asked_one_question_at_a_time(tmp_path: Path) -> None:
    """The question has a time limit, the next one waits for its end, and requests are answered meanwhile."""
    release = threading.Event()
    asked = []

    def hang(reference: ModelRef) -> Revision:
        asked.append(reference)
        release.wait(30)
        raise SourceUnavailable("away")

    async def scene() -> None:
        house = House(tmp_path, poll_timeout=0.05)
        house.publish("one")
        async with house.open() as deployment:
            house.sources.answer = hang
            for _ in range(3):
                await house.look()
            assert len(asked) == 1
            assert [event.outcome for event in house.told.of(Polled)[1:]] == ["failed"] * 3
            assert (await house.ask())[0][1] == "positive"
            assert deployment.state.poll.outcome == "failed"
            release.set()

    asyncio.run(scene())


def test_a_reload_waits_for_a_look_and_does_not_take_it_for_a_change(tmp_path: Path) -> None:
    """A look changes nothing by itself; with a slow registry one is often going on."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            asked, release = threading.Event(), threading.Event()

            def slow(reference: ModelRef) -> Revision:
                house.sources.answer = None
                asked.set()
                release.wait(60)
                return house.sources.resolve(reference)

            house.sources.answer = slow
            deployment.hint()
            await asyncio.to_thread(asked.wait, 60)
            house.publish("two", bias=0.1)
            reloading = asyncio.create_task(deployment.reload())
            await asyncio.sleep(0)
            release.set()
            await reloading
            assert (await house.ask())[0][2] == 0.8

    asyncio.run(scene())


def test_a_machine_too_busy_to_try_a_version_is_nothing_against_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that tries it does not come up in time: it is tried again at the next look."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            house.publish("two", bias=0.1)
            with monkeypatch.context() as busy:
                busy.setattr(probing, "START_SECONDS", 0.0)
                await house.look()
            assert "did not start" in house.told.of(ModelRefused)[0].reasons[0]
            assert deployment.state.refused is None
            deployment.hint()
            await house.told.until(lambda: len(house.told.of(ModelSwapped)) == 2)
            assert (await house.ask())[0][2] == 0.8

    asyncio.run(scene())


def test_a_pinned_version_is_not_followed(tmp_path: Path) -> None:
    """A reference that cannot come to mean anything else leads to no more questions."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one")
        house.sources.answer = lambda ref: replace(Sources.resolve(house.sources, ref), pinned=True)
        async with house.open() as deployment:
            deployment.hint()
            await asyncio.sleep(0.05)
            assert len(house.told.of(Polled)) == 1
            assert not deployment.state.following

    asyncio.run(scene())


def test_an_error_that_nobody_foresaw_does_not_end_the_following(tmp_path: Path) -> None:
    """A registry's client, or a library, that raises something of its own is one failed look."""

    def surprise(reference: ModelRef) -> Revision:
        raise KeyError("artifact")

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            house.sources.answer = surprise
            await house.look()
            assert "asking the registry raised KeyError" in deployment.state.poll.reason
            house.sources.answer = None
            house.publish("two", bias=0.1)
            deployment.hint()
            await house.told.until(lambda: len(house.told.of(ModelSwapped)) == 2)

    asyncio.run(scene())
