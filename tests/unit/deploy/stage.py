"""A stage for the release tool: the Cloud Run stand-in with tiny servers, a clock that does not wait, a report."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy.release.config import Config, Limits, ServiceShape
from deploy.release.document import Live
from deploy.release.model import Pinned
from deploy.release.report import Report
from deploy.release.steps import Release
from tests.fakes.cloud_run import CloudRun
from tests.fakes.cloud_run_client import StandInControl
from tests.fakes.cloud_run_doors import serve
from tests.fakes.tiny_matinee import TinyLauncher

GOLDEN = [{"text": "a good film", "label": "positive"}, {"text": "a bad film", "label": "negative"}]
IMAGE = "registry.test/proj/matinee@sha256:" + "a" * 64
OTHER_IMAGE = "registry.test/proj/matinee@sha256:" + "b" * 64


class LeapingClock:
    """Sleeping is over at once; the time of day is real, since the request log's is."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """Seconds slept so far."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Leap."""
        self._now += seconds

    def stamp(self) -> str:
        """A moment ago, as RFC 3339 in UTC."""
        return (datetime.now(UTC) - timedelta(milliseconds=5)).isoformat(timespec="milliseconds")[:23] + "Z"


@dataclass
class Stage:
    """Everything a test of a release needs at hand."""

    cloud: CloudRun
    control: StandInControl
    config: Config
    report: Report
    launcher: TinyLauncher
    front_port: int

    def release(self, environment: Mapping[str, str] | None = None, limits: Limits | None = None) -> Release:
        """A release tool whose revisions get this environment besides."""
        config = replace(self.config, environment=environment or {}, limits=limits or self.config.limits)
        return Release(config, self.control, self.report, LeapingClock())

    def live(self) -> Live:
        """The service now."""
        return self.control.live("matinee")

    def shares(self) -> dict[str, int]:
        """Percent for each revision that has any."""
        return {share.revision: share.percent for share in self.live().traffic if share.percent}

    @property
    def said(self) -> str:
        """The report's lines."""
        return "\n".join(text for _, text in self.report.steps)


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Open the doors; everything is stopped at the end."""
    golden = folder / "golden.json"
    golden.write_text(json.dumps(GOLDEN))
    shape = ServiceShape(startup_seconds=5)
    # A busy machine must not fail a good release: times are judged where a test says so.
    limits = Limits(watch_seconds=10, probe_every_seconds=2, smoke_timeout_seconds=2, latency_floor_seconds=60)
    config = Config(project="demo", region="here", service=shape, limits=limits, model=model().follows, golden=golden)
    launcher = TinyLauncher()
    cloud = CloudRun(launcher)
    with serve(cloud) as (control_port, front_port):
        report = Report(say=lambda _: None)
        yield Stage(cloud, StandInControl(control_port), config, report, launcher, front_port)


def model(version: str = "v1") -> Pinned:
    """A model of a registry, pinned to a version."""
    return Pinned(f"wandb:team/films/sentiment:{version}", version, f"md5:{version}", "wandb:team/films/sentiment:live")
