"""The story of one scoring run: read a chunk, ask the engine, write it for good, note it in the journal."""

import asyncio
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Protocol

from matinee.core import background
from matinee.core.errors import ClassifierFailed, InvalidRequest, MatineeError
from matinee.core.prediction import Overflow, Prediction
from matinee.score.journal import Journal, Progress
from matinee.score.readers import InvalidInput, Reader
from matinee.score.rows import Columns, Reject, Row
from matinee.score.writers import LineWriter, ParquetWriter, StreamWriter, Writer, partial_path

CHUNK_ROWS = 512
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
    with _writing(job.target):
        done = output.begin()
    rows = islice(job.reader.rows(), done, None)
    waiting: deque[tuple[list[Row | Reject], asyncio.Task[list[Prediction | Reject]]]] = deque()
    try:
        while True:
            # in a daemon thread: one that waits for standard input would keep a run that was stopped from ending
            chunk = await background.run(lambda: _take(rows))
            if chunk:
                waiting.append((chunk, asyncio.create_task(_answer(chunk, engine, job.overflow))))
            while waiting and (len(waiting) == CHUNKS_IN_FLIGHT or not chunk):
                first, answers = waiting.popleft()
                answered = await answers
                with _writing(job.target):
                    output.write(first, answered)
                report(output.rows, job.reader.done())
            if not chunk:
                break
    finally:
        for _, task in waiting:
            task.cancel()
    with _writing(job.target):
        output.finish()
    return Summary(output.rows, output.refused, done, output.rejects if output.refused else None)


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


def _take(rows: Iterator[Row | Reject]) -> list[Row | Reject]:
    return list(islice(rows, CHUNK_ROWS))


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
        self.rejects = job.target.with_name(job.target.name + ".rejects.jsonl") if job.target else None
        self.rows = self.refused = 0
        self._added = set(job.columns.names())
        self._writer = self._make_writer(stdout)

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
            return ParquetWriter(target, reader.schema)
        return StreamWriter(stdout, columns) if target is None else LineWriter(target, columns)

    def begin(self) -> int:
        """Go back to what the journal says; returns the number of rows that are done."""
        target = self._job.target
        if target is None or self._journal is None or self.rejects is None:
            return 0
        if target.exists() and not target.is_file():
            raise InvalidInput(f"OUT: {target} is no regular file, and would be replaced; - writes to standard output")
        if self._job.restart:
            self._journal.remove()
            shutil.rmtree(partial_path(target), ignore_errors=True)
            partial_path(target).unlink(missing_ok=True)
        elif target.exists():
            raise InvalidInput(f"{target} exists already; remove it, or write it anew with --restart")
        progress = self._journal.load()
        self._writer.resume(progress.position)
        self.rejects.touch()
        os.truncate(self.rejects, progress.rejects_bytes)
        self.rows, self.refused = progress.rows, progress.refused
        return progress.rows

    def write(self, chunk: Sequence[Row | Reject], answers: Sequence[Prediction | Reject]) -> None:
        """Put one chunk on disk, then note it."""
        self._check_names(chunk)
        answered = iter(answers)
        results = [(row, row if isinstance(row, Reject) else next(answered)) for row in chunk]
        refused = [result for _, result in results if isinstance(result, Reject)]
        written = [
            {**row.fields, **self._job.columns.values(result)}
            for row, result in results
            if isinstance(row, Row) and isinstance(result, Prediction)
        ]
        rejects_bytes = self._append_rejects(refused)
        position = self._writer.write(written)
        self.rows += len(chunk)
        self.refused += len(refused)
        if self._journal:
            self._journal.commit(Progress(self._job.identity, self.rows, self.refused, position, rejects_bytes))

    def _check_names(self, chunk: Sequence[Row | Reject]) -> None:
        """Objects of JSON Lines differ, so each is asked whether it has one of the added names already."""
        for row in chunk:
            if isinstance(row, Row) and (clash := self._added & row.fields.keys()):
                raise InvalidInput(f"--prefix: row {row.number} has {min(clash)} already; choose another prefix")

    def _append_rejects(self, refused: Sequence[Reject]) -> int:
        if self.rejects is None:
            return 0
        with self.rejects.open("a") as stream:
            stream.writelines(json.dumps({"row": item.number, "reason": item.reason}) + "\n" for item in refused)
            stream.flush()
            os.fsync(stream.fileno())
            return stream.tell()

    def finish(self) -> None:
        """The target appears; the journal and an empty side file go."""
        self._writer.finish()
        if self._journal:
            self._journal.remove()
        if self.rejects and not self.refused:
            self.rejects.unlink(missing_ok=True)
