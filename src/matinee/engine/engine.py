"""`Engine.predict`: from the texts of one request to its predictions."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import cast

from matinee.core import background
from matinee.core.errors import DeadlineExceeded, InvalidRequest
from matinee.core.events import Observe, Predicted
from matinee.core.prediction import Classifier, ModelIdentity, Overflow, Prediction
from matinee.engine.admission import Admission
from matinee.engine.answers import Answers, Key
from matinee.engine.batcher import Batcher
from matinee.engine.jobs import Ask, Job
from matinee.engine.presence import Presence


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """`timeout_seconds` for requests that name none; the answer cache's bounds, where 0 turns it off."""

    timeout_seconds: float = 30.0
    cache_entries: int = 10_000
    cache_bytes: int = 8 * 1024 * 1024
    overflow: Overflow | None = None  # where a request does not say; None: the model's own


class Engine:
    """Answers texts with one loaded version; owns the classifier from `start` to `close`."""

    def __init__(
        self,
        classifier: Classifier,
        model: ModelIdentity,
        admission: Admission,
        limits: EngineLimits,
        observe: Observe,
    ) -> None:
        self.classifier = classifier
        self.model = model
        self._admission = admission
        self._limits = limits
        self._observe = observe
        self._answers = Answers(limits.cache_entries, limits.cache_bytes)
        self._batcher = Batcher(classifier, model, observe)
        self._presence = Presence()
        self._untold: list[Predicted] = []

    async def start(self) -> None:
        """Bind to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._batcher.start()

    async def close(self) -> None:
        """Take nothing new, answer what is inside, then close the classifier. A second call waits for nothing."""
        if self._presence.closing:
            return
        await self._presence.close()
        await background.run(self._batcher.close)
        await background.run(self.classifier.close)

    async def predict(
        self,
        texts: Sequence[str],
        *,
        overflow: Overflow | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the request's own deadline, which also orders the work
        request_id: str = "",
    ) -> list[Prediction]:
        """Answer `texts`, in order; `timeout` in seconds, `overflow` overrides the limits' and the model's.

        Raises `Overloaded`, `ShuttingDown` and `TooManyTexts` at once; `DeadlineExceeded` when the time is up;
        `TextTooLong` or `ClassifierFailed` when one of the texts has no answer.
        """
        if not texts:
            raise InvalidRequest("texts", "must hold at least one text")
        seconds = self._limits.timeout_seconds if timeout is None else timeout
        overflow = overflow or self._limits.overflow
        with self._presence:
            started = monotonic()
            keys, replies = self._answers.look_up(texts, overflow)
            computed, queue_seconds = 0, 0.0
            if None in replies:
                ask = Ask(replies, started + seconds, self._loop)
                computed = await self._complete(ask, texts, keys, overflow, seconds)
                queue_seconds = ask.queue_seconds
            predictions = cast("list[Prediction]", replies)
            took, cached = monotonic() - started, len(texts) - computed
            self._tell_later(
                Predicted(self.model, tuple(predictions), took, queue_seconds, cached, request_id, tuple(texts))
            )
            return predictions

    def _tell_later(self, event: Predicted) -> None:
        """Tell what a turn of the event loop answered in the next one, when the answers are on their way."""
        if not self._untold:
            self._loop.call_soon(self._tell)
        self._untold.append(event)

    def _tell(self) -> None:
        events, self._untold = self._untold, []
        for event in events:
            self._observe(event)

    async def _complete(
        self, ask: Ask, texts: Sequence[str], keys: Sequence[Key], overflow: Overflow | None, seconds: float
    ) -> int:
        """Get the replies that `ask` misses; returns how many texts were computed for it.

        What waits takes a place in the queue. Texts that a quick classifier reads at once take one when it leaves them
        to the slow one: what needs no place is answered however full the queue is.
        """
        try:
            if self._batcher.reads_at_once([texts[position] for position in ask.missing]):
                computed = self._begin(ask, texts, keys, overflow)
                await asyncio.sleep(0)
                if not ask.future.done():
                    with self._admission.hold(ask.left, seconds):
                        await self._wait(ask, seconds)
            else:
                with self._admission.hold(ask.left, seconds):
                    computed = self._begin(ask, texts, keys, overflow)
                    await self._wait(ask, seconds)
            ask.future.result()  # raises what went wrong
        finally:
            ask.leave()
        return computed

    async def _wait(self, ask: Ask, seconds: float) -> None:
        waiting = ask.left
        try:
            async with asyncio.timeout(seconds):
                await ask.future
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within {seconds:g} seconds; the work was dropped") from None
        self._admission.answered(waiting)

    def _begin(self, ask: Ask, texts: Sequence[str], keys: Sequence[Key], overflow: Overflow | None) -> int:
        """Join what is under way, start the rest; returns how many texts that is."""
        now, fresh = monotonic(), []
        for position in ask.missing:
            key = keys[position]
            if (job := self._answers.running(key, now)) is None:
                job = Job(texts[position], overflow, submitted=now)
                fresh.append(job)
                if key:
                    self._answers.share(key, job)
            job.join(ask, position)
        if fresh:
            self._batcher.submit(fresh)
        return len(fresh)
