"""The acts of the rehearsal: whatever one of them meets, the others are played and the report says it."""

from pathlib import Path

import pytest
from deploy.rehearsal import image
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


@pytest.mark.parametrize("name", ["bases", "build", "reproducible", "contents", "sbom", "contract", "push"])
def test_what_a_machine_lacks_is_skipped_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """None of the acts with an image takes an absent program for a fault of ours."""
    monkeypatch.setenv("PATH", str(tmp_path))
    stage = Stage(tmp_path, "bundled:imdb-sentiment")
    assert stage.act(name, getattr(image, name))
    assert f"| {name} | SKIPPED | 0.0 | not installed: " in stage.report()
