"""Which version answers: a pointer, and a count of the requests that still use each version.

Everything here happens on the event loop, so that a request sees one version from its start to its end without
a lock: taking a version and switching to another are each one step that nothing can interrupt.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType

from matinee.core import background
from matinee.core.bundle import Revision
from matinee.core.errors import Conflict, ModelRejected, NotReady
from matinee.core.events import ModelClosed, ModelSwapped, Observe
from matinee.core.manifest import Manifest
from matinee.core.prediction import ModelIdentity
from matinee.engine import Engine
from matinee.rollout.opening import refusing
from matinee.rollout.recent import Probation, Recent

logger = logging.getLogger("matinee.rollout")

NEW = ("follow", "reload")  # causes of a change to what has yet to prove itself


@dataclass(frozen=True, slots=True)
class Live:
    """A version that can answer; `since` is in seconds since the epoch, `labels` as its classifier gives them.

    `figures` are what the gate measured when it was let in.
    """

    engine: Engine
    identity: ModelIdentity
    manifest: Manifest
    revision: Revision
    labels: tuple[str, ...]
    since: float
    stale: bool
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """The reference that led to this version, as it was written."""
        return self.identity.source


class Version:
    """A version, its users, and those who watch it; as a context manager it is one use."""

    __slots__ = ("_release", "drained", "live", "probation", "recent", "users")

    def __init__(self, live: Live, recent: Recent, probation: Probation, release: Callable[[], None]) -> None:
        self.live = live
        self.recent = recent
        self.probation = probation
        self._release = release
        self.users = 0
        self.drained = asyncio.Event()
        self.drained.set()

    def __enter__(self) -> Live:
        self.users += 1
        self.drained.clear()
        return self.live

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.probation.failed(error)
        self.users -= 1
        if self.users == 0:
            self.drained.set()

    async def close(self) -> None:
        """Close the engine after what it has begun, and give the files back, whatever the model's own code does."""
        await self.drained.wait()
        try:
            with refusing("closing"):
                await self.live.engine.close()
        except ModelRejected as error:
            logger.warning("%s %s: %s", self.live.identity.name, self.live.identity.version, error.message)
        finally:
            await background.run(self._release)


class Switch:
    """The version that answers, and the one before it, kept warm for `warm_seconds` so that going back is instant."""

    def __init__(self, observe: Observe, warm_seconds: float) -> None:
        self._observe = observe
        self._warm_seconds = warm_seconds
        self._current: Version | None = None
        self._previous: Version | None = None
        self._closing: dict[Version, asyncio.Task[None]] = {}

    @property
    def current(self) -> Version | None:
        """What answers now, with those who watch it."""
        return self._current

    @property
    def live(self) -> Live | None:
        """What answers now."""
        return self._current.live if self._current else None

    @property
    def previous(self) -> Live | None:
        """What can be gone back to at once."""
        return self._previous.live if self._previous else None

    def acquire(self) -> Version:
        """A context manager that yields the `Live` version and keeps it open until the block ends."""
        if self._current is None:
            raise NotReady("no model is loaded yet", retry_after=2)
        return self._current

    def put(self, new: Version, cause: str) -> None:
        """Answer with `new` from now on; requests in flight finish where they are."""
        old, forgotten = self._current, self._previous
        if cause in NEW:
            new.probation.begin()
        if task := self._closing.pop(new, None):
            task.cancel()
        self._current, self._previous = new, old
        self._observe(ModelSwapped(new.live.identity, old.live.identity if old else None, cause))
        if forgotten is not None and forgotten is not new:
            self._close_later(forgotten, 0.0)
        if old is not None:
            self._close_later(old, self._warm_seconds)

    def back(self, cause: str) -> Live:
        """Answer with the previous version again; raises `Conflict` when none is kept."""
        version = self._previous
        if version is None:
            raise Conflict("there is no earlier version in memory to go back to")
        version.live = replace(version.live, since=time.time(), stale=False)  # something else was meant since
        self.put(version, cause)
        return version.live

    def confirm(self) -> None:
        """The registry says that what answers is current after all: it is not stale any more."""
        if self._current is not None and self._current.live.stale:
            self._current.live = replace(self._current.live, stale=False)

    def _close_later(self, version: Version, delay: float) -> None:
        if task := self._closing.pop(version, None):
            task.cancel()
        self._closing[version] = asyncio.create_task(self._retire(version, delay))

    async def _retire(self, version: Version, delay: float) -> None:
        """Close `version` after `delay` seconds and after its last request."""
        await asyncio.sleep(delay)
        if version is self._previous:
            self._previous = None
        await version.close()
        self._closing.pop(version, None)
        self._observe(ModelClosed(version.live.identity))

    async def close(self) -> None:
        """Close every version; each engine first finishes what it has begun."""
        for task in self._closing.values():
            task.cancel()
        await asyncio.gather(*self._closing.values(), return_exceptions=True)
        versions = {*self._closing, self._current, self._previous} - {None}
        self._closing, self._current, self._previous = {}, None, None
        for version in versions:
            if version is not None:
                await version.close()
                self._observe(ModelClosed(version.live.identity))
