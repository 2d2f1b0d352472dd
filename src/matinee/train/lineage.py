"""Where a bundle comes from: data digest, code commit, seed, package versions, command line."""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def lineage(data_digest: str, seed: int, packages: Sequence[str], **details: Any) -> dict[str, Any]:
    """Collect it from the running process; ``packages`` are the distributions whose versions matter."""
    return {
        "data_digest": data_digest,
        "code_commit": code_commit(),
        "seed": seed,
        "python": ".".join(map(str, sys.version_info[:3])),
        "packages": {name: _version(name) for name in packages},
        "command": shlex.join(["matinee", *(_portable(argument) for argument in sys.argv[1:])]),
        **details,
    }


def _portable(argument: str) -> str:
    """An absolute path by its last part: the rest belongs to one machine and says nothing to others."""
    return Path(argument).name if Path(argument).is_absolute() else argument


def code_commit() -> str:
    """The commit of the checkout that this code runs from; empty outside of one."""
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "log",
        "-1",
        "--format=%H",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
