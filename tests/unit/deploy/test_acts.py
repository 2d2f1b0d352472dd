"""The acts of the rehearsal: whatever one of them meets, the others are played and the report says it."""

from pathlib import Path

from deploy.rehearsal.stage import Skipped, Stage


def _stumbles(_: Stage) -> str:
    raise KeyError("something of\na library")


def _skips(_: Stage) -> str:
    raise Skipped("not installed: act")


def test_every_outcome_is_a_row_of_the_report(tmp_path: Path) -> None:
    """Proved, skipped by name, and failed with a kind of error that nobody foresaw."""
    stage = Stage(tmp_path, "bundled:imdb-sentiment")
    assert [stage.act("good", lambda _: "seen"), stage.act("absent", _skips), stage.act("bad", _stumbles)] == [1, 1, 0]
    report = stage.report()
    assert "| good | proved | 0.0 | seen |" in report
    assert "| absent | SKIPPED | 0.0 | not installed: act |" in report
    assert "| bad | FAILED | 0.0 | KeyError: 'something of\\na library' |" in report
