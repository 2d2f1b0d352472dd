"""`matinee verify` and `inspect`: what they print, and the exit code of what would not be served."""

import json
import pickle
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from matinee.cli import app

LINEAR = "bundled:imdb-sentiment-linear"


class Hostile:
    """Prints when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code was run",)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIR", str(tmp_path / "cache"))


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_a_good_model_passes_and_every_file_was_looked_at() -> None:
    """A row for each file, for people and for programs."""
    checks = json.loads(_run("verify", LINEAR, "--json").output)
    assert checks["passed"] is True
    assert "model.safetensors" in {check["subject"] for check in checks["checks"]}
    assert "It may be loaded." in _run("verify", LINEAR).output


def test_a_hostile_model_is_refused_with_its_reasons_and_not_run(tmp_path: Path) -> None:
    """By both commands, with the exit code of what cannot be served."""
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Hostile()))
    for command in ("verify", "inspect"):
        refused = _run(command, str(tmp_path / "model.pkl"))
        assert refused.exit_code == 3
        assert "print" in refused.output
        assert "code was run" not in refused.output


def test_inspect_says_what_a_model_is() -> None:
    """Figures one by one; everything with --json."""
    about = json.loads(_run("inspect", LINEAR, "--json").output)
    assert about["loads"] is True
    assert about["labels"] == ["negative", "positive"]
    shown = _run("inspect", LINEAR).output
    assert f"metrics test accuracy     {about['metrics']['test']['accuracy']}" in shown
    assert "confusion" not in shown


def test_inspect_opens_the_members_of_a_cascade(tmp_path: Path) -> None:
    """A pair whose member has changed since is not served, and that is said beforehand."""
    digest = json.loads(_run("inspect", LINEAR, "--json").output)["digest"]
    for pinned, code in ((digest, 0), ("sha256:" + "0" * 64, 3)):
        members = {role: {"reference": LINEAR, "digest": pinned} for role in ("quick", "full")}
        manifest = {
            "schema": 1,
            "name": "pair",
            "flavor": "cascade",
            "labels": ["negative", "positive"],
            "options": {"members": members, "threshold": 0.9, "weights": {"quick": 0.5, "full": 0.5}},
        }
        (tmp_path / "pair").mkdir(exist_ok=True)
        (tmp_path / "pair" / "matinee.json").write_text(json.dumps(manifest), "utf-8")
        assert _run("inspect", str(tmp_path / "pair")).exit_code == code
