"""Environments, processes and load: the plumbing of `bench.py`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog import Configuration, Server

HERE = Path(__file__).parent
ENVS = HERE / ".envs"
START_SECONDS = 90
MARK = "BENCHMARK_RUN"  # in the environment of whatever a server starts: Ray's processes leave its process group


@dataclass(frozen=True)
class Running:
    """A server that answers; `mark` is in the environment of all of its processes, `seconds` is how long it took."""

    url: str
    mark: str
    seconds: float


def environment(server: Server) -> Path:
    """The Python of the server's own environment, which is made when it is not there; matinee's is this one."""
    if not server.install:
        return Path(sys.executable)
    folder = ENVS / "-".join(server.install[0].split("[")[0].split())
    python = folder / "bin/python"
    stamp = folder / ".installed"
    if not stamp.exists() or stamp.read_text() != "\n".join(server.install):
        print(f"installing {server.name} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *server.install], check=True)
        stamp.write_text("\n".join(server.install))
    return python


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(server: Server, configuration: Configuration, model: dict[str, str], work: Path) -> Iterator[Running]:
    """Start the server, wait until it answers its health route, and stop it again with all that it started."""
    port = free_port()
    mark = f"{MARK}={os.getpid()}-{port}"
    python = environment(server)
    if server.name == "MLServer":
        _mlserver_files(work, port, configuration)
    command = [part.format(port=port, work=work) if part != "python" else str(python) for part in server.start]
    env = {**os.environ, **model, **configuration.env, "PORT": str(port), "PYTHONPATH": str(HERE / "peers")}
    env |= {"HOME": str(work), "OMP_NUM_THREADS": model.get("MODEL_THREADS", "2"), "BENTOML_DO_NOT_TRACK": "True"}
    env |= {"RAY_TMPDIR": str(work), "RAY_USAGE_STATS_ENABLED": "0", MARK: mark.partition("=")[2]}
    started = time.monotonic()
    with (work / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=HERE / "peers", env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait(f"http://127.0.0.1:{port}{server.health}", process, work)
        yield Running(f"http://127.0.0.1:{port}", mark, time.monotonic() - started)
    finally:
        _stop(process, mark)


def _wait(url: str, process: subprocess.Popen[bytes], work: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return
        except OSError:
            pass
        time.sleep(0.01)
    raise RuntimeError("did not start:\n" + (work / "server.log").read_text()[-3000:])


def _stop(process: subprocess.Popen[bytes], mark: str) -> None:
    """Ask the server to end; what it started and left behind is killed, process by process."""
    with suppress(subprocess.TimeoutExpired):
        process.terminate()
        process.wait(timeout=12)
    while left := processes(mark):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.poll()
        time.sleep(0.1)
    process.wait()


def processes(mark: str) -> list[int]:
    """Everything alive that was started by the server with this mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def ask(url: str, server: Server, text: str) -> float:
    """The positive-class probability of one text."""
    request = urllib.request.Request(url + server.route, server.body(text).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return server.positive(json.load(answer))


def load(url: str, server: Server, bodies: Path, clients: int, seconds: float) -> dict[str, Any]:
    """Closed loop with `clients` connections; requests per second and latencies in milliseconds."""
    command = ["wrk", "--threads", "1", "--connections", str(clients), "--duration", f"{seconds:g}s"]
    command += ["--timeout", "30s", "--script", str(HERE / "load.lua"), url]
    env = {**os.environ, "BODIES": str(bodies), "ROUTE": server.route}
    output = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    result = json.loads(next(line for line in output.splitlines() if line.startswith("RESULT "))[7:])
    answered = result["requests"] - result["refused_or_failed"]
    return {
        "rps": answered / (result["duration_us"] / 1e6),
        "p50": result["p50"] / 1e3,
        "p99": result["p99"] / 1e3,
        "failed": result["refused_or_failed"] + result["socket_errors"],
    }


def pss_megabytes(mark: str) -> float:
    """Proportional set size of all processes of a server, in MB."""
    total = 0
    for pid in processes(mark):
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def _mlserver_files(work: Path, port: int, configuration: Configuration) -> None:
    batch = int(configuration.env.get("MLSERVER_BATCH", "0"))
    server = {"host": "127.0.0.1", "http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    server |= {"parallel_workers": int(configuration.env["MLSERVER_PARALLEL_WORKERS"]), "debug": False}
    model: dict[str, Any] = {"name": "sentiment", "implementation": "mlserver_model.Sentiment"}
    if batch:
        model |= {"max_batch_size": batch, "max_batch_time": 0.01}
    (work / "settings.json").write_text(json.dumps(server))
    (work / "model-settings.json").write_text(json.dumps(model))
