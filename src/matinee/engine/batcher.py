"""From jobs to batches: encode what arrives, run neighbours in length together, answer each text on its own."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TypeVar, cast

import numpy as np

from matinee.core.errors import ClassifierFailed, MatineeError
from matinee.core.events import BatchRun, Observe
from matinee.core.prediction import (
    Answer,
    Classifier,
    Encoded,
    FloatArray,
    Glancing,
    ModelIdentity,
    Overflow,
    Prediction,
)
from matinee.engine.jobs import Job
from matinee.engine.waiting import Piece, Waiting

INLINE_CHARACTERS = 8_192  # of one request, which a quick classifier encodes on the event loop; more goes to a thread
ENCODE_CHARACTERS = 65_536  # encoded at one go: some 20 ms, so that a long list does not hold up a single text

Seen = TypeVar("Seen", Encoded, Encoded | None)
Read = Callable[[Sequence[str], Overflow | None], Sequence[Seen]]


class Batcher:
    """Feeds one classifier. All methods but `run_batch` and `_encode` belong to the event loop.

    Nothing waits for company: an idle classifier starts at once with what is there, and what arrives meanwhile
    makes the next batch, which is encoded while the present one runs. What nobody waits for any more (cancelled,
    or past its deadline) is dropped, never run.
    """

    def __init__(
        self,
        classifier: Classifier,
        model: ModelIdentity,
        observe: Observe,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._classifier = classifier
        self._capacity = classifier.capacity
        self._labels = classifier.labels
        self._glance = classifier.glance if isinstance(classifier, Glancing) else classifier.encode
        self._model = model
        self._observe = observe
        self._clock = clock
        self._gathered: list[Job] = []
        self._arrived: list[Job] = []
        self._waiting = Waiting()
        self._encoding = False
        self._running = 0
        self._turn = 0
        # Their threads start with the first piece of work.
        self._encoder = ThreadPoolExecutor(1, "matinee-encode")
        self._runner = ThreadPoolExecutor(self._capacity.parallel_batches, "matinee-run")

    def start(self) -> None:
        """The running event loop is the one that everything happens on."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Wait for the threads (from a thread other than the event loop's)."""
        self._encoder.shutdown()
        self._runner.shutdown()

    def reads_at_once(self, texts: Sequence[str]) -> bool:
        """Whether these texts, submitted, are encoded before the next turn of the event loop."""
        return self._capacity.quick and sum(map(len, texts)) <= INLINE_CHARACTERS

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue the texts of one request.

        Turns are counted in batches. The n-th text of a list queues as if it had come n batches later: a long list
        uses all there is while it is alone, and lets others in between when it is not.
        """
        for later, job in enumerate(jobs):
            job.turn = self._turn + later
        if self.reads_at_once([job.text for job in jobs]):
            if not self._gathered:
                self._loop.call_soon(self._answer_gathered)
            self._gathered += jobs
        else:
            self._arrived += jobs
            self._start_encoding()

    def _answer_gathered(self) -> None:
        """Answer here what a turn of the event loop brought: a quick classifier needs little more for all than for one.

        What it leaves unanswered (a cascade that is not sure) is encoded in the thread, as far as it finds a place.
        """
        jobs, self._gathered = self._alive(self._gathered), []
        for overflow in {job.overflow for job in jobs}:
            alike = [job for job in jobs if job.overflow == overflow]
            glances = list(zip(alike, encode(self._glance, alike), strict=True))
            self._settle((job, outcome) for job, outcome in glances if outcome is not None)
            self._arrived += [job for job, outcome in glances if outcome is None]
        if self._arrived:
            self._loop.call_soon(self._start_encoding)  # when those that are refused have left
        self._start_batches()

    def _start_encoding(self) -> None:
        if self._encoding:
            return
        self._arrived = self._alive(self._arrived)
        if not self._arrived:
            return
        self._arrived.sort(key=lambda job: job.turn)
        overflow, size, jobs, later = self._arrived[0].overflow, 0, [], []
        for job in self._arrived:
            if job.overflow == overflow and size < ENCODE_CHARACTERS:
                jobs.append(job)
                size += len(job.text)
            else:
                later.append(job)
        self._arrived = later
        self._encoding = True
        self._encoder.submit(self._encode, jobs)

    def _encode(self, jobs: list[Job]) -> None:
        outcomes = zip(jobs, encode(self._classifier.encode, jobs), strict=True)
        self._loop.call_soon_threadsafe(self._encoded, list(outcomes))

    def _encoded(self, outcomes: list[tuple[Job, Encoded | Exception]]) -> None:
        self._encoding = False
        self._settle(outcomes)
        self._start_encoding()
        self._start_batches()

    def _queue(self, job: Job) -> None:
        multiple = self._capacity.pad_to
        for index, row in enumerate(cast("Encoded", job.encoded).rows):
            cost = row.cost
            self._waiting.add(Piece(job, index, row, cost, -(-cost // multiple) * multiple))

    def _start_batches(self) -> None:
        while self._running < self._capacity.parallel_batches and (batch := self._next_batch()):
            self._running += 1
            self._turn += 1
            self._runner.submit(self.run_batch, batch)

    def _next_batch(self) -> list[Piece]:
        now = self._clock()
        idle = self._capacity.parallel_batches - self._running
        batch = self._waiting.take(now, self._capacity.batch_tokens, idle)
        for piece in batch:
            piece.job.started(now)
        return batch

    def run_batch(self, batch: list[Piece]) -> None:
        """Run one batch, in a worker thread, and hand all outcomes to the event loop at once."""
        started = self._clock()
        outcomes = self._outcomes(batch)
        self._loop.call_soon_threadsafe(self._batch_done, batch, outcomes, self._clock() - started)

    def _outcomes(self, batch: list[Piece]) -> Sequence[FloatArray | Exception]:
        """One output or error for each piece. When a batch fails, its texts run one by one: only the culprit fails."""
        try:
            outputs = self._classifier.run([piece.row for piece in batch])
            return self._checked(outputs, len(batch))
        except BaseException as error:  # noqa: BLE001 - the batch edge, see `_failure`
            if all(piece.job is batch[0].job for piece in batch):
                return [_failure(error)] * len(batch)
        outcomes: dict[Piece, FloatArray | Exception] = {}
        for job in {piece.job for piece in batch}:
            pieces = [piece for piece in batch if piece.job is job]
            outcomes.update(zip(pieces, self._outcomes(pieces), strict=True))
        return [outcomes[piece] for piece in batch]

    def _checked(self, outputs: FloatArray, rows: int) -> list[FloatArray | Exception]:
        if outputs.shape != (rows, len(self._classifier.labels)):
            raise ClassifierFailed(f"the model answered with shape {outputs.shape} to {rows} rows")
        finite = [bool(row) for row in np.isfinite(outputs).all(axis=-1).flat]
        wrong = ClassifierFailed("the model answered with numbers that are not finite")
        return [output if good else wrong for output, good in zip(outputs, finite, strict=True)]

    def _batch_done(self, batch: list[Piece], outcomes: Sequence[FloatArray | Exception], seconds: float) -> None:
        self._running -= 1
        self._start_batches()
        for piece, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Exception):
                piece.job.fail(outcome)
            elif (outputs := piece.job.collect(piece.index, outcome)) is not None:
                self._finish(piece.job, outputs)
        own = sum(piece.cost for piece in batch)
        padded = len(batch) * max(piece.length for piece in batch)
        self._observe(BatchRun(self._model, len(batch), own, padded, seconds))

    def _settle(self, outcomes: Iterable[tuple[Job, Encoded | Exception]]) -> None:
        """Answer or fail what needs no run; queue the rest."""
        for job, outcome in outcomes:
            if isinstance(outcome, Exception):
                job.fail(outcome)
            elif outcome.answer is not None:
                self._answer(job, outcome, outcome.answer)
            else:
                job.expect(outcome)
                self._queue(job)

    def _finish(self, job: Job, outputs: FloatArray) -> None:
        encoded = cast("Encoded", job.encoded)
        try:
            answer = self._classifier.finish(encoded, outputs)
        except BaseException as error:  # noqa: BLE001 - the batch edge, see `_failure`
            job.fail(_failure(error))
        else:
            self._answer(job, encoded, answer)

    def _answer(self, job: Job, encoded: Encoded, answer: Answer) -> None:
        try:
            reply = Prediction.of(encoded, answer, self._labels)
        except ValueError as error:  # other scores than labels
            job.fail(_failure(error))
        else:
            job.reply(reply)

    def _alive(self, jobs: list[Job]) -> list[Job]:
        now = self._clock()
        return [job for job in jobs if job.live(now)]


def encode(read: Read[Seen], jobs: Sequence[Job]) -> list[Seen | Exception]:
    """Read texts with one overflow rule together, and one by one when that fails: only the culprit fails."""
    try:
        encoded = read([job.text for job in jobs], jobs[0].overflow)
        return [encoded for _, encoded in zip(jobs, encoded, strict=True)]
    except BaseException as error:  # noqa: BLE001 - the batch edge, see `_failure`
        if len(jobs) == 1:
            return [_failure(error)]
    return [outcome for job in jobs for outcome in encode(read, [job])]


def _failure(error: BaseException) -> Exception:
    """The error for the caller: ours as it is, anything else without the words of a foreign library.

    Whatever a model raises belongs to its texts, also what is no `Exception`: a panic of a library written in Rust
    (the tokenizers are), or `sys.exit`. Past the edge it would end the work of a thread that others wait for.
    """
    if isinstance(error, MatineeError):
        return error
    failure = ClassifierFailed(f"the model failed on this text ({type(error).__name__})")
    failure.__cause__ = error
    return failure
