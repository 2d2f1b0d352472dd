"""Parquet, read and written: what is kept of it, and what is said where it cannot be."""

import asyncio
import csv
import datetime
import decimal
import io
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet
from tests.unit.score.scoring import NAMES, Yes, csv_of, jsonl_of, scored

from matinee.core.errors import MissingExtra
from matinee.score import InvalidInput, Job, score_file
from matinee.score.readers import ParquetReader


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


def test_parquet_does_not_go_into_a_pipe() -> None:
    """It became JSON Lines without a word."""
    job = Job(csv_of(b"text\nfine\n"), None, "parquet", NAMES, identity="one")
    with pytest.raises(InvalidInput, match="standard output"):
        asyncio.run(score_file(job, Yes(), io.StringIO(), lambda _rows, _share: None))


def test_the_extra_is_named_where_parquet_is_to_be_written_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation without extras ended with a traceback."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"matinee\[parquet\]"):
        scored(jsonl_of(b'{"text": "fine"}\n'), tmp_path / "out.parquet")


def test_a_file_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    """It was said to be no Parquet file."""
    with pytest.raises(InvalidInput, match=r"absent\.parquet cannot be read: No such file"):
        ParquetReader(tmp_path / "absent.parquet", None)
    (tmp_path / "words.parquet").write_text("text\nfine\n")
    with pytest.raises(InvalidInput, match=r"words\.parquet is not a Parquet file"):
        ParquetReader(tmp_path / "words.parquet", None)


TIMES = {
    "stamp": pyarrow.array([1_700_000_000_000_000_001], pyarrow.timestamp("ns")),
    "lasts": pyarrow.array([5], pyarrow.duration("ns")),
    "at": pyarrow.array([5_001], pyarrow.time64("ns")),
    "far": pyarrow.array([2**62], pyarrow.timestamp("us")),
    "parts": pyarrow.array([{"when": [7, None]}], pyarrow.struct([("when", pyarrow.list_(pyarrow.time64("ns")))])),
}


def test_times_that_python_has_no_value_for_are_kept(tmp_path: Path) -> None:
    """Nanoseconds, as pandas has them, were said to be a damaged file; the year 17036 was a traceback."""
    table = pyarrow.table({"text": ["fine"], **TIMES})
    parquet.write_table(table, tmp_path / "in.parquet")
    out = parquet.read_table(scored(ParquetReader(tmp_path / "in.parquet", None), tmp_path / "out.parquet"))
    assert out.select(table.column_names).equals(table)
    line = scored(ParquetReader(tmp_path / "in.parquet", None), tmp_path / "out.jsonl").read_text()
    row = json.loads(line)
    assert (row["stamp"], row["at"]) == ("2023-11-14T22:13:20.000000001", "00:00:00.000005001")
    assert row["parts"] == {"when": ["00:00:00.000000007", None]}
    out = scored(ParquetReader(tmp_path / "in.parquet", None), tmp_path / "out.csv")
    cells = next(csv.DictReader(io.StringIO(out.read_text())))
    assert cells["stamp"] == row["stamp"]
    assert json.loads(cells["parts"]) == row["parts"]


def test_times_are_iso_8601_in_csv_too(tmp_path: Path) -> None:
    """As the documentation says; there was a space in the middle."""
    parquet.write_table(
        table_of(when=datetime.datetime(2026, 5, 4, 3, 2, 1, tzinfo=datetime.UTC)), tmp_path / "in.parquet"
    )
    out = scored(ParquetReader(tmp_path / "in.parquet", None), tmp_path / "out.csv")
    assert next(csv.DictReader(io.StringIO(out.read_text())))["when"] == "2026-05-04T03:02:01+00:00"


def test_bytes_in_a_column_of_text_harm_their_own_row(tmp_path: Path) -> None:
    """Parquet does not look at them when it is written, and the whole file was said to be damaged."""
    (_, offsets, data) = pyarrow.array([b"fine", b"\xff", b"good"]).buffers()
    words = pyarrow.StringArray.from_buffers(3, offsets, data)
    parquet.write_table(pyarrow.table({"text": words, "more": ["a", "b", "c"]}), tmp_path / "in.parquet")
    out = scored(ParquetReader(tmp_path / "in.parquet", None), tmp_path / "out.jsonl")
    assert [json.loads(line)["text"] for line in out.read_text().splitlines()] == ["fine", "good"]
    (reject,) = (tmp_path / "out.jsonl.rejects.jsonl").read_text().splitlines()
    assert json.loads(reject) == {"row": 2, "reason": "the text is not valid UTF-8"}


ADDED = {"p_label": "string", "p_no": "double", "p_yes": "double", "p_tokens": "int64", "p_windows": "int64"}


@pytest.mark.parametrize("text", [None, " "])
def test_a_file_without_answers_has_its_columns_all_the_same(tmp_path: Path, text: str | None) -> None:
    """It had none, or none of those that are added: what reads the result did not find them."""
    rows = pyarrow.table({"id": pyarrow.array([7], pyarrow.int16()), "text": pyarrow.array([text], pyarrow.string())})
    parquet.write_table(rows if text else rows.slice(0, 0), tmp_path / "in.parquet")
    out = parquet.read_schema(scored(ParquetReader(tmp_path / "in.parquet", None), tmp_path / "out.parquet"))
    wanted = {"id": "int16", "text": "string", **ADDED, "p_truncated": "bool"}
    assert {field.name: str(field.type) for field in out} == wanted


def test_csv_and_json_lines_without_rows_become_parquet(tmp_path: Path) -> None:
    """The columns of CSV are text; of JSON Lines without a line nothing is known."""
    out = parquet.read_schema(scored(csv_of(b"id,text\n"), tmp_path / "csv.parquet"))
    assert out.names == ["id", "text", *ADDED, "p_truncated"]
    assert parquet.read_schema(scored(jsonl_of(b""), tmp_path / "jsonl.parquet")).names == [*ADDED, "p_truncated"]


@pytest.mark.parametrize("value", [b"{}", b'[{"deep": {}}]'])
def test_objects_without_fields_are_refused_by_name(value: bytes, tmp_path: Path) -> None:
    """Parquet has no way to write them; it was a traceback."""
    with pytest.raises(InvalidInput, match=r"column more.*jsonl"):
        scored(jsonl_of(b'{"text": "fine", "more": ' + value + b"}\n"), tmp_path / "out.parquet")
