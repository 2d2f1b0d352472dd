"""Rows out of CSV, JSON Lines or Parquet, one at a time, with what is wrong with a row kept apart from the rest.

A row is refused, never the file: wrong number of fields, no text, text that is no string, bytes that are not UTF-8.
"""

import csv
import json
import os
import re
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any, Protocol

from matinee.core.errors import MatineeError, MissingExtra
from matinee.score.rows import Reject, Row

MAX_LINE_CHARACTERS = 16 * 1024 * 1024
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNWRITABLE = "\ud800"  # for bytes that are no UTF-8, so that their row is refused
FORMATS = ("csv", "jsonl", "parquet")
_USUAL_NAMES = ("text", "review", "sentence", "content")
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
_SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}


class InvalidInput(MatineeError):
    """The file cannot be scored as it is: the message names the option or the column."""

    status = 422
    code = "invalid_input"
    exit_code = 2


class Reader(Protocol):
    """Rows of one file, in order.

    `columns` is empty for JSON Lines, whose objects may differ; `schema` has the types of Parquet's, else none.
    """

    columns: list[str]
    schema: Any

    def rows(self) -> Iterator[Row | Reject]:
        """Every row, numbered from 1."""

    def done(self) -> float:
        """Share of the file that was read, 0 to 1; 0 when that cannot be known."""


def is_of_rows(path: str) -> bool:
    """Whether the name is that of a file in one of the formats."""
    return Path(path).suffix.lower() in _SUFFIXES


def format_of(path: str, given: str | None, option: str) -> str:
    """The format of `path` by its suffix, or `given`; raises `InvalidInput` naming `option`."""
    chosen = given or _SUFFIXES.get(Path(path).suffix.lower(), "")
    if chosen not in FORMATS:
        known = ", ".join(FORMATS)
        if given:
            raise InvalidInput(f"{option}: must be one of {known}")
        if Path(path).suffix.lower() in _PACKED:
            raise InvalidInput(f"{option}: {path} is compressed by its name: unpack it, or use a pipe and -")
        raise InvalidInput(f"{option}: the format of {path} is not clear from its name; say which of {known}")
    return chosen


def unreadable(path: str | Path, error: OSError) -> InvalidInput:
    """The input is not there, or may not be read."""
    return InvalidInput(f"IN: {path} cannot be read: {os.strerror(error.errno or 0)}")


def pick_column(columns: list[str], asked: str | None) -> str:
    """The column with the texts: the one asked for, else `text`, `review`, or the only one there is."""
    if asked is None:
        usual = [name for name in _USUAL_NAMES if name in columns]
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
    if not _is_unicode(text):
        return Reject(number, "the text is not valid UTF-8")
    return Row(number, fields, text) if _is_unicode(fields) else Reject(number, "the row is not valid UTF-8")


def _is_unicode(value: object) -> bool:
    r"""Whether it can be written: bytes that are no UTF-8, and JSON's `"\ud800"`, are lone surrogates here."""
    if isinstance(value, str):
        return value.isascii() or not _SURROGATE.search(value)
    if isinstance(value, dict):
        return all(map(_is_unicode, value)) and all(map(_is_unicode, value.values()))
    return not isinstance(value, list) or all(map(_is_unicode, value))


def check_columns(columns: list[str]) -> list[str]:
    """The same names; raises `InvalidInput` when one is there twice: a row could keep only one of the two."""
    twice = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    if twice:
        raise InvalidInput(f"the input names the column {twice[0]} twice; rename one of them")
    return columns


class CsvReader:
    """Values with a header line, as RFC 4180 and Python's csv module read them.

    Commas separate them; where the header line has none, semicolons, tabs or bars do: spreadsheets write the first in
    many countries, databases the last.
    """

    schema = None

    def __init__(self, stream: IO[str], column: str | None, position: Callable[[], float]) -> None:
        csv.field_size_limit(MAX_LINE_CHARACTERS)
        self._ended = False
        lines = self._lines(stream)
        first = next(lines, "")
        self._rows = csv.reader(chain([first], lines), delimiter=_delimiter(first))
        self.columns = self._header()
        self._column = pick_column(self.columns, column)
        self.done = position

    def _lines(self, stream: IO[str]) -> Iterator[str]:
        """Every line, and a note that there are no more: a row that asks for another one was never closed."""
        yield from stream
        self._ended = True

    def _header(self) -> list[str]:
        columns = next(self._rows, [])
        if not any(columns):
            raise InvalidInput("the input is empty, or its first line is: CSV needs a header line")
        if "\0" in "".join(columns) or not _is_unicode(columns):
            raise InvalidInput("the header line is not UTF-8: convert the file, as in iconv -f LATIN1 -t UTF-8")
        return check_columns(columns)

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
            yield self._row(number, values)

    def _row(self, number: int, values: list[str]) -> Row | Reject:
        if self._ended:
            return Reject(number, "a quotation mark is never closed, and all that follows it is this row")
        if len(values) != len(self.columns):
            return Reject(number, f"{len(values)} fields where the header has {len(self.columns)}")
        fields = dict(zip(self.columns, values, strict=True))
        return check_text(number, fields, fields[self._column])


def _delimiter(header: str) -> str:
    """What separates the names: the first of comma, semicolon, tab and bar that is there outside of quotation marks."""
    outside = "".join(header.split('"')[::2])
    return next((mark for mark in ",;\t|" if mark in outside), ",")


class JsonlReader:
    """One JSON object a line; the objects need not have the same keys, and the first one tells which holds the text."""

    schema = None

    def __init__(self, stream: IO[str], column: str | None, position: Callable[[], float]) -> None:
        self._stream = stream
        self._column = column
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
        if self._column is None:
            self._column = pick_column(list(fields), None)
        return check_text(number, fields, fields.get(self._column))


class ParquetReader:
    """The rows of a Parquet file, a few thousand at a time."""

    def __init__(self, path: Path, column: str | None) -> None:
        parquet = import_parquet()
        try:
            self._file = parquet.ParquetFile(path)
        except (FileNotFoundError, PermissionError) as error:
            raise unreadable(path, error) from error
        except (OSError, ValueError) as error:  # pyarrow's own errors derive from ValueError
            raise InvalidInput(f"IN: {path} is not a Parquet file") from error
        self.schema = self._file.schema_arrow
        self.columns = check_columns(list(self.schema.names))
        self._column = pick_column(self.columns, column)
        self._read = 0

    def rows(self) -> Iterator[Row | Reject]:
        """Every row; raises `InvalidInput` where the file is damaged."""
        batches = self._file.iter_batches(batch_size=1024)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except (OSError, ValueError) as error:
                raise InvalidInput(f"the input cannot be read after row {self._read}: the file is damaged") from error
            for values in zip(*map(_values, batch.columns), strict=True):
                self._read += 1
                fields = dict(zip(self.columns, values, strict=True))
                yield check_text(self._read, fields, fields[self._column])

    def done(self) -> float:
        """Share of the rows that were read."""
        return float(self._read / max(1, self._file.metadata.num_rows))


def _values(column: Any) -> list[Any]:
    """An array of Arrow as Python has it."""
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]
    return values


def _value(scalar: Any) -> Any:
    """One value, which stays Arrow's where it is a time finer than Python's, or beyond the year 9999."""
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return _UNWRITABLE
    except (ValueError, OverflowError):
        return scalar


def import_parquet() -> Any:
    """`pyarrow.parquet`; raises `MissingExtra`."""
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("Parquet", "parquet") from error
    return parquet
