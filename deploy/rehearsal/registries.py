"""The scheduled flow against real registry servers: W&B's protocol, and MLflow itself."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from deploy.bounded import end
from deploy.rehearsal.cloudrun import CloudStage, cloud_stage
from deploy.rehearsal.containers import free_port
from deploy.rehearsal.image import push_image
from deploy.rehearsal.stage import ROOT, NotAsExpected, Skipped, Stage, expect, tail

_BUNDLED = ROOT / "src" / "matinee" / "bundled" / "imdb-sentiment-linear"

Publish = Callable[[dict[str, bytes]], str]
Move = Callable[[str], None]


def wandb(stage: Stage) -> str:
    """The real W&B client on both sides, a server that speaks its protocol between them."""
    try:
        import wandb as _client  # noqa: F401
        from tests.fakes.wandb_server import WandbServer
    except ImportError as error:
        raise Skipped(f"not installed: {error.name}") from None
    with WandbServer() as server, cloud_stage(stage) as on:

        def publish(files: dict[str, bytes]) -> str:
            return str(server.state.publish("team/films/sentiment", files).version)

        def move(version: str) -> None:
            server.state.collection("team", "films", "sentiment").aliases["production"] = int(version)

        return _follow(on, "wandb:team/films/sentiment:production", server.environment(), publish, move)


def mlflow(stage: Stage) -> str:
    """The real MLflow server on SQLite."""
    folder = stage.folder / "mlflow"
    folder.mkdir(exist_ok=True)
    with _mlflow_server(folder) as address, cloud_stage(stage) as on:
        name = f"sentiment-{address.rpartition(':')[2]}"
        publish, move = _mlflow_client(address, name, folder)
        return _follow(on, f"models:/{name}@champion", {"MLFLOW_TRACKING_URI": address}, publish, move)


def _mlflow_client(address: str, name: str, folder: Path) -> tuple[Publish, Move]:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # looked at while importing; its thread makes requests fail
    from mlflow import MlflowClient

    client = MlflowClient(address)
    experiment = client.create_experiment(name)
    client.create_registered_model(name)

    def publish(files: dict[str, bytes]) -> str:
        run = client.create_run(experiment).info
        source = folder / f"bundle-{run.run_id}"
        source.mkdir()
        for file_name, content in files.items():
            (source / file_name).write_bytes(content)
        client.log_artifacts(run.run_id, str(source), "model")
        return str(client.create_model_version(name, f"{run.artifact_uri}/model", run.run_id).version)

    def move(version: str) -> None:
        client.set_registered_model_alias(name, "champion", version)

    return publish, move


@contextmanager
def _mlflow_server(folder: Path) -> Iterator[str]:
    if importlib.util.find_spec("mlflow") is None:
        raise Skipped("not installed: mlflow")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    command += [f"--backend-store-uri=sqlite:///{folder}/mlflow.db", f"--artifacts-destination={folder}/artifacts"]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"{address}/health", server)
        yield address
    finally:
        end(server, "mlflow server")


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(240):
        expect(server.poll() is None, "the MLflow server ended")
        try:
            with urlopen(url, timeout=5):  # noqa: S310 - our own address
                return
        except OSError:
            time.sleep(0.25)
    raise NotAsExpected("the MLflow server did not come up within a minute")


def _files(version: str, *, wrong: bool = False) -> dict[str, bytes]:
    """The bundled linear model under another version; with `wrong` it answers the opposite."""
    manifest = json.loads((_BUNDLED / "matinee.json").read_text())
    manifest["version"] = version
    if wrong:
        manifest |= {"labels": manifest["labels"][::-1], "examples": []}
    files = {path.name: path.read_bytes() for path in _BUNDLED.iterdir() if path.name in manifest["files"]}
    return {**files, "matinee.json": json.dumps(manifest).encode()}


def _follow(on: CloudStage, alias: str, variables: dict[str, str], publish: Publish, move: Move) -> str:
    """Release, nothing new, something new, something wrong, and back."""
    stage = on.stage
    full = "localhost/matinee:full"
    stage.build("full", full)
    repository = stage.pushed.partition("@")[0]
    image = f"{repository}@{push_image(stage, full, stage.folder / 'full.digest')}"
    on.memory = "1Gi"
    on.declare(MODEL=alias, **variables)
    on.variables = variables
    first = publish(_files("one"))
    move(first)
    _run(on, 0, "Released", "deploy", "--image", image)
    _run(on, 0, "Nothing was released", "refresh")
    second = publish(_files("two"))
    move(second)
    _run(on, 0, "Released", "refresh")
    live = dict(on.shares())
    move(publish(_files("three", wrong=True)))
    _run(on, 1, "answer was negative", "refresh")
    expect(on.shares() == live, f"traffic: {on.shares()} instead of {live}")
    _run(on, 0, "was refused before", "refresh")
    move(first)
    output = _run(on, 0, "Released", "refresh")
    return (
        f"released, nothing to do, next version, wrong version refused and not tried twice, and back: {tail(output, 2)}"
    )


def _run(on: CloudStage, code: int, words: str, *arguments: str) -> str:
    ended, output = on.release(*arguments)
    expect(
        ended == code and words in output, f"{arguments[0]} ended with {ended}, not with {code} and {words}: {output}"
    )
    return output
