"""Files as spreadsheets, notebooks and other people's programs write them."""

import csv
import io
import json
from pathlib import Path

import pytest
from tests.unit.score.scoring import csv_of, jsonl_of, scored, texts

from matinee.score import InvalidInput
from matinee.score.job import OutputFailed


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_semicolons_tabs_or_bars_separate_where_the_header_has_no_comma(mark: str) -> None:
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


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """So is a full disk: the same command goes on when there is room."""
    with pytest.raises(OutputFailed, match="No such file or directory; the same command"):
        scored(csv_of(b"text\nfine\n"), tmp_path / "absent" / "out.csv")


def test_a_carriage_return_inside_of_a_text_stays_inside(tmp_path: Path) -> None:
    """Written without quotation marks it ended the line: one row came back as two."""
    out = scored(csv_of(b'id,text\n1,"one\rtwo"\n2,fine\n'), tmp_path / "out.csv")
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["id"], row["text"]) for row in rows] == [("1", "one\rtwo"), ("2", "fine")]
    assert {row["p_label"] for row in rows} == {"yes"}


def test_what_is_no_finite_number_becomes_null(tmp_path: Path) -> None:
    """Python's NaN and Infinity are no JSON, and other programs refuse the whole line."""
    line = b'{"text": "fine", "rank": NaN, "more": [{"high": 1e999, "low": 0.5}]}\n'
    out = scored(jsonl_of(line), tmp_path / "out.jsonl").read_text()
    assert "NaN" not in out
    assert json.loads(out)["more"] == [{"high": None, "low": 0.5}]
