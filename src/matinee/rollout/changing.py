"""How the version behind a name changes: a candidate is prepared beside it, then one pointer moves."""

from collections.abc import Mapping
from contextlib import suppress

from matinee.core.bundle import Revision
from matinee.core.errors import Conflict, CorruptBundle, MatineeError, ModelRejected, Refused, SourceUnavailable
from matinee.core.events import ModelRefused
from matinee.rollout.gate import Verdict
from matinee.rollout.history import Entry, Key
from matinee.rollout.live import Live, Switch
from matinee.rollout.opening import Parcel, Stages
from matinee.rollout.preparation import Preparation
from matinee.rollout.probing import Probe
from matinee.rollout.record import Record

TRIED_AGAIN = (SourceUnavailable, Refused)  # what says something of the moment, and nothing of the version
CORRUPT_SECONDS = 600.0  # wrong bytes may be the registry's, or those of something on the way that will be repaired


class GateRefusal(ModelRejected):
    """The gate did not let a candidate pass; `verdict` holds the figures."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.reasons)
        self.verdict = verdict


class Changer:
    """Changes what one deployment answers with, and keeps the record of it.

    The slow methods (`start_with`, `start_with_last_good`, `change_to`, `go_back`) are called one at a time; their
    caller sees to that. `back` is one step that may happen at any moment.
    """

    def __init__(self, switch: Switch, preparation: Preparation, record: Record, stages: Stages) -> None:
        self.switch = switch
        self.preparation = preparation
        self.record = record
        self.candidate: Revision | None = None
        self._stages = stages

    # --- the first version ----------------------------------------------------------------------------------

    async def start_with(self, revision: Revision) -> None:
        """Answer with `revision`; when it was refused, or is now, with what was live before that, if it can be had.

        What an earlier process refused is then judged once more: its settings may have been the reason.
        """
        started = self.record.is_held(revision.key) and await self._start_before(revision)
        self.record.forget_refusals()
        if started:
            return
        self.candidate = revision
        try:
            await self._start(await self.preparation.fetch(revision))
        except MatineeError as error:
            self._refuse(revision, error)
            if not await self._start_before(revision):
                raise
        finally:
            self.candidate = None

    async def start_with_last_good(self) -> bool:
        """The registry does not tell: answer with the newest version in the cache, marked stale; false for none.

        What was refused or gone back from is better than nothing, and only that.
        """
        parcel = await self.preparation.last_good(self.record.held) or await self.preparation.last_good()
        if parcel is not None:
            await self._start(parcel)
            self.record.forget_refusals()
        return parcel is not None

    async def _start_before(self, refused: Revision) -> bool:
        before = self.record.last_live(refused.key)
        if before is None:
            return False
        with suppress(MatineeError):
            await self._start(await self.preparation.fetch(before.revision(refused.reference)))
        return self.switch.live is not None

    async def _start(self, parcel: Parcel) -> None:
        """What an earlier process went back from stays on record, for the process after this one."""
        left = self.record.left
        await self._put(parcel, "start", {}, held=left if left != parcel.bundle.revision.key else None)

    # --- another version ------------------------------------------------------------------------------------

    def is_live(self, revision: Revision) -> bool:
        """Whether `revision` is what answers."""
        return self.switch.live is not None and self.switch.live.revision.key == revision.key

    def is_warm(self, revision: Revision) -> bool:
        """Whether `revision` is the previous version, still in memory."""
        return self.switch.previous is not None and self.switch.previous.revision.key == revision.key

    async def change_to(self, revision: Revision, cause: str) -> None:
        """Answer with `revision` if it proves good; else raises the reason, and nothing has changed."""
        if self.is_warm(revision):
            self._back(cause)
            return
        self.candidate, left = revision, self.record.left
        try:
            async with self.preparation.probing() as probe:
                parcel = await self.preparation.fetch(revision)
                figures = await self._judged(probe, parcel)
            if left != self.record.left == revision.key:
                await self.preparation.discard(parcel)
                raise Conflict("another process went back from it meanwhile")
            await self._put(parcel, cause, figures)
        except MatineeError as error:
            self._refuse(revision, error)
            raise
        finally:
            self.candidate = None

    async def _judged(self, probe: Probe, parcel: Parcel) -> Mapping[str, float]:
        if self.switch.current is None:
            return {}
        verdict = await self.preparation.judge(probe, parcel, self.switch.current)
        if not verdict.passed:
            raise GateRefusal(verdict)
        return verdict.figures

    # --- the version before ---------------------------------------------------------------------------------

    def back(self, cause: str, reasons: tuple[str, ...] = ()) -> Live:
        """Answer with the previous version, and pass over the present one until the reference means another."""
        left = self.switch.live
        return self._back(cause, reasons=reasons, held=left.revision.key if left else None)

    async def go_back(self, cause: str, reasons: tuple[str, ...] = ()) -> Live:
        """The same when the version before is no longer in memory: it is fetched (from the cache) and loaded again."""
        left = self.switch.live
        before = self.record.last_live(left.revision.key) if left else None
        if left is None or before is None:
            raise Conflict("there is no earlier version to go back to")
        parcel = await self.preparation.fetch(before.revision(left.revision.reference))
        return await self._put(parcel, cause, {}, reasons=reasons, held=left.revision.key)

    async def go_to(self, revision: Revision, left: Key) -> None:
        """Answer with `revision`, for another process has gone back to it from `left`."""
        if self.is_live(revision):
            return
        if self.is_warm(revision):
            self._back("rollback", held=left)
        else:
            await self._put(await self.preparation.fetch(revision), "rollback", {}, held=left)

    # --- the steps ------------------------------------------------------------------------------------------

    def _back(self, cause: str, **more: object) -> Live:
        left = self.switch.live
        live = self.switch.back(cause)
        self._note(live, left, cause, **more)
        return live

    async def _put(self, parcel: Parcel, cause: str, figures: Mapping[str, float], **more: object) -> Live:
        version = await self.preparation.load(parcel, self.switch.current, figures)
        left = self.switch.live
        self.switch.put(version, cause)
        self._note(version.live, left, cause, figures=figures, **more)
        return version.live

    def _note(self, live: Live, left: Live | None, cause: str, **more: object) -> None:
        previous = left.identity.version if left else ""
        self.record.add(Entry.live(live.identity, live.revision, cause, previous=previous, **more))

    def _refuse(self, revision: Revision, error: MatineeError) -> None:
        """Put a refusal on record; when only the registry was away, it is tried again at the next look."""
        stage = self.preparation.stage
        reasons = error.reasons if isinstance(error, ModelRejected) else (error.message,)
        self._stages.observe(ModelRefused(self.preparation.name, revision.version, stage, reasons))
        if not isinstance(error, TRIED_AGAIN):
            figures = error.verdict.figures if isinstance(error, GateRefusal) else {}
            self.record.add(Entry.refused(revision, stage, reasons, figures=figures))
        if isinstance(error, CorruptBundle):
            self.record.try_again(revision.key, CORRUPT_SECONDS)
