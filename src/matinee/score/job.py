"""The story of one scoring run: read a chunk, ask the engine, write it for good, note it in the journal."""

import asyncio
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from matinee.core import background
from matinee.core.errors import ClassifierFailed, InvalidRequest, MatineeError
from matinee.core.prediction import Overflow, Prediction
from matinee.score.chunks import Chunk, Chunks
from matinee.score.journal import Journal, Progress
from matinee.score.readers import InvalidInput, Reader
from matinee.score.rejects import Rejects
from matinee.score.rows import Columns, Reject, Row
from matinee.score.writers import LineWriter, ParquetWriter, StreamWriter, Writer, partial_path

# While one chunk is written, the engine packs batches from the next two.
CHUNKS_IN_FLIGHT = 3
# What is wrong with one row; anything else (no model, no disk) ends the run, which the same command continues.
_ROW_ERRORS = (InvalidRequest, ClassifierFailed)


class OutputFailed(MatineeError):
    """The disk is full, the folder is not there or may not be written to."""

    code = "output_failed"


class Predictor(Protocol):
    """What a run needs of an engine."""

    async def predict(self, texts: Sequence[str], *, overflow: Overflow | None = None) -> list[Prediction]:
        """Answer `texts`, in order."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to do: `target` is none for standard output; `identity` tells one job from another when resuming."""

    reader: Reader
    target: Path | None
    format: str
    columns: Columns
    identity: str
    overflow: Overflow | None = None
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of the rows, those of earlier, interrupted runs included."""

    rows: int
    refused: int
    resumed_at: int
    rejects: Path | None


async def score_file(job: Job, engine: Predictor, stdout: IO[str], report: Callable[[int, float], None]) -> Summary:
    """Answer every row of the input. `report(rows, share)` is called after each chunk.

    Rows that cannot be answered go to `OUT.rejects.jsonl` with their number and the reason.
    Raises `InvalidInput` when the target exists already, or a column would be overwritten; `OutputFailed`.
    """
    output = _Output(job, stdout)
    try:
        with _writing(job.target):
            begun = output.begin()
        await _answer_all(job, begun, output, engine, report)
        with _writing(job.target):
            output.finish()
    finally:
        output.close()
    return Summary(output.rows, output.refused, begun.rows, output.refusals)


async def _answer_all(
    job: Job, begun: Progress, output: "_Output", engine: Predictor, report: Callable[[int, float], None]
) -> None:
    rows = Chunks(job.reader.rows())
    waiting: deque[tuple[Chunk, asyncio.Task[list[Prediction | Reject]]]] = deque()
    # Read in daemon threads: one that waits for standard input would keep a run that was stopped from ending.
    await background.run(lambda: rows.skip(begun))
    try:
        while True:
            chunk = await background.run(rows.take)
            if chunk.rows:
                waiting.append((chunk, asyncio.create_task(_answer(chunk.rows, engine, job.overflow))))
            while waiting and (len(waiting) == CHUNKS_IN_FLIGHT or not chunk.rows):
                first, answers = waiting.popleft()
                answered = await answers
                with _writing(job.target):
                    output.write(first, answered)
                report(output.rows, job.reader.done())
            if not chunk.rows:
                break
    finally:
        for _, task in waiting:
            task.cancel()


@contextmanager
def _writing(target: Path | None) -> Iterator[None]:
    """Say what could not be written; a pipe that nobody reads any more ends the command as it ends others."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        where, again = ("standard output", "") if target is None else (target, "; the same command then goes on")
        raise OutputFailed(f"OUT: {where} cannot be written: {error.strerror}{again}") from error


async def _answer(
    chunk: Sequence[Row | Reject], engine: Predictor, overflow: Overflow | None
) -> list[Prediction | Reject]:
    """One prediction for each readable row of the chunk, or why there is none."""
    readable = [row for row in chunk if isinstance(row, Row)]
    if not readable:
        return []
    try:
        return list(await engine.predict([row.text for row in readable], overflow=overflow))
    except _ROW_ERRORS:
        # One text is too long, or the model fails on it: ask for each on its own, so that only that row is refused.
        return [await _answer_one(row, engine, overflow) for row in readable]


async def _answer_one(row: Row, engine: Predictor, overflow: Overflow | None) -> Prediction | Reject:
    try:
        return (await engine.predict([row.text], overflow=overflow))[0]
    except _ROW_ERRORS as error:
        return Reject(row.number, error.message)


class _Output:
    """Target, side file and journal of one run, kept in step."""

    def __init__(self, job: Job, stdout: IO[str]) -> None:
        self._job = job
        self._journal = Journal(job.target, job.identity) if job.target else None
        self._rejects = Rejects(job.target) if job.target else None
        self.rows = self.refused = 0
        self._added = set(job.columns.names())
        self._writer = self._make_writer(stdout)

    @property
    def refusals(self) -> Path | None:
        """The side file, when there is anything in it."""
        return self._rejects.path if self._rejects and self.refused else None

    def _make_writer(self, stdout: IO[str]) -> Writer:
        added = self._job.columns.names()
        clash = sorted(self._added & set(self._job.reader.columns))
        if clash:
            raise InvalidInput(f"--prefix: the input has a column {clash[0]} already; choose another prefix")
        columns = [*self._job.reader.columns, *added] if self._job.format == "csv" else None
        if columns is not None and not self._job.reader.columns:
            raise InvalidInput(
                "--output-format: JSON Lines without fixed columns cannot become CSV; write jsonl or parquet"
            )
        target, reader = self._job.target, self._job.reader
        if self._job.format == "parquet":
            if target is None:
                raise InvalidInput("OUT: Parquet cannot be written to standard output; name a file")
            return ParquetWriter(target, reader.columns, reader.schema, self._job.columns)
        return StreamWriter(stdout, columns) if target is None else LineWriter(target, columns)

    def begin(self) -> Progress:
        """Go back to what the journal says, and return that."""
        target = self._job.target
        if target is None or self._journal is None or self._rejects is None:
            return Progress(self._job.identity)
        check_target(target, restart=self._job.restart)
        self._rejects.open()
        check_target(target, restart=self._job.restart)  # once more: another run may just have finished it
        if self._job.restart:
            self._journal.remove()
            shutil.rmtree(partial_path(target), ignore_errors=True)
            partial_path(target).unlink(missing_ok=True)
        progress = self._journal.load()
        self._writer.resume(progress.position)
        self._rejects.resume(progress.rejects_bytes)
        self.rows, self.refused = progress.rows, progress.refused
        return progress

    def write(self, chunk: Chunk, answers: Sequence[Prediction | Reject]) -> None:
        """Put one chunk on disk, then note it."""
        self._check_names(chunk.rows)
        answered = iter(answers)
        results = [(row, row if isinstance(row, Reject) else next(answered)) for row in chunk.rows]
        refused = [result for _, result in results if isinstance(result, Reject)]
        written = [
            {**row.fields, **self._job.columns.values(result)}
            for row, result in results
            if isinstance(row, Row) and isinstance(result, Prediction)
        ]
        rejects_bytes = self._rejects.append(refused) if self._rejects else 0
        position = self._writer.write(written)
        self.rows += len(chunk.rows)
        self.refused += len(refused)
        if self._journal:
            progress = Progress(self._job.identity, self.rows, self.refused, position, rejects_bytes, chunk.texts)
            self._journal.commit(progress)

    def _check_names(self, chunk: Sequence[Row | Reject]) -> None:
        """Objects of JSON Lines differ, so each is asked whether it has one of the added names already."""
        for row in chunk:
            if isinstance(row, Row) and (clash := self._added & row.fields.keys()):
                raise InvalidInput(f"--prefix: row {row.number} has {min(clash)} already; choose another prefix")

    def finish(self) -> None:
        """The target appears; the journal and an empty side file go."""
        self._writer.finish()
        if self._journal:
            self._journal.remove()
        if self._rejects and not self.refused:
            self._rejects.remove()

    def close(self) -> None:
        """Let another run have its turn."""
        if self._rejects:
            self._rejects.close()


def check_target(target: Path, *, restart: bool) -> None:
    """Raise `InvalidInput` for what may not be replaced: no file, or a file without `restart`."""
    if target.exists() and not target.is_file():
        raise InvalidInput(f"OUT: {target} is no regular file, and would be replaced; - writes to standard output")
    if target.exists() and not restart:
        raise InvalidInput(f"OUT: {target} exists already; remove it, or write it anew with --restart")
