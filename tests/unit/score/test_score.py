"""Whole files are answered in order, once, and survive a kill at any point."""

import asyncio
import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matinee.core.errors import TextTooLong
from matinee.core.prediction import Overflow, Prediction
from matinee.score import InvalidInput, Job, Summary, format_of, score_file
from matinee.score.readers import CsvReader, JsonlReader, Reader
from matinee.score.rows import Columns

COLUMNS = Columns("predicted_", ("negative", "positive"))


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


class WordCountEngine:
    """Calls texts with an even number of words positive; is killed, or refuses a text, when told to."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.asked: list[str] = []
        self.kill_at = kill_at

    async def predict(self, texts: Sequence[str], *, overflow: Overflow | None = None) -> list[Prediction]:
        await asyncio.sleep(0)
        if any("too long" in text for text in texts):
            raise TextTooLong("text", "is longer than 3 tokens")
        self.asked.extend(texts)
        if self.kill_at is not None and len(self.asked) > self.kill_at:
            raise Killed
        return [self._answer(text) for text in texts]

    @staticmethod
    def _answer(text: str) -> Prediction:
        score = 0.75 if len(text.split()) % 2 == 0 else 0.25
        label = "positive" if score > 0.5 else "negative"
        return Prediction(label, {"negative": 1 - score, "positive": score}, len(text), 1, False)


def ignore(_rows: int, _share: float) -> None:
    """Nobody watches the progress."""


def csv_reader(text: str, column: str | None = None) -> Reader:
    return CsvReader(io.StringIO(text, newline=""), column, lambda: 0.0)


def run(
    reader: Reader, target: Path | None, format_: str, engine: WordCountEngine, *, restart: bool = False
) -> Summary:
    job = Job(reader, target, format_, COLUMNS, identity="one", restart=restart)
    return asyncio.run(score_file(job, engine, io.StringIO(), ignore))


def rows_of(count: int) -> str:
    body = "".join(f'{n},"film {n}, {"good " * (n % 3)}"\n' for n in range(count))
    return "id,text\n" + body


def test_csv_keeps_its_columns_and_gains_the_answer(tmp_path: Path) -> None:
    """Every input column is kept as it was, and the added ones follow."""
    out = tmp_path / "out.csv"
    summary = run(csv_reader('id,text\n7,"good film, really"\n8,"two\nlines"\n'), out, "csv", WordCountEngine())
    rows = list(csv.DictReader(io.StringIO(out.read_text(), newline="")))
    assert [row["id"] for row in rows] == ["7", "8"]
    assert rows[1]["text"] == "two\nlines"
    assert rows[1]["predicted_label"] == "positive"
    assert rows[1]["predicted_positive"] == "0.75"
    assert (summary.rows, summary.refused) == (2, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv"]


def test_bad_rows_go_to_the_side_file_with_a_reason(tmp_path: Path) -> None:
    """A row that cannot be answered is named there by number, and no other row suffers."""
    lines = [
        '{"text": "fine film"}',
        "{",
        '{"text": 3}',
        '{"text": " "}',
        "[]",
        '{"text": "too long"}',
        '{"text": "\\ud800"}',
    ]
    lines.append('{"text": "fine", "more": [1, null]}')
    reader = JsonlReader(io.StringIO("\n".join(lines)), None, lambda: 0.0)
    out = tmp_path / "out.jsonl"
    summary = run(reader, out, "jsonl", WordCountEngine())
    answered = [json.loads(line) for line in out.read_text().splitlines()]
    rejects = [json.loads(line) for line in (tmp_path / "out.jsonl.rejects.jsonl").read_text().splitlines()]
    assert [row["text"] for row in answered] == ["fine film", "fine"]
    assert answered[1]["more"] == [1, None]
    assert [reject["row"] for reject in rejects] == [2, 3, 4, 5, 6, 7]
    assert "not JSON" in rejects[0]["reason"]
    assert summary.refused == 6


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kills=st.lists(st.integers(0, 2_000), max_size=4))
def test_a_killed_run_continues_without_loss_or_repetition(
    tmp_path_factory: pytest.TempPathFactory, kills: list[int]
) -> None:
    """However often it is killed, the finished file equals that of a run that was left alone."""
    folder = tmp_path_factory.mktemp("kill")
    text = rows_of(1_700)
    run(csv_reader(text), folder / "whole.csv", "csv", WordCountEngine())
    out = folder / "out.csv"
    for kill_at in kills:
        if out.exists():
            break
        engine = WordCountEngine(kill_at)
        try:
            run(csv_reader(text), out, "csv", engine)
        except Killed:
            assert not out.exists()
            # What was being written at that moment is torn: the journal knows nothing of it.
            with (folder / "out.csv.partial").open("a") as stream:
                stream.write('99,"half a ro')
    if not out.exists():
        run(csv_reader(text), out, "csv", WordCountEngine())
    assert out.read_bytes() == (folder / "whole.csv").read_bytes()


def test_a_continued_run_does_not_ask_again(tmp_path: Path) -> None:
    """Rows that were written before the kill are not answered a second time."""
    text = rows_of(2_600)
    with pytest.raises(Killed):
        run(csv_reader(text), tmp_path / "out.csv", "csv", WordCountEngine(kill_at=2_100))
    again = WordCountEngine()
    summary = run(csv_reader(text), tmp_path / "out.csv", "csv", again)
    assert summary.resumed_at > 0
    assert len(again.asked) == 2_600 - summary.resumed_at


def test_another_job_does_not_continue_this_one(tmp_path: Path) -> None:
    """An unfinished output of another input or model is not mixed with this one."""
    with pytest.raises(Killed):
        run(csv_reader(rows_of(1_000)), tmp_path / "out.csv", "csv", WordCountEngine(kill_at=600))
    job = Job(csv_reader(rows_of(5)), tmp_path / "out.csv", "csv", COLUMNS, identity="another")
    with pytest.raises(InvalidInput, match="--restart"):
        asyncio.run(score_file(job, WordCountEngine(), io.StringIO(), ignore))


def test_an_existing_target_is_not_overwritten(tmp_path: Path) -> None:
    """Without --restart a finished file stays as it is; with it, it is written anew."""
    out = tmp_path / "out.csv"
    out.write_text("precious")
    with pytest.raises(InvalidInput, match="exists already"):
        run(csv_reader(rows_of(3)), out, "csv", WordCountEngine())
    assert out.read_text() == "precious"
    run(csv_reader(rows_of(3)), out, "csv", WordCountEngine(), restart=True)
    assert len(out.read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: csv_reader(""), "empty"),
        (lambda: csv_reader("a,b\n1,2\n"), "--text-column"),
        (lambda: csv_reader("a,text\n1,2\n", "texts"), "--text-column"),
        (lambda: csv_reader("text,text\n1,2\n"), "twice"),
        (lambda: format_of("reviews.xlsx", None, "--input-format"), "--input-format: the format of reviews.xlsx"),
        (lambda: format_of("reviews.csv", "xml", "--input-format"), "--input-format: must be one of csv"),
    ],
)
def test_an_input_that_cannot_be_scored_says_what_to_give(make: Callable[[], object], message: str) -> None:
    """The message names the option or the column."""
    with pytest.raises(InvalidInput, match=message):
        make()


def test_a_column_is_never_overwritten(tmp_path: Path) -> None:
    """An input that has one of the added columns already is refused, with the option that helps."""
    with pytest.raises(InvalidInput, match="--prefix"):
        run(csv_reader("text,predicted_label\na,b\n"), tmp_path / "out.csv", "csv", WordCountEngine())


def test_standard_output_gets_the_lines_and_nothing_else() -> None:
    """A pipe gets the header once, then the rows."""
    stream = io.StringIO()
    job = Job(csv_reader(rows_of(600)), None, "csv", COLUMNS, identity="one")
    asyncio.run(score_file(job, WordCountEngine(), stream, ignore))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 601
    assert sum(line.startswith("id,text") for line in lines) == 1


def test_rows_are_read_as_they_are_needed(tmp_path: Path) -> None:
    """An endless input is read a few chunks ahead, not whole: memory stays constant."""
    pulled = 0

    def lines() -> Iterator[str]:
        nonlocal pulled
        for number in range(5_000):
            pulled += 1
            yield json.dumps({"text": f"film {number}"}) + "\n"

    class Lines(io.StringIO):
        endless = lines()

        def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
            return next(self.endless, "")

    def watch(rows: int, _share: float) -> None:
        ahead.append(pulled - rows)

    ahead: list[int] = []
    job = Job(JsonlReader(Lines(), None, lambda: 0.0), tmp_path / "out.jsonl", "jsonl", COLUMNS, identity="one")
    asyncio.run(score_file(job, WordCountEngine(), io.StringIO(), watch))
    assert max(ahead) <= 4 * 512


def test_what_is_no_file_is_never_replaced(tmp_path: Path) -> None:
    """A finished file takes its place by a rename: not that of a device, a pipe or a folder."""
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    with pytest.raises(InvalidInput, match="no regular file"):
        run(csv_reader(rows_of(3)), pipe, "csv", WordCountEngine(), restart=True)
    assert pipe.is_fifo()
