"""What happened, for people: one line a step while it runs, and a Markdown summary at the end."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Report:
    """Collects the steps; `summary` is a file that Markdown is appended to (GitHub's job summary), or None."""

    def __init__(self, say: Callable[[str], None] = _print, summary: Path | None = None) -> None:
        self._say = say
        self._summary = summary
        self._started = time.monotonic()
        self.steps: list[tuple[float, str]] = []

    @classmethod
    def for_this_process(cls) -> "Report":
        """To standard output, and to the job summary where GitHub asks for one."""
        path = os.environ.get("GITHUB_STEP_SUMMARY")
        return cls(summary=Path(path) if path else None)

    def step(self, text: str) -> None:
        """Say one thing that has just happened."""
        seconds = time.monotonic() - self._started
        self.steps.append((seconds, text))
        self._say(f"{seconds:7.1f} s  {text}")

    def close(self, outcome: str) -> None:
        """The last line, and the summary."""
        self.step(outcome)
        if self._summary is None:
            return
        rows = "".join(f"| {seconds:.1f} | {text.replace('|', chr(92) + '|')} |\n" for seconds, text in self.steps)
        with self._summary.open("a", encoding="utf-8") as file:
            file.write(f"### {outcome}\n\n| seconds | step |\n|---|---|\n{rows}\n")
