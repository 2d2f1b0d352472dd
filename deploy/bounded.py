"""Programs that cannot outlast their limit: whatever does not end is named, and killed with all that it started."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any


class Overdue(Exception):
    """A program did not end within its limit; the message names it."""


def run(
    command: Sequence[str], seconds: float, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run to the end and give back what it printed; raises `Overdue`, and `OSError` when it cannot be started.

    It has a session of its own, so that what it started ends with it, also when this process is interrupted.
    """
    process = subprocess.Popen(
        command, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        output, complaints = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Overdue(f"{' '.join(command)[:200]} did not end within {seconds:g} s, and was killed") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
    return subprocess.CompletedProcess(command, process.returncode, output, complaints)


def end(process: "subprocess.Popen[Any]", name: str, seconds: float = 20) -> None:
    """Terminate, and kill what has not ended after `seconds`; raises `Overdue` then."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
        raise Overdue(f"{name} did not end within {seconds:g} s of SIGTERM, and was killed") from None
