"""The whole application on a folder with a model of the flavor `obedient` (see `tests.fakes.classifier`)."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient
from tests.fakes.classifier import know_obedient

from matinee.api.edge import Edge
from matinee.api.lifecycle import Lifecycle
from matinee.app import create_app
from matinee.settings import load_settings


def write_bundle(folder: Path, **changes: Any) -> Path:
    """A bundle of the flavor `obedient`."""
    manifest = {
        "schema": 1,
        "name": "obedient",
        "flavor": "obedient",
        "labels": ["negative", "positive"],
        "version": "1",
        "metrics": {"accuracy": 0.9},
        "examples": [{"text": "good", "label": "positive"}],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "matinee.json").write_text(json.dumps(manifest | changes), "utf-8")
    return folder


@contextlib.contextmanager
def serving(folder: Path, environ: Mapping[str, str] | None = None, *, wait: bool = True) -> Iterator[TestClient]:
    """A client of the application, with the environment given; `wait` until the model is loaded."""
    know_obedient()
    bundle = write_bundle(folder / "obedient")
    settings = {"MODEL": str(bundle), "CACHE_DIR": str(folder / "cache"), "POLL_SECONDS": "0"} | dict(environ or {})
    lifecycle = Lifecycle()
    app = create_app(load_settings(environ=settings, folder=folder), lifecycle)
    with TestClient(app, raise_server_exceptions=False) as client:
        while wait and not lifecycle.started and lifecycle.failure is None:
            client.get("/readyz")
        yield client


def edge_of(client: TestClient) -> Edge:
    """The application behind the client."""
    app = client.app
    assert isinstance(app, Edge)
    return app
