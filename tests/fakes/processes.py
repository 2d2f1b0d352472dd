"""A real server process on a free port, and what a test wants to know about it."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.serving import write_bundle

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds; only what hangs takes so long


@dataclass
class ServerProcess:
    """A started server; `lines` are those of its log that were read so far."""

    process: subprocess.Popen[bytes]
    port: int = 0
    lines: list[str] = field(default_factory=list)

    def read_until(self, event: str) -> dict[str, Any]:
        """Read the log up to the line of `event`."""
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            self.lines.append(raw.decode())
            document: dict[str, Any] = json.loads(raw) if raw.startswith(b"{") else {}
            if document.get("event") == event:
                return document
        raise AssertionError(f"the server ended before {event!r}: {''.join(self.lines)}")

    def request(self, method: str, path: str, body: object = None, *, key: str = "") -> tuple[int, dict[str, str], Any]:
        """One request on a connection of its own: status, headers, JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            payload = None if body is None else json.dumps(body).encode()
            connection.request(method, path, payload, {"content-type": "application/json", "x-api-key": key})
            response = connection.getresponse()
            content = response.read()
            return response.status, dict(response.getheaders()), json.loads(content) if content[:1] == b"{" else content

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; exit status and seconds until the process is gone."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(PATIENCE), time.monotonic() - began

    def children(self) -> list[int]:
        """Process ids of the workers."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text("ascii")
        return [int(pid) for pid in listed.split()]


def until(condition: Callable[[], bool]) -> None:
    """Wait for what is bound to happen."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def launch(folder: Path, environ: Mapping[str, str] | None = None, *options: str) -> subprocess.Popen[bytes]:
    """Start `matinee serve` in `folder` with none of this machine's settings."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), "CACHE_DIR": str(folder / "cache")}
    env |= {"HOST": "127.0.0.1", "PORT": "0", "DRAIN_SECONDS": "0", "POLL_SECONDS": "0"} | dict(environ or {})
    line = [sys.executable, "-m", "tests.fakes.obedient_server", "serve", *options]
    return subprocess.Popen(line, cwd=folder, env=env, stderr=subprocess.PIPE)


@contextlib.contextmanager
def running(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[ServerProcess]:
    """A server with the model `obedient` that says it is ready; killed at the end if a test left it alive."""
    bundle = write_bundle(folder / "obedient")
    server = ServerProcess(launch(folder, {"MODEL": str(bundle)} | dict(environ or {})))
    try:
        address = server.read_until("ready")["address"]
        server.port = int(address.rsplit(":", 1)[1])
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        assert server.process.stderr is not None
        server.process.stderr.close()
