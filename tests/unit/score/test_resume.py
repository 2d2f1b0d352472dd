"""What an interrupted run goes on from is looked at first: nothing is lost because somebody tidied up."""

import asyncio
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from pyarrow import parquet
from tests.unit.score.scoring import NAMES, Yes, csv_of

from matinee.core.prediction import Overflow, Prediction
from matinee.score import InvalidInput, Job, score_file
from matinee.score.rejects import Rejects

ROWS = b"id,text\n" + b"".join(b"%d,fine film %d\n" % (n, n) if n % 100 else b"%d,\n" % n for n in range(3_000))


class Interrupted(BaseException):
    """Stands for a kill: nothing catches it."""


class Stops(Yes):
    """Is interrupted at its fourth chunk, when at least the first is on disk."""

    calls = 0

    async def predict(self, texts: Sequence[str], *, overflow: Overflow | None = None) -> list[Prediction]:
        self.calls += 1
        if self.calls == 4:
            raise Interrupted
        return await super().predict(texts, overflow=overflow)


def run(out: Path, engine: Yes, content: bytes = ROWS, *, restart: bool = False) -> int:
    """Score into `out`; returns where the run went on."""
    job = Job(csv_of(content), out, out.suffix[1:], NAMES, identity="one", restart=restart)
    return asyncio.run(score_file(job, engine, io.StringIO(), lambda _rows, _share: None)).resumed_at


def interrupted(out: Path) -> Path:
    with pytest.raises(Interrupted):
        run(out, Stops())
    assert beside(out, "progress").is_file()
    return out


def beside(out: Path, what: str) -> Path:
    return out.with_name(f"{out.name}.{what}")


@pytest.mark.parametrize("gone", ["partial", "rejects.jsonl"])
def test_rows_that_are_gone_do_not_become_zeros(tmp_path: Path, gone: str) -> None:
    """Removed meanwhile, the file was made as long as it had been, and the run said that all went well."""
    out = interrupted(tmp_path / "out.csv")
    beside(out, gone).unlink()
    with pytest.raises(InvalidInput, match=rf"out\.csv\.{gone}.*--restart"):
        run(out, Yes())
    run(out, Yes(), restart=True)
    assert len(out.read_bytes().splitlines()) == 1 + 2_970
    assert b"\0" not in out.read_bytes() + beside(out, "rejects.jsonl").read_bytes()


def test_a_part_of_parquet_that_is_gone_is_told(tmp_path: Path) -> None:
    """Its rows would be missing from the middle of the output."""
    out = interrupted(tmp_path / "out.parquet")
    (beside(out, "partial") / "00000000.parquet").unlink()
    with pytest.raises(InvalidInput, match=r"out\.parquet\.partial.*--restart"):
        run(out, Yes())
    run(out, Yes(), restart=True)
    assert parquet.read_table(out).num_rows == 2_970


@pytest.mark.parametrize("content", ["", "{", "[]", '{"rows": 1}', '{"job": "one", "row": 1}'])
def test_a_journal_that_is_none_is_told(tmp_path: Path, content: str) -> None:
    """It was a traceback."""
    beside(tmp_path / "out.csv", "progress").write_text(content)
    with pytest.raises(InvalidInput, match=r"out\.csv\.progress.*--restart"):
        run(tmp_path / "out.csv", Yes())


@pytest.mark.parametrize("other", [ROWS.replace(b"film 7\n", b"movie 7\n"), ROWS[:1_000]])
def test_another_input_does_not_go_on_where_this_one_was(tmp_path: Path, other: bytes) -> None:
    """Standard input has neither name nor date: the texts that were done tell."""
    out = interrupted(tmp_path / "out.csv")
    with pytest.raises(InvalidInput, match=r"input has changed.*--restart"):
        run(out, Yes(), other)
    assert run(out, Yes()) > 0


def test_two_runs_do_not_write_one_output(tmp_path: Path) -> None:
    """Each wrote into the file of the other, and one of the two said that all went well."""
    out = interrupted(tmp_path / "out.csv")
    other = Rejects(out)
    other.open()
    for restart in (False, True):
        with pytest.raises(InvalidInput, match="another run"):
            run(out, Yes(), restart=restart)
    other.close()
    assert run(out, Yes()) > 0
