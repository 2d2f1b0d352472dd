"""One deployment: the name that callers use, the version behind it, and the reference that it follows."""

import asyncio
import logging
import time
from dataclasses import replace

from matinee.core.bundle import Revision
from matinee.core.errors import Conflict, MatineeError
from matinee.core.events import Polled
from matinee.core.reference import ModelRef
from matinee.rollout.budget import LoadBudget
from matinee.rollout.changing import TRIED_AGAIN, Changer
from matinee.rollout.history import Entry, Key
from matinee.rollout.live import Live, Switch, Version
from matinee.rollout.opening import Opening, Stages
from matinee.rollout.options import RolloutOptions
from matinee.rollout.preparation import Preparation
from matinee.rollout.record import Record
from matinee.rollout.state import CandidateState, DeploymentState, PollState, RefusalState, describe
from matinee.rollout.watcher import Watcher

logger = logging.getLogger("matinee.rollout")

START_INTERVAL = 1.0  # seconds before the first retry, while nothing answers yet


class Deployment:
    """Answers under one name with what one reference means, and follows it.

    Made, started, used and closed on one event loop. To answer:
    `with deployment.acquire() as live: predictions = await live.engine.predict(texts)`.
    """

    def __init__(self, name: str, reference: ModelRef, stages: Stages, options: RolloutOptions) -> None:
        self.name = name
        self.reference = reference
        self._observe = stages.observe
        self._following = options.poll_seconds > 0
        self._switch = Switch(stages.observe, options.warm_seconds)
        self._record = Record(name, str(reference), options.state_dir)
        self._preparation = Preparation(Opening(name, reference, stages), stages, options, self._take_back)
        self._changer = Changer(self._switch, self._preparation, self._record, stages)
        self._watcher = Watcher(self._look, options.poll_seconds)
        self._budget = LoadBudget(options.load_burst, options.load_every)
        self._changing = asyncio.Lock()
        self._poll = PollState("none", 0.0, 0.0, "", 0.0)
        self._error = ""
        self._first = asyncio.Event()
        self._unservable: MatineeError | None = None
        self._task: asyncio.Task[None] | None = None
        self._taking_back: asyncio.Task[None] | None = None

    # --- answering ------------------------------------------------------------------------------------------

    def acquire(self) -> Version:
        """A context manager that yields the `Live` version, open until the block ends; raises `NotReady`."""
        return self._switch.acquire()

    @property
    def live(self) -> Live | None:
        """The version that answers now; None before the first one is loaded."""
        return self._switch.live

    @property
    def history(self) -> list[Entry]:
        """What was live or refused when and why, oldest first; it survives a restart where a folder is set."""
        return self._record.entries

    @property
    def _follows(self) -> bool:
        return self._following and not (self.live is not None and self.live.revision.pinned)

    @property
    def queued(self) -> int:
        """How many texts wait or run."""
        return self._preparation.admission.held

    @property
    def state(self) -> DeploymentState:
        """Everything that people may want to know, as plain values."""
        live, previous, refused = self.live, self._switch.previous, self._record.last_refusal
        candidate = self._changer.candidate
        poll = self._poll
        return DeploymentState(
            name=self.name,
            reference=str(self.reference),
            ready=live is not None,
            stale=live is not None and live.stale,
            following=self._follows,
            live=describe(live) if live else None,
            previous=describe(previous) if previous else None,
            candidate=CandidateState(candidate.version, self._preparation.stage) if candidate else None,
            refused=RefusalState.of(refused) if refused else None,
            poll=replace(poll, stale_seconds=self._watcher.stale_seconds if self._follows else 0.0),
            error=self._error or self._record.problem,
            queued=self.queued,
        )

    # --- from start to close --------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to open the model and to follow its reference, beside whatever else the event loop does."""
        self._task = asyncio.create_task(self._run(), name=f"matinee-rollout-{self.name}")
        self._task.add_done_callback(self._ended)

    async def opened(self) -> None:
        """Wait for the first version; raises the reason when the model cannot be served as things are.

        A registry that is away is no such reason: it is asked again until it answers.
        """
        await self._first.wait()
        if self.live is None and self._unservable is not None:
            raise self._unservable

    async def close(self) -> None:
        """Stop following, let every version finish what it has begun, and close it."""
        tasks = [task for task in (self._task, self._taking_back) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._switch.close()
        await self._record.flush()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Only a bug ends the following before `close`: it shows in the state, and nobody waits for a first version."""
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("following %s has ended", self.reference, exc_info=error)
            self._error = f"following has ended with an unexpected {type(error).__name__}"
            self._unservable = MatineeError(self._error)
            self._first.set()

    async def _run(self) -> None:
        failures = 0
        while self.live is None:
            try:
                async with self._changing:
                    if self.live is None:  # a person's reload may have been quicker
                        await self._open_first()
            except MatineeError as error:
                self._error = error.message
                if not isinstance(error, TRIED_AGAIN):
                    self._unservable = error
                    self._first.set()
                failures += 1
                await self._watcher.wait(failures, START_INTERVAL)
        self._error = ""
        self._first.set()
        if self.live.revision.pinned:
            return
        await self._watcher.run()

    async def _open_first(self) -> None:
        try:
            revision = await self._ask()
        except MatineeError:  # the registry is away, or does not know us or the alias any more
            if not await self._changer.start_with_last_good():
                raise
        else:
            await self._changer.start_with(revision)
            if self._changer.is_live(revision):  # it differed from nothing
                self._poll = replace(self._poll, outcome="same")

    # --- following ------------------------------------------------------------------------------------------

    def hint(self) -> None:
        """Somebody says that the reference may have moved: look now."""
        self._watcher.hint()

    async def reload(self) -> Live:
        """Look now, and try what was refused before once more; raises the reason when it does not come to answer."""
        if self._changer.candidate is not None:
            raise Conflict("another change is going on; look at it again when that has ended")
        async with self._changing:
            revision = await self._ask()
            if not self._changer.is_live(revision):
                await self._changer.change_to(revision, "reload")
        with self.acquire() as live:
            return live

    async def rollback(self) -> Live:
        """Answer with the version before this one; at once while it is kept warm, else after loading it again.

        What is gone back from is passed over until the reference means something else. Raises `Conflict` when
        there is nothing to go back to, and when another version came to answer while this waited for its turn.
        """
        if self._switch.previous is not None:
            return self._changer.back("rollback")
        return await self._go_back(self._switch.current, "rollback")

    @property
    def left(self) -> Key | None:
        """The key of the revision that was gone back from, while the reference still means it."""
        return self._record.left

    async def leave(self, key: Key, revision: Revision) -> None:
        """Another process of this server has gone back from `key` to `revision`: do the same here.

        What was gone back from may be what answers here, or on its way, or not yet known.
        """
        self._record.leave(key)
        if self._changer.is_warm(revision):
            await self._changer.go_to(revision, key)  # at once
        async with self._changing:  # a change towards what was left may have been past the last look
            await self._changer.go_to(revision, key)

    async def _go_back(self, version: Version | None, cause: str, *reasons: str) -> Live:
        """From `version`, and from no other, to the one before it, which is loaded again."""
        async with self._changing:
            if self._switch.current is not version:
                raise Conflict("another version has come to answer meanwhile; ask again to go back from that one")
            return await self._changer.go_back(cause, reasons)

    def _take_back(self, version: Version, reason: str) -> None:
        """A new version does badly: go back from it, but to none that was refused or gone back from itself."""

        async def back() -> None:
            previous = self._switch.previous
            if self._switch.current is not version:
                return
            if previous is not None and not self._record.is_held(previous.revision.key):
                self._changer.back("auto-rollback", (reason,))
                return
            try:
                await self._go_back(version, "auto-rollback", reason)
            except MatineeError as error:
                logger.warning("%s does badly (%s), and cannot be taken back: %s", self.name, reason, error.message)

        self._taking_back = asyncio.create_task(back())

    async def _look(self) -> bool:
        """One look at the registry, and what follows from it; answers whether the registry did."""
        async with self._changing:
            try:
                revision = await self._ask()
            except MatineeError:
                return False
            if not self._changer.is_live(revision) and not self._record.is_held(revision.key):
                return await self._follow(revision)
        return True

    async def _follow(self, revision: Revision) -> bool:
        if not self._changer.is_warm(revision):
            if wait := self._budget.wait():
                asyncio.get_running_loop().call_later(wait, self.hint)
                return True
            self._budget.spend()
        try:
            await self._changer.change_to(revision, "follow")
        except TRIED_AGAIN:
            return False
        except MatineeError:
            return True  # on record
        return True

    async def _ask(self) -> Revision:
        """One question to the registry, told to whoever listens."""
        began = time.perf_counter()
        try:
            revision = await self._preparation.resolve()
        except MatineeError as error:
            self._polled("failed", began, error.message)
            raise
        self._watcher.seen()
        self._record.means(revision.key)
        if self._changer.is_live(revision):
            self._switch.confirm()
            self._polled("same", began)
        else:
            self._polled("differs", began)
        return revision

    def _polled(self, outcome: str, began: float, reason: str = "") -> None:
        seconds, stale = time.perf_counter() - began, self._watcher.stale_seconds
        self._poll = PollState(outcome, time.time(), seconds, reason, stale)
        self._observe(Polled(self.name, outcome, seconds, stale, reason))
