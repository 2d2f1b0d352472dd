"""python -m deploy.release deploy | refresh | rollback | settle | status: parse, call, print."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from deploy.release.config import Config, load_config
from deploy.release.control import Control, Gcloud
from deploy.release.errors import ReleaseError
from deploy.release.model import resolve
from deploy.release.refresh import Refresh, model_for_deploy
from deploy.release.report import Report
from deploy.release.signals import interruptible
from deploy.release.steps import Release


class WallClock:
    """The clock of a real release."""

    def now(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def stamp(self) -> str:
        """Now, as RFC 3339 in UTC."""
        return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Commands:
    """One method for each command; each gives back the line that ends the report."""

    def __init__(self, arguments: argparse.Namespace, report: Report) -> None:
        self._arguments = arguments
        self._report = report
        self._config: Config = load_config(arguments.config)
        self._control: Control = Gcloud(self._config.project, self._config.region)
        self._release = Release(self._config, self._control, report, WallClock())

    def deploy(self) -> str:
        """Release an image."""
        wanted = self._arguments.model or self._config.model
        pinned = model_for_deploy(self._release.live(), wanted, resolve)
        self._release.deploy(self._arguments.image, pinned)
        return f"Released: {self._config.service.name} serves {pinned.reference}"

    def refresh(self) -> str:
        """Release the registry's model, if it is another one."""
        refresh = Refresh(self._release, self._control, resolve, self._report)
        released = refresh.run(self._arguments.model or self._config.model)
        return "Released: the registry's model is live" if released else "Nothing was released"

    def rollback(self) -> str:
        """Back to the revision before."""
        return f"Rolled back: {self._release.rollback()} is live"

    def settle(self) -> str:
        """Clean up after a run that was killed."""
        return "Settled: one revision has all traffic" if self._release.settle() else "Nothing to settle"

    def status(self) -> str:
        """Print what is live."""
        live = self._release.live()
        for share in live.traffic:
            self._report.step(f"{share.percent:3d} %  {share.revision}  {share.tag}".rstrip())
        for entry in live.notes.history:
            self._report.step(json.dumps(dict(entry), sort_keys=True))
        return f"{self._config.service.name}: {live.url or 'not released yet'}"


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.release", description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("deploy/cloudrun.toml"), help="the declared configuration")
    commands = parser.add_subparsers(dest="command", required=True)
    deploy = commands.add_parser("deploy", help="release an image")
    deploy.add_argument("--image", required=True, help="REPOSITORY@sha256:…")
    refresh = commands.add_parser("refresh", help="release the registry's model, if it is another one")
    for command in (deploy, refresh):
        command.add_argument("--model", help="a model reference, instead of the declared one")
    commands.add_parser("rollback", help="give all traffic to the revision before")
    commands.add_parser("settle", help="undo what a killed run left behind")
    commands.add_parser("status", help="show traffic and history")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Run one command; an expected failure is one sentence, in the report and on stderr."""
    arguments = _arguments(argv)
    report = Report.for_this_process()
    try:
        commands = Commands(arguments, report)
        run: Callable[[], str] = getattr(commands, arguments.command)
        with interruptible():
            outcome = run()
        report.close(outcome)
    except ReleaseError as error:
        report.close(f"Failed: {error}")
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
