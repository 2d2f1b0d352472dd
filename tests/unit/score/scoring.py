"""Small files and a model that answers at once, for tests of scoring."""

import asyncio
import io
from collections.abc import Sequence
from pathlib import Path

from matinee.core.prediction import Overflow, Prediction
from matinee.score import Job, score_file
from matinee.score.readers import CsvReader, JsonlReader, Reader
from matinee.score.rows import Columns, Reject

NAMES = Columns("p_", ("no", "yes"))


class Yes:
    """Says yes to everything."""

    async def predict(self, texts: Sequence[str], *, overflow: Overflow | None = None) -> list[Prediction]:
        await asyncio.sleep(0)
        return [Prediction("yes", {"no": 0.0, "yes": 1.0}, 1, 1, False) for _ in texts]


def csv_of(content: bytes, column: str | None = None) -> CsvReader:
    return CsvReader(stream(content), column, lambda: 0.0)


def jsonl_of(content: bytes) -> JsonlReader:
    return JsonlReader(stream(content), None, lambda: 0.0)


def stream(content: bytes) -> io.TextIOWrapper:
    """As the command opens a file."""
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", errors="surrogateescape", newline="")


def texts(reader: Reader) -> list[str]:
    """Each row's text, or the reason why it has none."""
    return [row.reason if isinstance(row, Reject) else row.text for row in reader.rows()]


def scored(reader: Reader, out: Path) -> Path:
    job = Job(reader, out, out.suffix[1:], NAMES, identity="one")
    asyncio.run(score_file(job, Yes(), io.StringIO(), lambda _rows, _share: None))
    return out
