"""Containers under the limits of Cloud Run, with podman."""

import http.client
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

from deploy.rehearsal.stage import NotAsExpected, Stage
from tests.fakes.cloud_run import Document

LIMITS = (
    "--network=host", "--pids-limit=512", "--read-only", "--tmpfs=/tmp", "--cap-drop=all",
    "--security-opt=no-new-privileges",
)  # fmt: skip


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Container:
    """One running container; removed at the end."""

    def __init__(
        self, stage: Stage, image: str, environment: Mapping[str, str], *, memory: str = "512m", cpus: str = "1"
    ) -> None:
        self._stage = stage
        self.port = int(environment["PORT"])
        variables = [f"--env={name}={value}" for name, value in environment.items()]
        limits = [f"--memory={memory}", f"--cpus={cpus}", *LIMITS]
        started = stage.run("podman", "run", "--detach", "--pull=never", *limits, *variables, image)
        self.name = started.stdout.strip()[:12]

    def alive(self) -> bool:
        """Whether its process runs."""
        state = self._stage.run("podman", "inspect", self.name, "--format={{.State.Running}}", check=False)
        return state.stdout.strip() == "true"

    def exit_code(self) -> int:
        """What it ended with."""
        state = self._stage.run("podman", "inspect", self.name, "--format={{.State.ExitCode}}")
        return int(state.stdout)

    def logs(self) -> str:
        """What it printed."""
        done = self._stage.run("podman", "logs", self.name, check=False)
        return done.stdout + done.stderr

    def terminate(self) -> None:
        """SIGTERM, ten seconds, SIGKILL: as Cloud Run does."""
        self._stage.run("podman", "stop", "--time=10", self.name, check=False)

    def stop(self) -> None:
        """Terminated and gone."""
        self.terminate()
        self._stage.run("podman", "rm", "--force", self.name, check=False)


class PodmanLauncher:
    """Starts revisions of the Cloud Run stand-in as containers, with the limits that the revision declares."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def start(self, revision: str, container: Document, port: int) -> Container:
        """Pull by digest from the loopback registry, and run."""
        environment = {entry["name"]: str(entry.get("value", "")) for entry in container["env"]}
        environment |= {"PORT": str(port), "HOST": "127.0.0.1", "K_REVISION": revision, "K_SERVICE": "matinee"}
        limits = container["resources"]["limits"]
        self._stage.run("podman", "pull", "--quiet", "--tls-verify=false", container["image"])
        memory = str(limits["memory"]).replace("Mi", "m").replace("Gi", "g")
        return Container(self._stage, container["image"], environment, memory=memory, cpus=str(limits["cpu"]))


def ask(port: int, method: str, path: str, document: object = None, host: str = "") -> tuple[int, Any]:
    """One request to 127.0.0.1; status 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json"} | ({"Host": host} if host else {})
    try:
        connection.request(method, path, None if document is None else json.dumps(document), headers)
        response = connection.getresponse()
        content = response.read()
        served_by = response.getheader("X-Served-By")
    except (OSError, http.client.HTTPException):
        return 0, None
    finally:
        connection.close()
    return response.status, served_by or (json.loads(content) if content.startswith(b"{") else content)


def first_answer(port: int, seconds: float = 60) -> Any:
    """Ask for one prediction until it comes."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        status, answer = ask(port, "POST", "/predict", {"text": "A wonderful film, superbly acted. I loved it."})
        if status == 200:
            return answer
        time.sleep(0.02)
    raise NotAsExpected(f"no answer on port {port} within {seconds:.0f} s")
