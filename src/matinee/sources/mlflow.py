"""MLflow through its own client: `models:/name@alias`, `models:/name/3`, `models:/name/latest`, `runs:/id/path`."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from matinee.core.bundle import Revision
from matinee.core.errors import CorruptBundle, InvalidReference, RevisionNotFound, SourceDenied, SourceUnavailable
from matinee.core.reference import ModelRef
from matinee.sources.source import SourceOptions, bare
from matinee.sources.tree import read_manifest, safe_names

_MODEL = re.compile(r"^/{1,3}([^/:@.][^/:@]*)(?:@([\w-]+)|/(\d+|latest))$")
_RUN = re.compile(r"^/{1,3}([\w-]+)/(.+)$")
_LOGGED_MODEL = re.compile(r"^models:/(m-[0-9a-f]+)$")
_LOCAL = ("", "file")


class MlflowSource:
    """Registered models and run artifacts of the server that `MLFLOW_TRACKING_URI` names."""

    settings = "MLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_TOKEN and the network"

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(max(1, int(options.resolve_seconds / 2))))
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")

    def resolve(self, ref: ModelRef) -> Revision:
        """The version that an alias means now: one request."""
        with _translated(ref):
            if ref.scheme == "runs":
                return self._resolve_run(ref)
            version = self._version(ref)
        made = hashlib.sha256(f"{version.source} {version.creation_timestamp}".encode()).hexdigest()[:32]
        pinned = ref.rest.rpartition("/")[2].isdigit()
        details = {"name": version.name, "identity": f"mlflow {_server()} {version.name}"}
        return Revision(ref, str(version.version), f"mlflow:{made}", pinned, details)

    def pull(self, revision: Revision, into: Path) -> None:
        """Look at the listing, then download it."""
        ref = revision.reference
        with _translated(ref):
            location = self._location(ref, revision)
            _check_location(ref, location)
            repository: Any = get_artifact_repository(location)
            names = self._names(ref, repository)
            safe_names(names)
            for name in names:
                found = Path(repository.download_artifacts(name, dst_path=str(into)))
                if found.resolve() != (into / name).resolve():
                    raise CorruptBundle(f"{ref}: {name!r} arrived under another name")

    def push(self, folder: Path, ref: ModelRef) -> Revision:
        """Log the folder in a run, with metrics and lineage, and register it as the next version of the model."""
        name, alias, _ = _model(ref)
        manifest = read_manifest(folder)
        with _translated(ref):
            client = _client()
            if not client.search_registered_models(f"name = '{name}'", max_results=1):
                client.create_registered_model(name)
            with mlflow.start_run() as run:
                if manifest:
                    mlflow.log_metrics(
                        {key: float(x) for key, x in manifest.metrics.items() if type(x) in (int, float)}
                    )
                    mlflow.log_params({key: str(value)[:500] for key, value in manifest.lineage.items()})
                mlflow.log_artifacts(str(folder), "model")
                source = f"{run.info.artifact_uri}/model"
            tags = {"flavor": manifest.flavor, "labels": ", ".join(manifest.labels)} if manifest else {}
            version = client.create_model_version(name, source, run.info.run_id, tags=tags)
            if alias:
                client.set_registered_model_alias(name, alias, version.version)
        return self.resolve(ModelRef.parse(f"models:/{name}@{alias}" if alias else f"models:/{name}/{version.version}"))

    def _version(self, ref: ModelRef) -> Any:
        name, alias, number = _model(ref)
        client = _client()
        if alias:
            return client.get_model_version_by_alias(name, alias)
        if number and number != "latest":
            return client.get_model_version(name, number)
        newest = client.search_model_versions(f"name = '{name}'", max_results=1, order_by=["version_number DESC"])
        if not newest:
            raise RevisionNotFound(f"{ref}: the registry at {_server()} has no version of {name!r}")
        return newest[0]

    def _resolve_run(self, ref: ModelRef) -> Revision:
        found = _RUN.match(ref.rest)
        if found is None:
            raise InvalidReference(f"{ref}: write runs:/run-id/path")
        run = _client().get_run(found.group(1))
        return Revision(ref, run.info.run_id[:12], f"mlflow:{run.info.run_id}", pinned=True)

    def _location(self, ref: ModelRef, revision: Revision) -> str:
        """Where the files are: a run's artifacts, a version's source, or the logged model behind that."""
        client = _client()
        if found := _RUN.match(ref.rest) if ref.scheme == "runs" else None:
            return f"{client.get_run(found.group(1)).info.artifact_uri}/{found.group(2)}"
        source = str(client.get_model_version_download_uri(_model(ref)[0], revision.version))
        if logged := _LOGGED_MODEL.match(source):
            return str(client.get_logged_model(logged.group(1)).artifact_location)
        return source

    def _names(self, ref: ModelRef, repository: Any) -> list[str]:
        names: list[str] = []
        folders: list[str | None] = [None]
        size = 0
        while folders:
            for entry in repository.list_artifacts(folders.pop()):
                if entry.is_dir:
                    safe_names([entry.path])
                    folders.append(entry.path)
                else:
                    names.append(entry.path)
                    size += entry.file_size or 0
            if len(names) + len(folders) > self._options.max_files or size > self._options.max_bytes:
                raise CorruptBundle(
                    f"{ref}: more than {self._options.max_files:,} files or {self._options.max_bytes:,} bytes"
                )
        if not names:
            raise RevisionNotFound(f"{ref}: the registry at {_server()} has no files there")
        return names


def _model(ref: ModelRef) -> tuple[str, str, str]:
    """Name, alias and version of a `models:/` reference; one of the last two is empty."""
    found = _MODEL.match(ref.rest)
    if ref.scheme != "models" or found is None or "'" in ref.rest:
        raise InvalidReference(f"{ref}: write models:/name@alias, models:/name/3 or models:/name/latest")
    return found.group(1), found.group(2) or "", found.group(3) or ""


def _client() -> Any:
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise SourceUnavailable("models: and runs: need MLFLOW_TRACKING_URI, the address of the MLflow server")
    return mlflow.MlflowClient()


def _server() -> str:
    return bare(os.environ.get("MLFLOW_TRACKING_URI", ""))


def _check_location(ref: ModelRef, location: str) -> None:
    """A server somewhere else must not point at files of this machine, nor out of its own folder."""
    parts = urlsplit(location)
    is_local_server = urlsplit(os.environ.get("MLFLOW_TRACKING_URI", "")).scheme not in ("http", "https", "databricks")
    if parts.scheme in _LOCAL and not is_local_server:
        raise CorruptBundle(
            f"{ref}: the registry points to {location[:200]!r}, a file of this machine; it is not followed"
        )
    if ".." in parts.path.split("/") or "%2e" in location.lower() or parts.fragment:
        raise CorruptBundle(f"{ref}: the registry points to {location[:200]!r}, which leaves its folder")


@contextmanager
def _translated(ref: ModelRef) -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        text = (str(error).splitlines() or [""])[0][:200]
        code = str(error.error_code)
        if "invalid path" in text.lower():  # the client's own check of names in listings
            raise CorruptBundle(f"{ref}: the registry lists a file whose name leaves the folder") from error
        if code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND") or "not found" in text.lower():
            raise RevisionNotFound(f"{ref}: the registry at {_server()} has none: {text}") from error
        if code in ("PERMISSION_DENIED", "UNAUTHENTICATED") or re.search(r"\b(401|403)\b", text):
            raise SourceDenied(
                f"{ref}: the registry at {_server()} refuses us: check {MlflowSource.settings}"
            ) from error
        raise SourceUnavailable(f"{ref}: the registry at {_server()} does not answer as it should: {text}") from error
