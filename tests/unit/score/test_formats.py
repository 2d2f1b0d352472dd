"""Files as spreadsheets, notebooks and other people's programs write them."""

import asyncio
import csv
import datetime
import decimal
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from matinee.core.prediction import Overflow, Prediction
from matinee.score import InvalidInput, Job, score_file
from matinee.score.job import OutputFailed
from matinee.score.readers import CsvReader, JsonlReader, ParquetReader, Reader
from matinee.score.rows import Columns, Reject

NAMES = Columns("p_", ("no", "yes"))


class Yes:
    """Says yes to everything."""

    async def predict(self, texts: Sequence[str], *, overflow: Overflow | None = None) -> list[Prediction]:
        await asyncio.sleep(0)
        return [Prediction("id", "yes", {"no": 0.0, "yes": 1.0}, 1, 1, False) for _ in texts]


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


@pytest.mark.parametrize("mark", [";", "\t"])
def test_semicolons_or_tabs_separate_where_the_header_has_no_comma(mark: str) -> None:
    """Read as one column, such a file would be answered with numbers and labels as parts of the texts."""
    reader = csv_of(f"id{mark}text\n7{mark}bad, awful\n".encode())
    assert reader.columns == ["id", "text"]
    assert texts(reader) == ["bad, awful"]


def test_a_mark_inside_of_a_quoted_name_separates_nothing() -> None:
    """A comma in the name of a column is not one between columns."""
    assert csv_of(b'"id, as given";text\n1;fine\n').columns == ["id, as given", "text"]


def test_a_quotation_mark_that_is_never_closed_is_told() -> None:
    """The rows behind it are its field, as far as CSV goes: nobody would notice that they are missing."""
    (row,) = texts(csv_of(b'id,text\n1,"good\n2,bad\n3,fine\n'))
    assert "never closed" in row
    assert texts(csv_of(b'id,text\n1,"good\nfilm"')) == ["good\nfilm"]


def test_bytes_that_are_no_utf8_harm_their_own_row_in_any_column(tmp_path: Path) -> None:
    """A name in Latin-1 beside the text ended the whole run."""
    reader = csv_of("name,text\nJosé,fine\nAnn,good\n".encode("latin-1"))
    rows = list(csv.DictReader(io.StringIO(scored(reader, tmp_path / "out.csv").read_text())))
    assert [row["name"] for row in rows] == ["Ann"]
    (reject,) = (tmp_path / "out.csv.rejects.jsonl").read_text().splitlines()
    assert json.loads(reject) == {"row": 1, "reason": "the row is not valid UTF-8"}


def test_an_escaped_surrogate_harms_its_own_object_at_any_depth(tmp_path: Path) -> None:
    r"""JSON may say \ud800, which no file can hold."""
    lines = b'{"text": "fine", "more": [{"note": "\\ud800"}]}\n{"text": "good", "\\udc00": 1}\n{"text": "kept"}\n'
    out = scored(jsonl_of(lines), tmp_path / "out.jsonl")
    assert [json.loads(line)["text"] for line in out.read_text().splitlines()] == ["kept"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "header line"),
        (b"\n\n", "header line"),
        ("prénom,text\n".encode("latin-1"), "iconv"),
        ("id,text\n".encode("utf-16-le"), "iconv"),
        (b"text,text\n", "text twice"),
    ],
)
def test_a_header_that_names_no_columns_says_what_to_do(content: bytes, message: str) -> None:
    """Never a list of garbled names to choose from."""
    with pytest.raises(InvalidInput, match=message):
        csv_of(content)


def test_the_first_object_tells_which_field_holds_the_text() -> None:
    """As the header of a CSV file does; what it does not tell is asked for, not refused row by row."""
    assert texts(jsonl_of(b'{"id": 1, "review": "fine"}\n{"review": "good"}\n{"id": 2}\n')) == [
        "fine",
        "good",
        "the text is missing",
    ]
    with pytest.raises(InvalidInput, match="--text-column"):
        texts(jsonl_of(b'{"id": 1, "body": "fine"}\n'))


def test_a_field_of_an_object_is_never_overwritten(tmp_path: Path) -> None:
    """Scoring what was scored before would replace its answers."""
    with pytest.raises(InvalidInput, match="--prefix: row 2 has p_label"):
        scored(jsonl_of(b'{"text": "fine"}\n{"text": "good", "p_label": "no"}\n'), tmp_path / "out.jsonl")


def test_a_file_without_rows_becomes_a_header(tmp_path: Path) -> None:
    """What reads the result finds its columns."""
    out = scored(csv_of(b"id,text\n"), tmp_path / "out.csv")
    assert out.read_text() == "id,text,p_label,p_no,p_yes,p_tokens,p_windows,p_truncated\n"


def table_of(**columns: Any) -> pyarrow.Table:
    count = 1_100  # more than two chunks
    return pyarrow.table({"text": ["fine"] * count, **{name: [value] * count for name, value in columns.items()}})


COLUMNS = {
    "unsigned": pyarrow.array([2**64 - 1], pyarrow.uint64()),
    "map": pyarrow.array([[("key", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
    "small": pyarrow.array([None], pyarrow.int8()),
    "words": pyarrow.array(["a"]).dictionary_encode(),
    "list": pyarrow.array([[]], pyarrow.list_(pyarrow.int32())),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_parquet_keep_their_types(name: str, tmp_path: Path) -> None:
    """Told by the values again, some became others, and some ended the run."""
    one = COLUMNS[name]
    column = pyarrow.concat_arrays([one] * 1_100)
    parquet.write_table(pyarrow.table({"text": ["fine"] * 1_100, name: column}), tmp_path / "in.parquet")
    out = parquet.read_table(scored(ParquetReader(tmp_path / "in.parquet", None), tmp_path / "out.parquet"))
    assert out.column(name).type == one.type
    assert out.column(name).to_pylist() == column.to_pylist()
    assert out.column("p_yes").to_pylist() == [1.0] * 1_100


def test_fields_that_only_some_objects_have_become_columns_too(tmp_path: Path) -> None:
    """Parquet has one set of columns: the names of all, not those of the first."""
    lines = b'{"text": "fine"}\n{"text": "good", "stars": 4}\n' + b'{"text": "fine", "stars": 4.5}\n' * 600
    out = parquet.read_table(scored(jsonl_of(lines), tmp_path / "out.parquet"))
    assert out.column("stars").to_pylist()[:3] == [None, 4.0, 4.5]


@pytest.mark.parametrize("first", [1, 700])
def test_values_of_several_kinds_are_refused_before_all_is_computed(first: int, tmp_path: Path) -> None:
    """In one chunk or in two: the message names the column and what to write instead."""
    lines = [{"text": "fine", "mood": 1}] * first + [{"text": "fine", "mood": "blue"}]
    with pytest.raises(InvalidInput, match=r"column mood.*jsonl"):
        scored(jsonl_of("\n".join(map(json.dumps, lines)).encode()), tmp_path / "out.parquet")


def test_what_json_and_csv_have_no_type_for_is_written_as_text(tmp_path: Path) -> None:
    """ISO 8601 of times, the digits of decimals, base64 of bytes, JSON of lists in CSV."""
    when = datetime.datetime(2026, 5, 4, 3, 2, 1, tzinfo=datetime.UTC)
    parquet.write_table(table_of(when=when, price=decimal.Decimal("1.50"), raw=b"\xff", tags=["a"]), tmp_path / "in.pq")
    line = scored(ParquetReader(tmp_path / "in.pq", None), tmp_path / "out.jsonl").read_text().splitlines()[0]
    assert json.loads(line) | {"when": when.isoformat(), "price": "1.50", "raw": "/w=="} == json.loads(line)
    out = scored(ParquetReader(tmp_path / "in.pq", None), tmp_path / "out.csv")
    row = next(csv.DictReader(io.StringIO(out.read_text())))
    assert (row["price"], row["raw"], row["tags"]) == ("1.50", "/w==", '["a"]')


def test_parquet_with_one_name_twice_is_refused(tmp_path: Path) -> None:
    """A row could keep only one of the two."""
    table = pyarrow.table([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["text", "text"])
    parquet.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(InvalidInput, match="text twice"):
        ParquetReader(tmp_path / "in.parquet", None)


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """So is a full disk: the same command goes on when there is room."""
    with pytest.raises(OutputFailed, match="No such file or directory; the same command"):
        scored(csv_of(b"text\nfine\n"), tmp_path / "absent" / "out.csv")


def test_parquet_does_not_go_into_a_pipe() -> None:
    """It became JSON Lines without a word."""
    job = Job(csv_of(b"text\nfine\n"), None, "parquet", NAMES, identity="one")
    with pytest.raises(InvalidInput, match="standard output"):
        asyncio.run(score_file(job, Yes(), io.StringIO(), lambda _rows, _share: None))
