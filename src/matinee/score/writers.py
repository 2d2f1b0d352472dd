"""Answered rows into CSV, JSON Lines or Parquet, so that a killed run can go on where its journal says.

Everything is written beside the target first (`OUT.partial`); the target appears whole, by a rename, or not at all.
"""

import csv
import io
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from matinee.score.readers import import_parquet

Fields = dict[str, Any]


class Writer(Protocol):
    """Takes chunks of answered rows; `position` after a chunk is what `resume` goes back to."""

    def resume(self, position: int) -> None:
        """Forget whatever was written after `position`."""

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
        self._partial.touch()
        os.truncate(self._partial, position)

    def write(self, rows: Sequence[Fields]) -> int:
        """Append one chunk and force it to disk; returns the size in bytes."""
        with self._partial.open("ab") as stream:
            header = self._columns if stream.tell() == 0 else None
            stream.write(encode(rows, self._columns, header).encode())
            stream.flush()
            os.fsync(stream.fileno())
            return stream.tell()

    def finish(self) -> None:
        """Rename the file to its target."""
        self._partial.replace(self._target)


class StreamWriter:
    """CSV or JSON Lines to standard output: nothing to resume, nothing to rename."""

    def __init__(self, stream: IO[str], columns: Sequence[str] | None) -> None:
        self._stream = stream
        self._columns = columns
        self._written = 0

    def resume(self, position: int) -> None:
        """A pipe starts at its beginning; there is nothing to cut."""

    def write(self, rows: Sequence[Fields]) -> int:
        """Write one chunk; returns the number of rows so far."""
        self._stream.write(encode(rows, self._columns, self._columns if self._written == 0 else None))
        self._stream.flush()
        self._written += len(rows)
        return self._written

    def finish(self) -> None:
        """Everything is out already."""


class ParquetWriter:
    """One small Parquet file for each chunk, merged at the end; positions count chunks."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._parts = partial_path(target)
        self._parquet = import_parquet()
        self._count = 0

    def resume(self, position: int) -> None:
        """Remove every part that the journal does not know."""
        self._parts.mkdir(exist_ok=True)
        self._count = position
        for part in self._parts.iterdir():
            if part.suffix != ".parquet" or int(part.stem) >= position:
                part.unlink()

    def write(self, rows: Sequence[Fields]) -> int:
        """Write one part and force it to disk; returns the number of parts."""
        import pyarrow

        path = self._parts / f"{self._count:08}.parquet"
        unfinished = path.with_suffix(".writing")
        with unfinished.open("wb") as stream:
            self._parquet.write_table(pyarrow.Table.from_pylist(list(rows)), stream, compression="zstd")
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(path)
        self._count += 1
        return self._count

    def finish(self) -> None:
        """Merge the parts, one at a time, into the target."""
        import pyarrow

        parts = sorted(self._parts.glob("*.parquet"))
        schema = pyarrow.unify_schemas([self._parquet.read_schema(part) for part in parts]) if parts else None
        merged = self._target.with_name(self._target.name + ".merging")
        with self._parquet.ParquetWriter(merged, schema or pyarrow.schema([]), compression="zstd") as writer:
            for part in parts:
                writer.write_table(self._parquet.read_table(part, schema=schema))
        merged.replace(self._target)
        shutil.rmtree(self._parts)


def partial_path(target: Path) -> Path:
    """Where an unfinished `target` is kept."""
    return target.with_name(target.name + ".partial")


def encode(rows: Sequence[Fields], columns: Sequence[str] | None, header: Sequence[str] | None) -> str:
    """`rows` as CSV with `columns`, or as JSON Lines when there are none."""
    if columns is None:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    if header is not None:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
