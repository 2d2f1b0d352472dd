"""What goes wrong beside the model (the disk, the machine, our own code) costs neither the following nor the files."""

import asyncio
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pytest
from tests.fakes import words
from tests.unit.rollout.stage import House, Scripted, known_flavor, unavailable

from matinee.core.bundle import Bundle, Revision
from matinee.core.errors import MatineeError, ModelRejected, NotReady, SourceUnavailable
from matinee.core.events import Event, ModelClosed, ModelRefused, ModelSwapped, Polled
from matinee.core.manifest import Example, Manifest
from matinee.core.prediction import FloatArray, Row
from matinee.core.reference import ModelRef
from matinee.flavors import LoadOptions
from matinee.rollout import GateLimits, Stages, open_model, probing
from matinee.rollout.trial import answer
from matinee.sources import SourceOptions
from matinee.verify import Policy


@pytest.fixture(autouse=True)
def _flavor(tmp_path: Path) -> Iterator[None]:
    with known_flavor(tmp_path):
        yield


class Counting(Scripted):
    """Counts who uses each bundle; `full` makes a disk that takes no notes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(SourceOptions(cache_dir=folder / "cache", settle_seconds=0.0, attempts=1))
        self.held = Counter[str]()
        self.full = False

    def pull(self, revision: Revision) -> Bundle:
        """As usual, and counted."""
        bundle = super().pull(revision)
        self.held[bundle.digest] += 1
        return bundle

    def last_good(self, ref: ModelRef, passing_over: Collection[tuple[str, str]] = ()) -> Bundle | None:
        """As usual, and counted."""
        bundle = super().last_good(ref, passing_over)
        self.held.update([bundle.digest] if bundle else [])
        return bundle

    def release(self, bundle: Bundle) -> None:
        """As usual, and counted."""
        self.held[bundle.digest] -= 1
        super().release(bundle)

    def confirm(self, bundle: Bundle) -> None:
        """As usual, if there is room."""
        if self.full:
            raise SourceUnavailable("cannot write to the cache folder")
        super().confirm(bundle)


def test_a_full_disk_does_not_keep_a_version_from_answering(tmp_path: Path) -> None:
    """That it answers cannot be noted down, which matters only for a start without the registry."""

    async def scene() -> None:
        house = House(tmp_path)
        house.sources = sources = Counting(tmp_path)
        house.publish("one", bias=0.0)
        async with house.open():
            sources.full = True
            house.publish("two", bias=0.1)
            await house.look()
            assert (await house.ask())[0][2] == 0.8

    asyncio.run(scene())


def test_without_registry_a_cache_that_cannot_be_used_is_one_failed_attempt(tmp_path: Path) -> None:
    """It says which folder that is, and comes up once one of the two is back."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one")
        house.sources.answer = unavailable
        (tmp_path / "cache").write_text("a file is in the way")
        async with house.open(opened=False) as deployment:
            await house.told.until(lambda: "CACHE_DIR" in deployment.state.error)
            (tmp_path / "cache").unlink()
            house.sources.answer = None
            deployment.hint()
            async with asyncio.timeout(60):
                await deployment.opened()

    asyncio.run(scene())


def test_a_trial_that_cannot_take_place_gives_the_files_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the cache could never throw the version away."""

    async def scene() -> None:
        house = House(tmp_path)
        house.sources = sources = Counting(tmp_path)
        house.publish("one", bias=0.0)
        async with house.open():
            (live,) = sources.held
            house.publish("two", bias=0.1)
            with monkeypatch.context() as busy:
                busy.setattr(probing, "START_SECONDS", 0.0)
                await house.look()
            assert len(house.told.of(ModelRefused)) == 1
            assert len(sources.held) == 2
            assert +sources.held == {live: 1}
        assert +sources.held == {}

    asyncio.run(scene())


def test_a_model_that_cannot_be_closed_gives_its_files_back(tmp_path: Path) -> None:
    """Its own code raises at the end: that is logged, the version counts as closed, and the server ends as usual."""

    async def scene() -> None:
        house = House(tmp_path, warm_seconds=0.0)
        house.sources = sources = Counting(tmp_path)
        house.publish("one", bias=0.0, trouble="bad-end")
        async with house.open() as deployment:
            (first,) = sources.held
            house.publish("two", bias=0.1, trouble="bad-end")
            await deployment.reload()
            await house.told.until(lambda: len(house.told.of(ModelClosed)) == 1, seconds=10)
            assert sources.held[first] == 0
        assert +sources.held == {}

    asyncio.run(scene())


def test_a_refused_model_that_cannot_even_be_closed_is_told_by_its_reasons(tmp_path: Path) -> None:
    """What its own code raises at the end was taken for a bug of ours, which ended the following."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one", trouble="bad-end", examples=[Example("a good film", "negative")])
        async with house.open(opened=False) as deployment:
            with pytest.raises(ModelRejected, match="0 of 1 golden examples"):
                await deployment.opened()

    asyncio.run(scene())


def test_a_refused_cascade_gives_the_files_of_all_its_members_back(tmp_path: Path) -> None:
    """Also those of the first member when the second one is refused."""
    one = words.write(tmp_path / "one", quick=True)
    sources = Counting(tmp_path)
    stages = Stages(sources, Policy(), LoadOptions(), lambda _: None)
    digest = open_model("one", ModelRef.parse(str(one)), stages).identity.digest
    sources.held.clear()
    both = tmp_path / "both"
    both.mkdir()
    members = {role: {"reference": str(one), "digest": known} for role, known in (("quick", digest), ("full", "other"))}
    manifest = Manifest(name="both", flavor="cascade", labels=words.LABELS, options={"members": members})
    (both / "matinee.json").write_text(manifest.to_json())
    with pytest.raises(ModelRejected, match=r"options\.members\.full promises other"):
        open_model("both", ModelRef.parse(str(both)), stages)
    assert len(sources.held) == 2
    assert +sources.held == {}


def test_a_model_whose_code_exits_is_refused(tmp_path: Path) -> None:
    """`sys.exit(0)` while it is loaded would otherwise end the server, and even call that a success."""

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one", trouble="exits")
        async with house.open(opened=False) as deployment:
            with pytest.raises(ModelRejected, match="loading raised SystemExit"):
                await deployment.opened()

    asyncio.run(scene())


def test_a_model_that_hangs_in_its_examples_is_refused(tmp_path: Path) -> None:
    """It was loaded in time; nothing may wait for it without end, or there would be no further look."""
    words.RELEASE.clear()

    async def scene() -> None:
        house = House(tmp_path, gate=GateLimits(load_seconds=0.3))
        house.publish("one", trouble="late-hang", examples=[Example("a good film", "positive")] * 5)
        async with house.open(opened=False) as deployment:
            with pytest.raises(ModelRejected, match="the golden examples took more than 3 seconds"):
                await deployment.opened()

    try:
        asyncio.run(scene())
    finally:
        words.RELEASE.set()


class Panicking(words.Words):
    """Runs into a panic of a library written in Rust, which is no `Exception`."""

    class Panic(BaseException):
        """What such a library raises."""

    def run(self, rows: Sequence[Row]) -> FloatArray:
        """Never answers."""
        raise self.Panic


def test_a_panic_in_a_trial_is_a_text_without_an_answer() -> None:
    """It is told by its kind, as any other error of the model."""
    answered = answer(Panicking(Manifest(name="words", flavor="words", labels=words.LABELS)), "a good film")
    assert (answered.label, answered.error) == ("", "Panic")


def test_a_bug_in_following_is_told_and_nobody_waits_for_it(tmp_path: Path) -> None:
    """A listener that fails stands for any bug of ours: the start fails with its kind, and so does the state."""

    def broken(event: Event) -> None:
        if isinstance(event, Polled):
            raise ZeroDivisionError

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one")
        house.told.hooks.append(broken)
        async with house.open(opened=False) as deployment:
            with pytest.raises(MatineeError, match="ZeroDivisionError"):
                async with asyncio.timeout(60):
                    await deployment.opened()
            assert "ZeroDivisionError" in deployment.state.error

    asyncio.run(scene())


def test_a_machine_without_a_thread_to_spare_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an end of the following nor a question that is never asked again."""

    def none_left(_thread: object) -> None:
        raise RuntimeError("can't start new thread")

    async def scene() -> None:
        house = House(tmp_path)
        house.publish("one", bias=0.0)
        async with house.open() as deployment:
            house.publish("two", bias=0.1)
            with monkeypatch.context() as exhausted:
                exhausted.setattr(threading.Thread, "start", none_left)
                with pytest.raises(NotReady, match="no thread"):
                    await deployment.reload()
            await house.look()
            await house.told.until(lambda: len(house.told.of(ModelSwapped)) == 2)

    asyncio.run(scene())
