"""The workflows themselves, run by act: their jobs, conditions, outputs and commands; marketplace actions are stubs."""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from deploy import bounded
from deploy.rehearsal.cloudrun import cloud_stage
from deploy.rehearsal.stage import ROOT, Stage, expect, tail, tool

_ACT_SECONDS = 1200
_STUBS = Path(__file__).parent / "stubs"
_VARIABLES = {
    "REGISTRY": "127.0.0.1:15000",
    "GCP_PROJECT": "demo-project",
    "GCP_REGION": "europe-west1",
    "WIF_PROVIDER": "projects/1/locations/global/workloadIdentityPools/github/providers/github",
    "CI_SERVICE_ACCOUNT": "ci@demo-project.iam.gserviceaccount.com",
    "DEPLOY_SERVICE_ACCOUNT": "deploy@demo-project.iam.gserviceaccount.com",
}
# The tests and the linters have acts of their own: here they would be run three more times.
_MAKE = """#!/bin/sh
case "$1" in
  test|lint-pipelines) echo "not repeated in the rehearsal: make $1" ;;
  *) exec {make} "$@" ;;
esac
"""


def push_and_refresh(stage: Stage) -> str:
    """A push to main up to the live revision, then the schedule."""
    act = tool("act")
    with cloud_stage(stage) as on:
        on.declare()
        programs = _programs(stage)
        environment = {
            **on.environment(),
            "MODEL": stage.model,
            "RELEASE_CONFIG": str(on.config),
            "REHEARSAL_DIR": str(stage.folder),
            "PATH": f"{programs}:{os.environ['PATH']}",
        }
        names = ("BUILDAH_ISOLATION", "CONTAINERS_STORAGE_CONF", "CONTAINERS_CONF")
        environment |= {name: stage.environment()[name] for name in names}
        pushed = _act(stage, act, environment, "push", "cicd.yml", {})
        live = dict(on.shares())
        expect(list(live.values()) == [100], f"traffic after the push: {live}")
        same = _act(stage, act, environment, "schedule", "refresh.yml", {"MODEL": stage.model})
        expect("nothing to do" in same, f"the schedule did not say that nothing is to do: {tail(same, 8)}")
        expect(on.shares() == live, "the schedule changed the traffic")
    jobs = len(set(re.findall(r"\[cicd/([^\]]+?)\s*\]", pushed)))
    return f"push: {jobs} jobs up to the live revision; schedule: nothing to do, said so"


def _act(
    stage: Stage, act: str, environment: dict[str, str], event: str, workflow: str, variables: dict[str, str]
) -> str:
    command = [act, event, "--workflows", f".github/workflows/{workflow}", "--platform", "ubuntu-24.04=-self-hosted"]
    command += ["--no-cache-server", "--matrix", "python:3.11"]
    for uses, folder in _stubs().items():
        command += ["--local-repository", f"{uses}={folder}"]
    for name, value in environment.items():
        command += ["--env", f"{name}={value}"]
    for name, value in (_VARIABLES | variables).items():
        command += ["--var", f"{name}={value}"]
    # act runs the scripts that it writes there by their paths, unquoted: a checkout's own may have a space
    with tempfile.TemporaryDirectory(prefix="matinee-act-", ignore_cleanup_errors=True) as cache:
        own = {**os.environ, "XDG_CACHE_HOME": cache}
        own.pop("http_proxy", None)
        done = bounded.run(command, _ACT_SECONDS, cwd=ROOT, env=own)
    (stage.folder / f"act-{event}.log").write_text(done.stdout + done.stderr)
    expect(done.returncode == 0, f"act {event} ended with {done.returncode}: {tail(done.stdout + done.stderr, 15)}")
    return done.stdout


def _stubs() -> dict[str, Path]:
    """Each pinned action of the workflows, and the folder that stands in for it; none may be missing."""
    texts = [path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    uses = {each for text in texts for each in re.findall(r"uses: ([\w./-]+@[0-9a-f]{40})", text)}
    found = {each: _STUBS / each.partition("@")[0].replace("/", "+") for each in uses}
    missing = [str(folder) for folder in found.values() if not (folder / "action.yml").exists()]
    expect(not missing, f"no stub: {missing}")
    return found


def _programs(stage: Stage) -> Path:
    """A folder for the PATH: `python`, which Debian does not have, and a make that leaves out what has its own act."""
    folder = stage.folder / "programs"
    folder.mkdir(exist_ok=True)
    python = folder / "python"
    python.unlink(missing_ok=True)
    python.symlink_to(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
    make = folder / "make"
    make.write_text(_MAKE.format(make=shutil.which("make")))
    make.chmod(0o755)
    return folder
