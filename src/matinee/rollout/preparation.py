"""From a revision to a version that is ready to answer: fetched, judged, loaded, tried out, warm."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager, suppress

from matinee.core import background
from matinee.core.bundle import Revision
from matinee.core.errors import ModelRejected, NotReady, SourceUnavailable
from matinee.core.events import GateJudged, fan_out
from matinee.core.prediction import Classifier
from matinee.engine import Admission, Engine
from matinee.rollout.gate import Verdict, golden_examples, golden_reasons, try_out
from matinee.rollout.history import Key
from matinee.rollout.live import Live, Version
from matinee.rollout.opening import Opened, Opening, Parcel, Stages, refusing
from matinee.rollout.options import RolloutOptions
from matinee.rollout.probing import Probe, probing
from matinee.rollout.recent import Probation, Recent, percentile
from matinee.rollout.trial import answer_all

START_PATIENCE = 10  # at the start nothing answers yet that a slow load could disturb


@contextmanager
def in_time(what: str, limit: float) -> Iterator[None]:
    """Make a refusal of a `TimeoutError` that is raised inside."""
    try:
        yield
    except TimeoutError:
        raise ModelRejected([f"{what} took more than {limit:g} seconds"]) from None


class Preparation:
    """Makes the versions of one deployment. Everything slow happens beside the event loop.

    `breach` is called with a version and the reason when it does badly in its first minutes.
    """

    def __init__(
        self,
        opening: Opening,
        stages: Stages,
        options: RolloutOptions,
        breach: Callable[[Version, str], None],
    ) -> None:
        self.name = opening.name
        self.admission = Admission(options.queue_size)
        self._opening = opening
        self._stages = stages
        self._options = options
        self._breach = breach
        self._asking = False

    @property
    def stage(self) -> str:
        """How far the present candidate has come: `resolve`, `pull`, `verify`, `gate` or `load`."""
        return self._opening.stage

    async def resolve(self) -> Revision:
        """Ask the registry; raises `SourceUnavailable` while an earlier question is still without an answer."""
        if self._asking:
            raise SourceUnavailable("the registry has not answered the last question yet")

        def ask() -> Revision:
            try:
                return self._opening.resolve()
            finally:
                self._asking = False

        self._asking = True
        limit = self._options.poll_timeout
        try:
            return await background.run(ask, limit=limit, nice=background.NICE)
        except TimeoutError:
            raise SourceUnavailable(f"the registry did not answer within {limit:g} seconds") from None
        except NotReady:  # no thread could be started: the question was not asked
            self._asking = False
            raise

    async def fetch(self, revision: Revision) -> Parcel:
        """Pull and verify `revision`."""
        work, late = lambda: self._opening.fetch(revision), self._opening.release
        return await background.run(work, nice=background.NICE, late=late)

    async def last_good(self, passing_over: Collection[Key] = ()) -> Parcel | None:
        """The last revision in the cache that has answered, verified; None when there is none."""
        reference, sources = self._opening.reference, self._stages.sources

        def find() -> Parcel | None:
            bundle = sources.last_good(reference, passing_over)
            return self._opening.unpack(bundle) if bundle else None

        def give_back(parcel: Parcel | None) -> None:
            if parcel is not None:
                self._opening.release(parcel)

        return await background.run(find, late=give_back)

    def probing(self) -> AbstractAsyncContextManager[Probe]:
        """A process for `judge`, which is best started before `fetch`: it has to import much. Raises `NotReady`."""
        return probing(self._stages.load, self._options.gate)

    async def judge(self, probe: Probe, parcel: Parcel, against: Version) -> Verdict:
        """Have the candidate tried out in a process of its own and say whether it may answer."""
        self._opening.stage = "gate"
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.discard, parcel)
            golden = golden_examples(self._options.gate, parcel)
            with refusing("the trial"):
                verdict = await try_out(probe, parcel, golden, against, self._options.gate)
            if verdict.passed:
                undo.pop_all()
        identity = self._opening.identity(parcel)
        self._stages.observe(GateJudged(identity, verdict.passed, verdict.figures, verdict.reasons))
        return verdict

    async def load(self, parcel: Parcel, before: Version | None, figures: Mapping[str, float]) -> Version:
        """Load into this process, try the golden examples out, and start an engine; raises `ModelRejected`."""
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.discard, parcel)
            limit = self._options.gate.load_seconds * (START_PATIENCE if before is None else 1)
            opened = await self._opened(parcel, limit)
            undo.push_async_callback(self._closed, opened.classifier, limit)
            opened = opened.renamed(self._options.gate.label_names)
            with in_time("answering the golden examples", limit):
                await background.run(lambda: self._warm_up(opened, limit), limit=limit)
            version = await self._version(opened, before, figures)
            with suppress(SourceUnavailable):  # it answers, even if the cache cannot be written to
                await background.run(lambda: self._opening.confirm(parcel))
            undo.pop_all()
            return version

    async def discard(self, parcel: Parcel) -> None:
        """It is not going to answer: its files are not used any more."""
        await background.run(lambda: self._opening.release(parcel))

    async def _opened(self, parcel: Parcel, limit: float) -> Opened:
        work, late = lambda: self._opening.load(parcel), lambda opened: opened.classifier.close()
        with in_time("loading", limit):
            return await background.run(work, limit=limit, late=late)

    async def _closed(self, classifier: Classifier, limit: float) -> None:
        """Give up what was loaded; that its own code cannot even be closed is no further reason."""
        with suppress(ModelRejected), refusing("closing"):
            await background.run(classifier.close, limit=limit)

    def _warm_up(self, opened: Opened, seconds: float) -> None:
        golden = golden_examples(self._options.gate, opened.parcel)
        answered = answer_all(opened.classifier, [example.text for example in golden], seconds)
        reasons, _ = golden_reasons(golden, answered, self._options.gate)
        if reasons:
            raise ModelRejected(reasons)

    async def _version(self, opened: Opened, before: Version | None, figures: Mapping[str, float]) -> Version:
        recent = Recent(self._options.gate.recent_texts)
        before_ms = percentile([seen.seconds * 1000 for seen in before.recent.seen], 0.95) if before else 0.0
        probation = Probation(self._options.probation, before_ms, lambda reason: self._breach(version, reason))
        engine = Engine(
            opened.classifier,
            opened.identity,
            self.admission,
            self._options.engine,
            fan_out(recent.observe, probation.observe, self._stages.observe),
        )
        await engine.start()
        live = Live(
            engine=engine,
            identity=opened.identity,
            manifest=opened.manifest,
            revision=opened.revision,
            labels=opened.classifier.labels,
            since=time.time(),
            stale=opened.stale,
            figures=figures,
        )
        version = Version(live, recent, probation, lambda: self._opening.release(opened.parcel))
        return version
