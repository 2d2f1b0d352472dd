"""A stand-in for the W&B client in tests without it: writes what it is told to the file `FAKE_WANDB_FILE`.

`FAKE_WANDB_TROUBLE` is `init` (no run can be started, as with a dead server) or `log` (a row takes for ever).
"""

import json
import os
import time
from pathlib import Path
from typing import Any


class Settings:
    """Takes everything."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings


class Table:
    """Rows under column names."""

    def __init__(self, columns: list[str], data: list[list[Any]]) -> None:
        self.columns = columns
        self.data = data


class Run:
    """Appends a line for each call."""

    def log(self, row: dict[str, Any]) -> None:
        """One row."""
        if os.environ.get("FAKE_WANDB_TROUBLE") == "log":
            time.sleep(3600)
        _tell("log", {name: value.data if isinstance(value, Table) else value for name, value in row.items()})

    def finish(self) -> None:
        """The end."""
        _tell("finish", {})


def init(**arguments: Any) -> Run:
    """Start a run."""
    if os.environ.get("FAKE_WANDB_TROUBLE") == "init":
        _tell("failed", {})
        raise RuntimeError("no server")
    arguments.pop("settings")
    _tell("init", {**arguments, "key": os.environ.get("WANDB_API_KEY", "")})
    return Run()


def _tell(what: str, details: dict[str, Any]) -> None:
    with Path(os.environ["FAKE_WANDB_FILE"]).open("a") as file:
        file.write(json.dumps({"what": what, **details}) + "\n")
