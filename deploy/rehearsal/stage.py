"""What every act of the rehearsal uses: programs, the time they took, what was proved and what was skipped."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy import bounded

ROOT = Path(__file__).parents[2]

BUILD_SECONDS = 900  # of the largest image, on a busy machine with two cores

# Gcloud keeps to what it is asked for, and asks nobody.
GCLOUD_ALONE = {
    "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
    "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
    "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
    "CLOUDSDK_CORE_SHOULD_PROMPT_TO_ENABLE_API": "false",
}


class Skipped(Exception):
    """The machine lacks something; the message says what."""


class NotAsExpected(Exception):
    """The rehearsal found a fault."""


def expect(fact: object, message: str) -> None:
    """Raise `NotAsExpected` unless it is so."""
    if not fact:
        raise NotAsExpected(message)


@dataclass
class Stage:
    """The rehearsal's folder, image and findings."""

    folder: Path
    model: str
    image: str = "localhost/matinee:rehearsal"
    pushed: str = ""
    keep_images: bool = False
    rows: list[tuple[str, str, float, str]] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Ours, with the container storage of the rehearsal."""
        return {
            **os.environ,
            "REHEARSAL_DIR": str(self.folder),
            "BUILDAH_ISOLATION": "chroot",
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            **(extra or {}),
        }

    def run(
        self, *command: str, extra: Mapping[str, str] | None = None, check: bool = True, cwd: Path = ROOT
    ) -> subprocess.CompletedProcess[str]:
        """Run a program; a failure shows the end of what it said. None takes longer than a build from nothing."""
        done = bounded.run(command, BUILD_SECONDS, cwd=cwd, env=self.environment(extra))
        if check and done.returncode:
            raise NotAsExpected(f"{' '.join(command)[:200]} ended with {done.returncode}: {done.stderr[-1500:]}")
        return done

    def build(self, target: str, image: str) -> None:
        """Build the shipped Dockerfile, unless an image of an earlier rehearsal is to be kept."""
        known = self.run("podman", "image", "exists", image, check=False).returncode == 0
        if not (self.keep_images and known):
            self.run(str(Path(__file__).parent / "build.sh"), target, image)

    def act(self, name: str, play: Callable[["Stage"], str]) -> bool:
        """Play one act; what it returns is what it proved."""
        print(f"…        {name}", flush=True)
        started = time.monotonic()
        try:
            outcome, text = "proved", play(self)
        except Skipped as skipped:
            outcome, text = "SKIPPED", str(skipped)
        except Exception as fault:  # noqa: BLE001 - whatever one act meets, the others are played, and the report is made
            outcome, text = "FAILED", " ".join(f"{type(fault).__name__}: {fault}".split())
        seconds = time.monotonic() - started
        self.rows.append((name, outcome, seconds, text))
        print(f"{outcome:8} {name} ({seconds:.1f} s): {text}", flush=True)
        return outcome != "FAILED"

    def report(self) -> str:
        """The table for docs/reference/rehearsal.md."""
        lines = ["| act | outcome | seconds | what was seen |", "|---|---|---|---|"]
        lines += [f"| {name} | {outcome} | {seconds:.1f} | {text} |" for name, outcome, seconds, text in self.rows]
        figures = [f"| {name} | {value} |" for name, value in self.figures.items()]
        return "\n".join([*lines, "", "| figure | value |", "|---|---|", *figures, ""])


def needs(*programs: str) -> None:
    """Skip when a program is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise Skipped(f"not installed: {', '.join(missing)}")


def tool(program: str) -> str:
    """A program of deploy/requirements-rehearsal.txt; skips when its environment is not there."""
    path = ROOT / ".venv-rehearsal" / "bin" / program
    if not path.exists():
        raise Skipped(f"{program} is not in .venv-rehearsal: `make rehearse` makes it")
    return str(path)


def tail(text: str, lines: int = 3) -> str:
    """The last lines of an output, on one line."""
    return " / ".join(text.strip().splitlines()[-lines:])
