"""How long until a moved alias answers, and what a registry in trouble costs those who ask.

    python -m benchmarks.follow wandb            # the W&B server of the tests, and the real client
    python -m benchmarks.follow mlflow           # a real `mlflow server` (needs mlflow), which sends the webhooks
    python -m benchmarks.follow wandb --trouble  # latency while the registry hangs, talks nonsense, and flaps

Two versions of one model lie in the registry. The alias moves; the time is taken until a client of the matinee
server gets an answer that names the other version, first by polling alone, then with webhooks and polling off. Each
finds two versions that its server has never seen.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from benchmarks.swaps import MODEL, TEXTS, Ledger, client, make_versions, request, serving, until_ready
from tests.fakes.wandb_server import WandbServer

SECRET = "benchmark-shared-secret"  # noqa: S105 - of a server that lives for a minute
VERSIONS = ("one", "two")
SETTLING_SECONDS = 3.0  # between two moves, and after the start: nobody moves an alias twice in a second
Move = Callable[[int], None]  # the alias, to version 0 or 1
Hook = Callable[[int], None]  # have the registry send webhooks to the matinee server on that port


@contextmanager
def wandb_registry(folder: Path) -> Iterator[tuple[str, dict[str, str], Move, Hook, WandbServer]]:
    """The W&B server of the tests; the webhook is sent as W&B's automations do."""
    with WandbServer() as server:
        for name in VERSIONS:
            files = {file.name: file.read_bytes() for file in (folder / name).iterdir()}
            stored = server.state.publish("team/films/model", files)
        aliases = stored.collection.aliases
        aliases["production"] = 0
        hooked: list[int] = []

        def move(version: int) -> None:
            aliases["production"] = version
            for port in hooked:
                body = json.dumps({"event_type": "ADD_ARTIFACT_ALIAS", "alias": "production"}).encode()
                signature = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()
                headers = {"X-Wandb-Signature": signature, "Content-Type": "application/json"}
                urlopen(Request(f"http://127.0.0.1:{port}/webhooks/wandb", body, headers), timeout=10).close()

        yield "wandb:team/films/model:production", server.environment(), move, hooked.append, server


@contextmanager
def mlflow_registry(folder: Path) -> Iterator[tuple[str, dict[str, str], Move, Hook, None]]:
    """A real `mlflow server` on this machine, which sends its own signed webhooks."""
    from mlflow import MlflowClient

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {"MLFLOW_TRACKING_URI": url}
    os.environ |= environment
    allowed = {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_CACHE_TTL": "1",  # seconds; by default it knows of a new webhook only after a minute
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/files"]
    log = (folder / "mlflow.log").open("w")
    server = subprocess.Popen(command, env={**os.environ, **allowed}, stdout=log, stderr=log)
    try:
        _until_healthy(url, server)
        mlflow = MlflowClient(url)
        _publish(mlflow, folder)

        def move(version: int) -> None:
            mlflow.set_registered_model_alias("films", "champion", str(version + 1))

        def hook(at: int) -> None:
            events: Any = ["model_version_alias.created"]
            mlflow.create_webhook("matinee", f"http://127.0.0.1:{at}/webhooks/mlflow", events, secret=SECRET)

        yield "models:/films@champion", environment, move, hook, None
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def _publish(mlflow: Any, folder: Path) -> None:
    mlflow.create_registered_model("films")
    experiment = mlflow.create_experiment("films")
    for name in VERSIONS:
        run = mlflow.create_run(experiment)
        mlflow.log_artifacts(run.info.run_id, str(folder / name), "model")
        mlflow.create_model_version("films", f"{run.info.artifact_uri}/model", run.info.run_id)
    mlflow.set_registered_model_alias("films", "champion", "1")


def _until_healthy(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None, "mlflow server has ended"
        try:
            with urlopen(f"{url}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("mlflow server does not answer")


async def version_now(port: int) -> str:
    """The digest that an answer names."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    _, headers, _ = await request(reader, writer, "POST", "/predict", {"text": "a good film"})
    writer.close()
    return headers["x-matinee-digest"]


async def follow(port: int, move: Move, rounds: int) -> list[float]:
    """Move the alias so many times; seconds until another version answers."""
    seconds = []
    for number in range(rounds):
        before = await version_now(port)
        began = time.perf_counter()
        await asyncio.to_thread(move, (number + 1) % 2)
        async with asyncio.timeout(120):
            while await version_now(port) == before:
                pass
        seconds.append(round(time.perf_counter() - began, 3))
        await asyncio.sleep(SETTLING_SECONDS)
    return seconds


async def troubled(port: int, server: WandbServer, known: Any, seconds: float) -> dict[str, float]:
    """99th percentile and median of the latency, in milliseconds, while the registry is well and while it is not."""
    ledgers, figures = [Ledger()], {}
    tasks = [asyncio.create_task(client(port, number, known, ledgers)) for number in range(4)]
    aliases = server.state.collection("team", "films", "model").aliases
    await asyncio.sleep(2)
    for kind in ("well", "hang", "html", "flap", "well again"):
        ledgers.append(Ledger())
        if kind in ("hang", "html"):
            server.fail("graphql", kind)
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            await asyncio.sleep(0.5)
            if kind == "flap":
                aliases["production"] = random.randrange(2)
        server.recover()
        ranked = sorted(latency for _, latency in ledgers[-1].answers)
        figures[f"{kind}_p50_ms"] = round(ranked[len(ranked) // 2] * 1000, 2)
        figures[f"{kind}_p99_ms"] = round(ledgers[-1].p99_ms(), 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    figures["failed"] = sum(len(ledger.failed) for ledger in ledgers)
    figures["wrong"] = sum(len(ledger.wrong) for ledger in ledgers)
    figures["requests"] = sum(len(ledger.answers) for ledger in ledgers)
    return figures


async def measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Everything that was asked for."""
    known = await asyncio.to_thread(make_versions, folder, given.model)
    registry = {"wandb": wandb_registry, "mlflow": mlflow_registry}[given.registry]
    figures: dict[str, Any] = {"registry": given.registry, "texts": len(TEXTS)}
    with registry(folder) as (reference, environment, move, hook, server):
        common = {"MODELS": f"films={reference}", "WEBHOOK_SECRET": SECRET, "WARM_SECONDS": "0", **environment}
        if given.trouble:
            assert server is not None, "only the W&B server of the tests can be put into trouble"
            settings = {"POLL_SECONDS": "1", "REGISTRY_SECONDS": "5", **common, "WARM_SECONDS": "600"}
            with serving(folder, **settings) as (port, _):
                await until_ready(port)
                return figures | await troubled(port, server, known, given.seconds)
        with serving(folder, POLL_SECONDS=str(given.poll), **common) as (port, _):
            await until_ready(port)
            figures[f"by_polling_every_{given.poll:g}_seconds"] = await follow(port, move, given.rounds)
        move(0)
        with serving(folder, POLL_SECONDS="0", CACHE_DIR=str(folder / "another"), **common) as (port, _):
            await until_ready(port)
            hook(port)
            await asyncio.sleep(SETTLING_SECONDS)
            figures["by_webhook_seconds"] = await follow(port, move, given.rounds)
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("registry", choices=("wandb", "mlflow"))
    parser.add_argument("--model", type=Path, default=MODEL, help="bundle folder that both versions are made of")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--poll", type=float, default=5.0)
    parser.add_argument("--trouble", action="store_true")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each kind of trouble")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measure(Path(folder), given)), indent=2))


if __name__ == "__main__":
    main()
