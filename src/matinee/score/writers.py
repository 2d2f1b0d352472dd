"""Answered rows into CSV, JSON Lines or Parquet, so that a killed run can go on where its journal says.

Everything is written beside the target first (`OUT.partial`); the target appears whole, by a rename, or not at all.
"""

import base64
import csv
import io
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import IO, Any, Protocol

from matinee.score.journal import changed, cut_back
from matinee.score.readers import InvalidInput, import_parquet
from matinee.score.rows import Columns

Fields = dict[str, Any]


class Writer(Protocol):
    """Takes chunks of answered rows; `position` after a chunk is what `resume` goes back to."""

    def resume(self, position: int) -> None:
        """Forget whatever was written after `position`; raises `InvalidInput` when some of it is gone."""

    def write(self, rows: Sequence[Fields]) -> int:
        """Write one chunk to disk for good; returns the new position."""

    def finish(self) -> None:
        """Put the target in its place."""


class LineWriter:
    """CSV or JSON Lines in a file that grows; positions are bytes."""

    def __init__(self, target: Path, columns: Sequence[str] | None) -> None:
        self._target = target
        self._partial = partial_path(target)
        self._columns = columns

    def resume(self, position: int) -> None:
        """Cut the unfinished file back to `position`; a missing file starts empty."""
        cut_back(self._partial, position)

    def write(self, rows: Sequence[Fields]) -> int:
        """Append one chunk and force it to disk; returns the size in bytes."""
        with self._partial.open("ab") as stream:
            header = self._columns if stream.tell() == 0 else None
            stream.write(encode(rows, self._columns, header).encode())
            stream.flush()
            os.fsync(stream.fileno())
            return stream.tell()

    def finish(self) -> None:
        """Rename the file to its target; of an input without rows it has the header."""
        if self._columns and self._partial.stat().st_size == 0:
            self.write([])
        self._partial.replace(self._target)


class StreamWriter:
    """CSV or JSON Lines to standard output: nothing to resume, nothing to rename."""

    def __init__(self, stream: IO[str], columns: Sequence[str] | None) -> None:
        self._stream = stream
        self._columns = columns
        self._chunks = 0

    def resume(self, position: int) -> None:
        """A pipe starts at its beginning; there is nothing to cut."""

    def write(self, rows: Sequence[Fields]) -> int:
        """Write one chunk; returns the number of chunks so far."""
        self._stream.write(encode(rows, self._columns, None if self._chunks else self._columns))
        self._stream.flush()
        self._chunks += 1
        return self._chunks

    def finish(self) -> None:
        """Everything is out already; of an input without rows, now the header."""
        if not self._chunks:
            self.write([])


class ParquetWriter:
    """One small Parquet file for each chunk, merged at the end; positions count chunks.

    `columns` are the input's where all its rows have the same, with the types of its `schema` (of CSV: none, and so
    text); the types of others are told by their values. `added` follow them.
    """

    def __init__(self, target: Path, columns: Sequence[str], schema: Any, added: Columns) -> None:
        self._parquet = import_parquet()
        import pyarrow

        self._target = target
        self._parts = partial_path(target)
        self._types = {name: schema.field(name).type if schema else pyarrow.string() for name in columns}
        self._added = _types_of(added)
        self._schema = pyarrow.schema([])
        self._count = 0

    def resume(self, position: int) -> None:
        """Remove every part that the journal does not know."""
        self._parts.mkdir(exist_ok=True)
        self._count = position
        for part in sorted(self._parts.iterdir()):
            if part.suffix != ".parquet" or int(part.stem) >= position:
                part.unlink()
            else:
                self._schema = _unified(self._schema, self._parquet.read_schema(part))
        if len(list(self._parts.iterdir())) < position:
            raise changed(self._parts)

    def write(self, rows: Sequence[Fields]) -> int:
        """Write one part and force it to disk; returns the number of parts.

        Raises `InvalidInput` for a column that Parquet cannot hold: before it is on disk, not when all is merged.
        """
        table = self._table(rows)
        self._schema = _unified(self._schema, table.schema)
        path = self._parts / f"{self._count:08}.parquet"
        unfinished = path.with_suffix(".writing")
        with unfinished.open("wb") as stream:
            self._parquet.write_table(table, stream, compression="zstd")
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(path)
        self._count += 1
        return self._count

    def _table(self, rows: Sequence[Fields]) -> Any:
        """A column for each name that any of the rows has."""
        import pyarrow

        names = dict.fromkeys([*self._types, *(name for row in rows for name in row), *self._added])
        types = self._types | self._added
        columns = {}
        for name in names:
            try:
                columns[name] = pyarrow.array([row.get(name) for row in rows], type=types.get(name))
            except (ValueError, TypeError, OverflowError, NotImplementedError):
                raise _mixed(name) from None
            if _has_nothing(columns[name].type):
                raise _mixed(name)
        return pyarrow.table(columns)

    def finish(self) -> None:
        """Merge the parts, one at a time, into the target; of an input without rows it has the columns."""
        if not self._count:
            self.write([])
        merged = self._target.with_name(self._target.name + ".merging")
        with self._parquet.ParquetWriter(merged, self._schema, compression="zstd") as writer:
            for part in sorted(self._parts.glob("*.parquet")):
                writer.write_table(self._parquet.read_table(part, schema=self._schema))
        merged.replace(self._target)
        shutil.rmtree(self._parts)


def _types_of(added: Columns) -> dict[str, Any]:
    import pyarrow

    words, score, count = pyarrow.string(), pyarrow.float64(), pyarrow.int64()
    types = [words, *(score for _ in added.labels), count, count, pyarrow.bool_()]
    return dict(zip(added.names(), types, strict=True))


def _has_nothing(kind: Any) -> bool:
    """Whether there are objects without any field in it, which Parquet has no way to write."""
    from pyarrow import types

    parts = [kind.field(i).type for i in range(kind.num_fields)]
    return (types.is_struct(kind) and not parts) or any(map(_has_nothing, parts))


def _unified(known: Any, new: Any) -> Any:
    """One schema for both, whole numbers becoming fractions where needed; raises `InvalidInput` naming the column."""
    import pyarrow

    for name in (name for name in new.names if name in known.names):
        try:
            pyarrow.unify_schemas(
                [pyarrow.schema([known.field(name)]), pyarrow.schema([new.field(name)])], promote_options="permissive"
            )
        except (ValueError, TypeError):
            raise _mixed(name) from None
    return pyarrow.unify_schemas([known, new], promote_options="permissive")


def _mixed(name: str) -> InvalidInput:
    return InvalidInput(
        f"--output-format: Parquet cannot hold the column {name}: its values are of several kinds, longer than "
        "64 bits, or objects without fields; write jsonl"
    )


def partial_path(target: Path) -> Path:
    """Where an unfinished `target` is kept."""
    return target.with_name(target.name + ".partial")


def encode(rows: Sequence[Fields], columns: Sequence[str] | None, header: Sequence[str] | None) -> str:
    """`rows` as CSV with `columns`, or as JSON Lines when there are none."""
    if columns is None:
        return "".join(_json(row) + "\n" for row in rows)
    text = io.StringIO()
    sparing, quoting = (
        csv.DictWriter(text, fieldnames=columns, lineterminator="\n", quoting=how)
        for how in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    for row in [*([] if header is None else [{name: name for name in header}]), *rows]:
        cells = {name: _cell(value) for name, value in row.items()}
        # By itself a carriage return ends a line for whoever reads, and Python before 3.13 does not quote it.
        (quoting if any("\r" in cell for cell in cells.values() if isinstance(cell, str)) else sparing).writerow(cells)
    return text.getvalue()


def _cell(value: object) -> object:
    """What CSV shows of a value of Parquet or JSON: JSON of what has parts."""
    if value is None or isinstance(value, str | int | float):
        return value
    plain = value if isinstance(value, list | dict) else _plain(value)
    return _json(plain) if isinstance(plain, list | dict) else plain


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:  # JSON has no word for what is no finite number, and others refuse Python's
        return json.dumps(_finite(value), ensure_ascii=False, default=_plain)


def _finite(value: object) -> object:
    """The same with none for NaN and infinity, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value


def _plain(value: object) -> object:
    """What JSON has no type for: ISO 8601 of dates and times, base64 of bytes, the digits of decimals."""
    if isinstance(value, date | time):
        return value.isoformat()
    if hasattr(value, "as_py"):
        return _of_arrow(value)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _of_arrow(value: Any) -> object:
    """What the reader had no Python value for: its parts, or the text of a time that is finer than Python's."""
    if isinstance(value, Mapping):
        return {name: value[name] for name in value}
    if isinstance(value, Sequence):
        return list(value)
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        text = str(value.cast("string").as_py())
        return f"{text[:10]}T{text[11:]}" if text[10:11] == " " else text
