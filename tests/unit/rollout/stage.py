"""What the tests of rollout share: deployments of the flavor `words`, behind an alias that is a link to a folder."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.fakes import words

from matinee.core.bundle import Revision
from matinee.core.errors import SourceUnavailable
from matinee.core.events import Event, Polled
from matinee.core.reference import ModelRef
from matinee.flavors import LoadOptions
from matinee.rollout import Deployment, GateLimits, RolloutOptions, Stages
from matinee.sources import SourceOptions, Sources
from matinee.verify import Policy


class Told:
    """Keeps the events and lets a test wait for one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.hooks: list[Callable[[Event], None]] = []
        self._changed = asyncio.Event()

    def __call__(self, event: Event) -> None:
        """An `Observe`; also from threads."""
        self.events.append(event)
        for hook in self.hooks:
            hook(event)
        self._loop.call_soon_threadsafe(self._changed.set)

    def attach(self) -> None:
        """Belong to the running loop."""
        self._loop = asyncio.get_running_loop()

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, happened: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until `happened`, looked at after every event."""
        async with asyncio.timeout(seconds):
            while not happened():
                self._changed.clear()
                if happened():
                    return
                try:
                    async with asyncio.timeout(0.05):
                        await self._changed.wait()
                except TimeoutError:
                    continue


class Scripted(Sources):
    """Sources whose registry does what the test says: `revision` is what it answers, or the error that it raises."""

    def __init__(self, options: SourceOptions) -> None:
        super().__init__(options)
        self.answer: Callable[[ModelRef], Revision] | None = None

    def resolve(self, ref: ModelRef) -> Revision:
        """The scripted answer, else the real one."""
        return self.answer(ref) if self.answer else super().resolve(ref)


class House:
    """One deployment of the alias `folder/current`, and versions to point it at."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.told = Told()
        self.link = folder / "current"
        self.sources = Scripted(SourceOptions(cache_dir=folder / "cache", settle_seconds=0.0, attempts=1))
        gate = options.pop("gate", GateLimits())
        self.options = replace(
            RolloutOptions(poll_seconds=0, load_burst=1000, state_dir=folder / "state"), gate=gate, **options
        )
        self.deployment: Deployment

    def publish(self, name: str, **options: Any) -> None:
        """Write a version and let the alias mean it."""
        words.write(self.folder / name, **options)
        self.point(name)

    def point(self, name: str) -> None:
        """Let the alias mean a version that is there already."""
        words.point(self.link, self.folder / name)

    @asynccontextmanager
    async def open(self, *, opened: bool = True) -> AsyncIterator[Deployment]:
        """The deployment, started, with its first version unless told otherwise."""
        self.told.attach()
        stages = Stages(self.sources, Policy(), LoadOptions(), self.told)
        self.deployment = Deployment("words", ModelRef.parse(str(self.link)), stages, self.options)
        self.deployment.start()
        try:
            if opened:
                await self.deployment.opened()
            yield self.deployment
        finally:
            await self.deployment.close()

    async def look(self) -> None:
        """Let the deployment look at the registry once, and wait until it has looked and done what follows."""
        looks = len(self.told.of(Polled))
        self.deployment.hint()
        await self.told.until(lambda: len(self.told.of(Polled)) > looks and self.deployment.state.candidate is None)

    async def ask(self, *texts: str) -> list[tuple[str, str, float]]:
        """Answers as (version, label, highest score)."""
        with self.deployment.acquire() as live:
            predictions = await live.engine.predict(list(texts) or ["a good film"])
            return [(live.identity.version, p.label, round(max(p.scores.values()), 3)) for p in predictions]


@contextmanager
def known_flavor(folder: Path) -> Iterator[None]:
    """Make the flavor `words` known while the block runs."""
    path = str(words.plugin(folder / "plugin"))
    sys.path.append(path)
    try:
        yield
    finally:
        sys.path.remove(path)


def unavailable(reference: ModelRef) -> Revision:
    """A registry that is away."""
    raise SourceUnavailable(f"{reference}: the registry is away")
