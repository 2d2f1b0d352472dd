"""MLflow through its real client: against its real server, and against one that points elsewhere."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from tests.fakes.file_server import FileServer

from matinee.core.digest import file_sha256
from matinee.core.errors import CorruptBundle, InvalidReference, RevisionNotFound, SourceUnavailable
from matinee.core.manifest import FileEntry, Manifest
from matinee.core.reference import ModelRef
from matinee.sources import SourceOptions, Sources

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`mlflow server` on SQLite, as its documentation starts it."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    store = ["--backend-store-uri", f"sqlite:///{folder}/db", "--artifacts-destination", str(folder / "artifacts")]
    command = [sys.executable, "-m", "mlflow", "server", "--port", url.rpartition(":")[2], "--workers", "1", *store]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # six processes that nobody needs here
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
    try:
        while not _answers(url):
            assert process.poll() is None
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=10):  # noqa: S310 - an address of this test
            return True
    except (URLError, OSError):
        return False


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Sources]:
    made = Sources(SourceOptions(cache_dir=tmp_path / "cache", attempts=1, resolve_seconds=60))
    yield made
    made.close()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "model.bin").write_bytes(b"model")
    manifest = Manifest(
        name="films",
        flavor="linear",
        labels=("bad", "good"),
        files={"sub/model.bin": FileEntry(5, file_sha256(folder / "sub" / "model.bin"))},
        metrics={"accuracy": 0.9, "note": "by hand"},
        lineage={"seed": 7},
    )
    (folder / "matinee.json").write_text(manifest.to_json(), encoding="utf-8")
    return folder


def test_a_model_goes_into_the_registry_and_comes_out_again(
    server: str, sources: Sources, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By alias, version, `latest` and run, with metrics and lineage in the run; an alias that moves is a difference."""
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    champion = ModelRef.parse("models:/films@champion")
    first = sources.push(model, champion)
    bundle = sources.pull(sources.resolve(champion))
    assert (bundle.folder / "sub" / "model.bin").read_bytes() == b"model"
    second = sources.push(model, champion)
    assert (first.version, second.version) == ("1", "2")
    assert sources.resolve(champion).key == sources.resolve(ModelRef.parse("models:/films/latest")).key == second.key
    pinned = sources.resolve(ModelRef.parse("models:/films/1"))
    assert (pinned.key, pinned.pinned) == (first.key, True)
    run = mlflow.MlflowClient(server).get_run(mlflow.MlflowClient(server).get_model_version("films", "1").run_id)
    assert (run.data.metrics, run.data.params) == ({"accuracy": 0.9}, {"seed": "7"})
    of_run = sources.pull(sources.resolve(ModelRef.parse(f"runs:/{run.info.run_id}/model")))
    assert of_run.digest == bundle.digest


@pytest.mark.parametrize("kept_as", ["skops", "cloudpickle"])
def test_what_mlflow_itself_logged_is_served(
    server: str, sources: Sources, monkeypatch: pytest.MonkeyPatch, kept_as: str
) -> None:
    """`mlflow.sklearn.log_model` with a registered name, then that name as a reference: the pipeline's answers."""
    import mlflow
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from matinee.flavors import load
    from matinee.verify import inspect

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    mlflow.set_tracking_uri(server)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good film", "bad film"] * 9, [1, 0] * 9)
    name, needs = f"logged-{kept_as}", ["scikit-learn"]
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            model, name="model", registered_model_name=name, serialization_format=kept_as, pip_requirements=needs
        )
    bundle = sources.pull(sources.resolve(ModelRef.parse(f"models:/{name}/latest")))
    (answered,) = load(inspect(bundle)).encode(["a good film"])
    assert answered.answer is not None
    assert answered.answer.scores == pytest.approx(model.predict_proba(["a good film"])[0], abs=1e-6)


def test_what_is_not_there_is_not_found(server: str, sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown alias, version and model; and what is no reference."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    for reference in ("models:/nothing@champion", "models:/nothing/1", "models:/nothing/latest", "runs:/0123/model"):
        with pytest.raises(RevisionNotFound):
            sources.resolve(ModelRef.parse(reference))
    with pytest.raises(InvalidReference, match="models:/name@alias"):
        sources.resolve(ModelRef.parse("models:films"))


def test_no_server_names_the_variable(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not set, or nothing there."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(SourceUnavailable, match="MLFLOW_TRACKING_URI"):
        sources.resolve(ModelRef.parse("models:/films@champion"))


class HostileServer(FileServer):
    """A registry whose only version lies at `location`, where it lists a file called `name`."""

    def __init__(self, location: str, name: str) -> None:
        super().__init__()
        self._location = location
        self._name = name

    def answer(self, path: str, _query: str) -> tuple[int, bytes, dict[str, str]]:
        """The questions that a pull asks."""
        version = {"name": "m", "version": "1", "source": self._location, "creation_timestamp": 1}
        answers = {
            "/api/2.0/mlflow/registered-models/alias": {"model_version": version},
            "/api/2.0/mlflow/registered-models/get": {"registered_model": {"name": "m"}},
            "/api/2.0/mlflow/model-versions/get-download-uri": {"artifact_uri": self._location},
            "/api/2.0/mlflow-artifacts/artifacts": {"files": [{"path": self._name, "is_dir": False, "file_size": 1}]},
        }
        found = answers.get(path)
        return (200, json.dumps(found).encode(), {"Content-Type": "application/json"}) if found else (404, b"{}", {})


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("file:///etc", "passwd"),
        ("/etc", "passwd"),
        ("mlflow-artifacts:/1/../../etc", "passwd"),
        ("mlflow-artifacts:/1/%2e%2e/etc", "passwd"),
        ("mlflow-artifacts:/1#/../etc", "passwd"),
        ("mlflow-artifacts:/1/model", "../../outside"),
        ("mlflow-artifacts:/1/model", "/outside"),
    ],
)
def test_a_registry_cannot_lead_us_out(
    sources: Sources, monkeypatch: pytest.MonkeyPatch, location: str, name: str
) -> None:
    """Files of this machine, locations that climb, and names that leave the folder are refused."""
    with HostileServer(location, name) as hostile:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", hostile.url)
        revision = sources.resolve(ModelRef.parse("models:/m@champion"))
        with pytest.raises(CorruptBundle):
            sources.pull(revision)
    assert sources.cached() == []
