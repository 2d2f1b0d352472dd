"""The report tells people what happened, on the screen and in the pipeline's summary."""

import os
from pathlib import Path

import pytest
from deploy.release.__main__ import main
from deploy.release.report import Report


def test_the_summary_is_a_table_of_the_steps(tmp_path: Path) -> None:
    """Markdown that a pipe in a message does not break."""
    path = tmp_path / "summary.md"
    said: list[str] = []
    report = Report(said.append, path)
    report.step("a | b")
    report.close("Released")
    assert path.read_text().startswith("### Released\n\n| seconds | step |\n|---|---|\n")
    assert "a \\| b" in path.read_text()
    assert len(said) == 2


def test_a_bad_configuration_ends_with_2_and_one_sentence(tmp_path: Path) -> None:
    """Before anything is asked of the platform."""
    path = tmp_path / "cloudrun.toml"
    path.write_text("[typo]\n")
    assert main(["--config", str(path), "status"]) == 2


def test_a_signal_before_anything_was_released_is_told_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Exit code 1 and a summary, while gcloud is still asked what is live; it is not waited for."""
    script = tmp_path / "gcloud"
    script.write_text("#!/bin/sh\nkill -TERM $PPID\nsleep 1000\n")
    script.chmod(0o755)
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name, value in {"GCP_PROJECT": "demo", "GCP_REGION": "here", "GITHUB_STEP_SUMMARY": str(summary)}.items():
        monkeypatch.setenv(name, value)
    config = Path(__file__).parents[3] / "deploy" / "cloudrun.toml"
    assert main(["--config", str(config), "status"]) == 1
    assert summary.read_text().startswith("### Failed: stopped by SIGTERM\n")
