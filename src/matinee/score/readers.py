"""Rows out of CSV, JSON Lines or Parquet, one at a time, with what is wrong with a row kept apart from the rest.

A row is refused, never the file: wrong number of fields, no text, text that is no string, bytes that are not UTF-8.
"""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from matinee.core.errors import MatineeError, MissingExtra
from matinee.score.rows import Reject, Row

MAX_LINE_CHARACTERS = 16 * 1024 * 1024
FORMATS = ("csv", "jsonl", "parquet")
_SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}


class InvalidInput(MatineeError):
    """The file cannot be scored as it is: the message names the option or the column."""

    status = 422
    code = "invalid_input"
    exit_code = 2


class Reader(Protocol):
    """Rows of one file, in order; `columns` is known once the first row was asked for (JSON Lines: never)."""

    columns: list[str]

    def rows(self) -> Iterator[Row | Reject]:
        """Every row, numbered from 1."""

    def done(self) -> float:
        """Share of the file that was read, 0 to 1; 0 when that cannot be known."""


def format_of(path: str, given: str | None, option: str) -> str:
    """The format of `path` by its suffix, or `given`; raises `InvalidInput` naming `option`."""
    chosen = given or _SUFFIXES.get(Path(path).suffix.lower(), "")
    if chosen not in FORMATS:
        known = ", ".join(FORMATS)
        raise InvalidInput(f"{option}: the format of {path} is not clear from its name; say which of {known}")
    return chosen


def pick_column(columns: list[str], asked: str | None) -> str:
    """The column with the texts: the one asked for, else `text`, `review`, or the only one there is."""
    if asked is None:
        usual = [name for name in ("text", "review", "sentence", "content") if name in columns]
        asked = usual[0] if usual else (columns[0] if len(columns) == 1 else None)
    if asked is None or asked not in columns:
        known = ", ".join(columns[:20])
        raise InvalidInput(f"--text-column: name the column that holds the texts; the file has {known}")
    return asked


def check_text(number: int, fields: dict[str, Any], text: object) -> Row | Reject:
    """A row, or why its text cannot be read."""
    if not isinstance(text, str):
        return Reject(number, "the text is missing" if text is None else "the text is not a string")
    if not text.strip():
        return Reject(number, "the text is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        return Reject(number, "the text is not valid UTF-8")
    return Row(number, fields, text)


class CsvReader:
    """Comma-separated values with a header line, as RFC 4180 and Python's csv module read them."""

    def __init__(self, stream: IO[str], column: str | None, position: Callable[[], float]) -> None:
        csv.field_size_limit(MAX_LINE_CHARACTERS)
        self._rows = csv.reader(stream)
        self.columns = self._header()
        self._column = pick_column(self.columns, column)
        self.done = position

    def _header(self) -> list[str]:
        try:
            columns = next(self._rows)
        except StopIteration:
            raise InvalidInput("the input is empty: CSV needs a header line") from None
        if len(set(columns)) != len(columns):
            raise InvalidInput("the header line names a column twice")
        return columns

    def rows(self) -> Iterator[Row | Reject]:
        """Every row after the header; blank lines are no rows."""
        number = 0
        while True:
            try:
                values = next(self._rows)
            except StopIteration:
                return
            except csv.Error:
                number += 1
                yield Reject(number, "the line is not readable as CSV, or longer than 16 Mi characters")
                continue
            if not values:
                continue
            number += 1
            if len(values) != len(self.columns):
                yield Reject(number, f"{len(values)} fields where the header has {len(self.columns)}")
                continue
            fields = dict(zip(self.columns, values, strict=True))
            yield check_text(number, fields, fields[self._column])


class JsonlReader:
    """One JSON object a line; the objects need not have the same keys."""

    def __init__(self, stream: IO[str], column: str | None, position: Callable[[], float]) -> None:
        self._stream = stream
        self._column = column or "text"
        self.columns: list[str] = []
        self.done = position

    def rows(self) -> Iterator[Row | Reject]:
        """Every line; blank lines are no rows."""
        number = 0
        while line := self._stream.readline(MAX_LINE_CHARACTERS):
            if not line.strip():
                continue
            number += 1
            if len(line) == MAX_LINE_CHARACTERS and not line.endswith("\n"):
                while (rest := self._stream.readline(MAX_LINE_CHARACTERS)) and not rest.endswith("\n"):
                    pass
                yield Reject(number, "the line is longer than 16 Mi characters")
                continue
            yield self._row(number, line)

    def _row(self, number: int, line: str) -> Row | Reject:
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            return Reject(number, "the line is not JSON")
        if not isinstance(fields, dict):
            return Reject(number, "the line is not a JSON object")
        return check_text(number, fields, fields.get(self._column))


class ParquetReader:
    """The rows of a Parquet file, a few thousand at a time."""

    def __init__(self, path: Path, column: str | None) -> None:
        parquet = import_parquet()
        try:
            self._file = parquet.ParquetFile(path)
        except (OSError, ValueError) as error:  # pyarrow's own errors derive from ValueError
            raise InvalidInput("the input is not a Parquet file") from error
        self.columns = list(self._file.schema_arrow.names)
        self._column = pick_column(self.columns, column)
        self._read = 0

    def rows(self) -> Iterator[Row | Reject]:
        """Every row."""
        for batch in self._file.iter_batches(batch_size=1024):
            for fields in batch.to_pylist():
                self._read += 1
                yield check_text(self._read, fields, fields[self._column])

    def done(self) -> float:
        """Share of the rows that were read."""
        return float(self._read / max(1, self._file.metadata.num_rows))


def import_parquet() -> Any:
    """`pyarrow.parquet`; raises `MissingExtra`."""
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("Parquet", "parquet") from error
    return parquet
