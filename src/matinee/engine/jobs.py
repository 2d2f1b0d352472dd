"""Who waits for what: an `Ask` is one call of `Engine.predict`, a `Job` one text being computed for all who asked."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from matinee.core.errors import TextTooLong
from matinee.core.prediction import Encoded, FloatArray, Overflow, Prediction


class Ask:
    """Fills in the missing ones of `replies`; its one future is done when all are there, or when one failed.

    `left` is how many are missing still.
    """

    def __init__(self, replies: list[Prediction | None], deadline: float, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[None] = loop.create_future()
        self.replies = replies
        self.missing = [position for position, reply in enumerate(replies) if reply is None]
        self.jobs: list[Job] = []
        self.deadline = deadline
        self.queue_seconds = 0.0
        self.left = len(self.missing)

    def waits(self, now: float) -> bool:
        """Whether an answer would still be of use."""
        return not self.future.done() and now < self.deadline

    def reply(self, position: int, reply: Prediction) -> None:
        """Take the answer to one text."""
        self.replies[position] = reply
        self.left -= 1
        if not self.left and not self.future.done():
            self.future.set_result(None)

    def leave(self) -> None:
        """Wait no longer; jobs that nobody else waits for are given up."""
        if not self.future.cancel() and not self.future.cancelled():
            self.future.exception()  # a failure that came together with the caller's leaving has been seen
        for job in self.jobs:
            job.give_up_when_alone()

    def fail(self, position: int, error: Exception) -> None:
        """Give up: one text has no answer."""
        if self.future.done():
            return
        if isinstance(error, TextTooLong) and len(self.replies) > 1:
            error = TextTooLong(f"texts[{position}]", error.message.removeprefix(f"{error.field}: "))
        self.future.set_exception(error)


@dataclass(slots=True, eq=False)
class Job:
    """One text on its way. It lives as long as anyone waits for it, so a cancelled asker does not cancel the others.

    `turn` is its place in the queue, in batches (see `Batcher.submit`); `settled` hears of the reply, or of None
    when there is none.
    """

    text: str
    overflow: Overflow | None
    submitted: float
    settled: Callable[[Prediction | None], None] | None = None
    turn: int = 0
    encoded: Encoded | None = None
    _waiters: list[tuple[Ask, int]] = field(default_factory=list)
    _outputs: FloatArray | None = None
    _missing: int = 0

    def join(self, ask: Ask, position: int) -> None:
        """Answer the text at `position` of `ask` too."""
        self._waiters.append((ask, position))
        ask.jobs.append(self)

    def live(self, now: float) -> bool:
        """Whether anyone still waits."""
        return any(ask.waits(now) for ask, _ in self._waiters)

    def started(self, now: float) -> None:
        """Its first row runs: waiting is over."""
        for ask, _ in self._waiters:
            ask.queue_seconds = max(ask.queue_seconds, now - self.submitted)

    def expect(self, encoded: Encoded) -> None:
        """Be ready for the outputs of the text's rows, which come in any order and in several batches."""
        self.encoded = encoded
        self._missing = len(encoded.rows)

    def collect(self, index: int, output: FloatArray) -> FloatArray | None:
        """Keep the output of one row; returns all of them ([rows, labels]) with the last one."""
        if self._outputs is None:
            self._outputs = np.empty((self._missing, len(output)), dtype=np.float32)
        self._outputs[index] = output
        self._missing -= 1
        return None if self._missing else self._outputs

    def reply(self, reply: Prediction) -> None:
        """Answer everyone."""
        for ask, position in self._waiters:
            ask.reply(position, reply)
        self._settle(reply)

    def fail(self, error: Exception) -> None:
        """Tell everyone that there is no answer."""
        for ask, position in self._waiters:
            ask.fail(position, error)
        self._settle(None)

    def give_up_when_alone(self) -> None:
        """Someone left: settle without a reply unless others wait."""
        if all(ask.future.done() for ask, _ in self._waiters):
            self._settle(None)

    def _settle(self, reply: Prediction | None) -> None:
        if self.settled is not None:
            self.settled(reply)
            self.settled = None
        self._waiters.clear()
