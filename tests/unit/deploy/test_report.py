"""The report tells people what happened, on the screen and in the pipeline's summary."""

from pathlib import Path

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
