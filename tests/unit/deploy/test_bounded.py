"""No program that the delivery starts can make it wait for ever."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from deploy import bounded
from deploy.rehearsal.cloudrun import finished
from deploy.rehearsal.stage import NotAsExpected
from deploy.release import control
from deploy.release.errors import ControlFailed

_STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); signal.pause()"


def test_what_a_program_printed_is_given_back() -> None:
    """With its exit code."""
    done = bounded.run(["sh", "-c", "echo out; echo err >&2; exit 3"], 60)
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_a_program_that_does_not_end_is_named_and_killed_with_its_children() -> None:
    """A child that holds the pipe would otherwise be waited for."""
    with pytest.raises(bounded.Overdue, match=r"^sh -c sleep 1000 & wait did not end within 0\.2 s, and was killed$"):
        bounded.run(["sh", "-c", "sleep 1000 & wait"], 0.2)


def test_a_program_that_ignores_sigterm_is_named_and_killed() -> None:
    """A server of the rehearsal, at the end of its act."""
    process = subprocess.Popen([sys.executable, "-c", _STUBBORN], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"on\n"
    with pytest.raises(bounded.Overdue, match=r"^the server did not end within 0\.2 s of SIGTERM, and was killed$"):
        bounded.end(process, "the server", 0.2)
    process.stdout.close()
    assert process.returncode == -9


def test_gcloud_that_hangs_is_a_failure_of_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that the release is taken back."""
    script = tmp_path / "gcloud"
    script.write_text("#!/bin/sh\nsleep 1000\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(control, "_SECONDS", 0.2)
    with pytest.raises(ControlFailed, match=r"gcloud run services list did not end within 0\.2 s"):
        control.run_gcloud(["run", "services", "list", "--project=demo"])


def test_a_release_tool_that_does_not_end_fails_its_act() -> None:
    """And is gone afterwards."""
    process = subprocess.Popen([sys.executable, "-c", _STUBBORN], text=True, stdout=subprocess.PIPE)
    with pytest.raises(NotAsExpected, match=r"^the release tool did not end within 0\.2 s, and was killed$"):
        finished(process, 0.2)
    assert process.returncode == -9
