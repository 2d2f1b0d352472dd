"""Releases by the genuine gcloud to a Cloud Run that starts real containers: good ones, and bad ones in every way."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.rehearsal.containers import PodmanLauncher, ask
from deploy.rehearsal.image import push_image
from deploy.rehearsal.stage import GCLOUD_ALONE, ROOT, NotAsExpected, Skipped, Stage, expect, needs, tail
from tests.fakes.cloud_run import CloudRun
from tests.fakes.cloud_run_doors import serve

_WATCH_SECONDS = 3


@dataclass
class CloudStage:
    """The stand-in, its doors, and the release tool as its users call it."""

    stage: Stage
    cloud: CloudRun
    control_port: int
    front_port: int
    config: Path
    variables: dict[str, str] = field(default_factory=dict)
    memory: str = "512Mi"

    def environment(self) -> dict[str, str]:
        """Gcloud's own variables that send it to loopback."""
        here = f"http://127.0.0.1:{self.control_port}"
        return {
            **GCLOUD_ALONE,
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "1",
            "CLOUDSDK_CORE_PROJECT": "demo-project",
            "CLOUDSDK_CONFIG": str(self.stage.folder / "gcloud"),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": "http://run.test/",  # gcloud puts the region before the name
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING": f"{here}/",
            "http_proxy": here,
            "no_proxy": ".localhost,localhost,127.0.0.1",
            "GCP_PROJECT": "demo-project",
            "GCP_REGION": "europe-west1",
            **self.variables,
        }

    def start(self, *arguments: str, python: str = sys.executable) -> "subprocess.Popen[str]":
        """The release tool as a process of its own."""
        return subprocess.Popen(
            [python, "-m", "deploy.release", "--config", str(self.config), *arguments],
            cwd=ROOT, env=self.stage.environment(self.environment()), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def release(self, *arguments: str, python: str = sys.executable) -> tuple[int, str]:
        """Run it to its end."""
        process = self.start(*arguments, python=python)
        output = finished(process, 600)
        return process.returncode, output

    def declare(self, **settings: str) -> None:
        """Write the declared configuration: the shipped one with a short watch, and these variables besides."""
        text = (ROOT / "deploy" / "cloudrun.toml").read_text()
        text = re.sub(r"watch_seconds = \d+", f"watch_seconds = {_WATCH_SECONDS}", text)
        text = re.sub(r"startup_seconds = \d+", "startup_seconds = 60", text)
        text = text.replace('"512Mi"', f'"{self.memory}"')
        model = settings.pop("MODEL", self.stage.model)
        text = text.replace('"bundled:imdb-sentiment"', f'"{model}"')
        lines = "".join(f'{name} = "{value}"\n' for name, value in settings.items())
        self.config.write_text(text.replace("[env]\n", f"[env]\n{lines}"))

    def shares(self) -> dict[str, int]:
        """Who gets how much at this moment."""
        service = self.cloud.services.get("matinee")
        return {line["revisionName"]: line["percent"] for line in service.traffic if line["percent"]} if service else {}

    def callers(self, count: int) -> Counter[str]:
        """Ask the service's address, and count who answered."""
        host = f"matinee.localhost:{self.front_port}"
        document = {"text": "A wonderful film."}
        return Counter(str(ask(self.front_port, "POST", "/predict", document, host)[1]) for _ in range(count))

    def wait_for_canary(self) -> None:
        """Until two revisions share the traffic."""
        until = time.monotonic() + 120
        while len(self.shares()) < 2:
            expect(time.monotonic() < until, "there was no canary within 120 s")
            time.sleep(0.05)


@contextmanager
def cloud_stage(stage: Stage) -> Iterator[CloudStage]:
    """Open the stand-in's doors; every container it started is removed at the end."""
    needs("gcloud", "podman", "runc")
    if not stage.pushed:
        raise Skipped("there is no image with a digest: see the act before")
    folder = stage.folder / "release"
    folder.mkdir(exist_ok=True)
    (folder / "golden.json").write_text((ROOT / "deploy" / "golden.json").read_text())
    cloud = CloudRun(PodmanLauncher(stage))
    with serve(cloud) as (control_port, front_port):
        yield CloudStage(stage, cloud, control_port, front_port, folder / "cloudrun.toml")


def finished(process: "subprocess.Popen[str]", seconds: float) -> str:
    """What the release tool said; one that does not end is killed, and that is a fault."""
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate(timeout=60)
        raise NotAsExpected(f"the release tool did not end within {seconds:g} s, and was killed") from None


def releases(stage: Stage) -> str:
    """All the acts below share one service, as releases do."""
    with cloud_stage(stage) as on:
        acts: list[Callable[[CloudStage], str]] = [
            _first, _second, _crash, _wrong_answers, _terminated, _killed, _rollback
        ]  # fmt: skip
        for act in acts:
            name = (act.__doc__ or "").rstrip(".").lower()
            if not stage.act(f"Cloud Run: {name}", lambda _, play=act: play(on)):  # type: ignore[misc]
                break
    return "see the acts above"


def _first(on: CloudStage) -> str:
    """The first release."""
    on.declare()
    code, output = on.release("deploy", "--image", on.stage.pushed)
    expect(code == 0, f"exit code {code}: {tail(output, 6)}")
    expect(list(on.shares().values()) == [100], f"traffic: {on.shares()}")
    return tail(output, 1)


def _second(on: CloudStage) -> str:
    """A second release, by candidate and canary."""
    old = next(iter(on.shares()))
    on.declare(LOG_LEVEL="warning")
    process = on.start("deploy", "--image", on.stage.pushed)
    on.wait_for_canary()
    counted = on.callers(50)
    output = finished(process, 600)
    expect(process.returncode == 0, f"exit code {process.returncode}: {tail(output, 6)}")
    expect(counted[old] == 45, f"of 50 callers {dict(counted)} during the canary")
    expect(on.shares() != {old: 100}, "the old revision still has all traffic")
    return f"45 of 50 callers stayed on the old revision during the canary; {tail(output, 1)}"


def _stays(on: CloudStage, old: str, code: int, output: str, reason: str) -> str:
    expect(code == 1, f"exit code {code}: {tail(output, 6)}")
    expect(on.shares() == {old: 100}, f"traffic: {on.shares()}, not all on {old}")
    expect(not any("tag" in line for line in on.cloud.services["matinee"].traffic), "a tag is left")
    expect(reason in output, f"the reason is not told: {tail(output, 6)}")
    answered = on.callers(10)
    expect(answered == {old: 10}, f"callers got {dict(answered)}")
    return f"exit code 1, all traffic still on the old revision, 10 of 10 callers answered: {tail(output, 1)[:200]}"


def _crash(on: CloudStage) -> str:
    """A release that crashes at start."""
    old = next(iter(on.shares()))
    on.declare(POLL_SECONDS="never")
    text = on.config.read_text()
    on.config.write_text(re.sub(r'POLL_SECONDS = "0".*\n', "", text))
    code, output = on.release("deploy", "--image", on.stage.pushed)
    return _stays(on, old, code, output, "did not become ready")


def _wrong_answers(on: CloudStage) -> str:
    """A release with wrong answers."""
    old = next(iter(on.shares()))
    image = _swapped_labels(on.stage)
    on.declare(MODEL="/opt/swapped")
    code, output = on.release("deploy", "--image", image)
    return _stays(on, old, code, output, "smoke test: golden review 0 is positive, and the answer was negative")


def _swapped_labels(stage: Stage) -> str:
    """An image whose model answers the opposite, and has no examples that would tell."""
    folder = stage.folder / "swapped"
    source = ROOT / "src" / "matinee" / "bundled" / "imdb-sentiment-linear"
    (folder / "bundle").mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        (folder / "bundle" / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((source / "matinee.json").read_text())
    manifest |= {"labels": manifest["labels"][::-1], "examples": []}
    (folder / "bundle" / "matinee.json").write_text(json.dumps(manifest))
    (folder / "Dockerfile").write_text(f"FROM {stage.image}\nCOPY bundle /opt/swapped\n")
    image = "localhost/matinee:swapped"
    stage.run("buildah", "bud", "--quiet", "--pull-never", "--tag", image, str(folder))
    repository = stage.pushed.partition("@")[0]
    return f"{repository}@{push_image(stage, image, stage.folder / 'swapped.digest')}"


def _terminated(on: CloudStage) -> str:
    """The tool is told to stop (SIGTERM) during the canary."""
    old = next(iter(on.shares()))
    on.declare(LOG_LEVEL="error")
    process = on.start("deploy", "--image", on.stage.pushed)
    on.wait_for_canary()
    process.send_signal(signal.SIGTERM)
    output = finished(process, 300)
    return _stays(on, old, process.returncode, output, "stopped by SIGTERM")


def _killed(on: CloudStage) -> str:
    """The tool is killed (SIGKILL) during the canary, and the pipeline's last step settles."""
    old = next(iter(on.shares()))
    on.declare(LOG_LEVEL="error")
    process = on.start("deploy", "--image", on.stage.pushed)
    on.wait_for_canary()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    between = on.shares().get(old)
    code, output = on.release("settle")
    expect(code == 0, f"settle ended with {code}: {tail(output, 6)}")
    expect(on.shares() == {old: 100}, f"traffic: {on.shares()}")
    return f"the old revision kept {between} % in between, and has 100 % after `settle`: {tail(output, 1)}"


def _rollback(on: CloudStage) -> str:
    """Rollback by hand."""
    old = next(iter(on.shares()))
    code, output = on.release("rollback")
    expect(code == 0, f"exit code {code}: {tail(output, 6)}")
    expect(on.shares() and on.shares() != {old: 100}, f"traffic: {on.shares()}")
    return tail(output, 1)
