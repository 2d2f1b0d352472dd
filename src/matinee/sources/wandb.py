"""Weights & Biases: `wandb:[entity/]project/name[:alias]`, through its own unmodified client.

That client checks no bytes, keeps and serves a damaged file again, and waits without end for one that stalls. So its
cache is private to one transfer, `Artifact.verify` compares every file with the artifact's manifest, references out
of the artifact are refused, and the process that all this runs in has a time limit from outside.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import wandb
from wandb.errors import CommError, UsageError

from matinee.core.bundle import Revision
from matinee.core.errors import (
    CorruptBundle,
    InvalidReference,
    MatineeError,
    RevisionNotFound,
    SourceDenied,
    SourceUnavailable,
)
from matinee.core.manifest import Manifest
from matinee.core.reference import ModelRef
from matinee.sources.source import SourceOptions, bare
from matinee.sources.tree import read_manifest, safe_names

_PATH = re.compile(r"^(?:[^/:]+/){1,2}[^/:]+(?::[^/:]+)?$")
_VERSION = re.compile(r"^v\d+$")
_UNKNOWN = re.compile(r"(artifact|membership|project|collection|entity) .*not found", re.IGNORECASE)
_DENIED = re.compile(r"\b(401|403|unauthorized|forbidden|permission|not logged in|api key)\b", re.IGNORECASE)


class WandbSource:
    """Artifacts of a W&B server; the key comes from the settings, the environment or `~/.netrc`."""

    settings = "WANDB_API_KEY, WANDB_BASE_URL"

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._api_kept: Any = None
        private = Path(tempfile.gettempdir())
        os.environ |= {
            "WANDB_CACHE_DIR": str(private / "wandb-cache"),
            "WANDB_DATA_DIR": str(private / "wandb-data"),
            "WANDB_DIR": str(private),
            "WANDB_SILENT": "true",
            "WANDB_CONSOLE": "off",
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_DISABLE_GIT": "true",
            "WANDB_DISABLE_CODE": "true",
        }
        if options.wandb_api_key:
            os.environ["WANDB_API_KEY"] = options.wandb_api_key

    def resolve(self, ref: ModelRef) -> Revision:
        """One request, with the client that is kept from the first look on."""
        path = _path(ref)
        with _translated(ref):
            return self._revision(ref, self._api().artifact(path))

    def pull(self, revision: Revision, into: Path) -> None:
        """Download and compare every file with the artifact's manifest."""
        path = revision.details.get("path") or _path(revision.reference)
        with _translated(revision.reference):
            artifact = self._api().artifact(path)
            if artifact.digest != revision.digest.removeprefix("wandb:"):
                raise CorruptBundle(f"{revision.reference}: {path} is not what it was when its alias was looked up")
            self._check_manifest(revision.reference, artifact)
            artifact.download(root=str(into))
            try:
                artifact.verify(str(into))
            except (ValueError, OSError) as error:
                raise CorruptBundle(f"{revision.reference}: the files are not those of the artifact: {error}") from None

    def push(self, folder: Path, ref: ModelRef) -> Revision:
        """Log the folder as a version of a `model` artifact, in a run of its own that says how it was made."""
        path, _, alias = _path(ref).partition(":")
        *team, project, name = path.split("/")
        manifest = read_manifest(folder)
        with _translated(ref):
            artifact = wandb.Artifact(name, type="model", metadata=_metadata(manifest) if manifest else {})
            artifact.add_dir(str(folder))
            seconds = self._options.resolve_seconds
            settings = wandb.Settings(init_timeout=seconds, x_disable_stats=True, x_disable_meta=True)
            entity = team[0] if team else None
            started: Any = wandb.init(entity=entity, project=project, job_type="publish", settings=settings)
            with started as run:
                if manifest:
                    run.config.update(dict(manifest.lineage))
                    run.summary.update(dict(manifest.metrics))
                run.log_artifact(artifact, aliases=[] if alias in ("", "latest") else [alias])
                artifact.wait(timeout=int(self._options.pull_seconds))
            return self._revision(ref, artifact)

    def _api(self) -> Any:
        if self._api_kept is None:
            self._api_kept = wandb.Api(timeout=max(1, int(self._options.resolve_seconds / 2)))
        return self._api_kept

    def _revision(self, ref: ModelRef, artifact: Any) -> Revision:
        details = {
            "path": f"{artifact.entity}/{artifact.project}/{artifact.name.partition(':')[0]}:{artifact.version}",
            "identity": f"wandb {_server()} {artifact.id}",
            "size": str(artifact.size),
        }
        pinned = bool(_VERSION.match(ref.rest.rpartition(":")[2]))
        return Revision(ref, artifact.version, f"wandb:{artifact.digest}", pinned, details)

    def _check_manifest(self, ref: ModelRef, artifact: Any) -> None:
        entries = artifact.manifest.entries
        if foreign := [name for name, entry in entries.items() if entry.ref is not None]:
            raise CorruptBundle(f"{ref}: {foreign[0]!r} refers to a file outside the artifact; such are not followed")
        safe_names(str(name) for name in entries)
        size = sum(entry.size or 0 for entry in entries.values())
        if len(entries) > self._options.max_files or size > self._options.max_bytes:
            raise CorruptBundle(
                f"{ref}: has {len(entries):,} files and {size:,} bytes; "
                f"the limits are {self._options.max_files:,} and {self._options.max_bytes:,}"
            )


def _path(ref: ModelRef) -> str:
    if not _PATH.match(ref.rest):
        raise InvalidReference(f"{ref}: write wandb:entity/project/name:alias, or wandb:project/name:alias")
    name = ref.rest.rpartition("/")[2]
    return ref.rest if ":" in name else f"{ref.rest}:latest"


def _metadata(manifest: Manifest) -> dict[str, Any]:
    """What W&B shows beside the artifact, and compares between versions."""
    return {
        "flavor": manifest.flavor,
        "labels": list(manifest.labels),
        "version": manifest.version,
        "metrics": dict(manifest.metrics),
        "lineage": dict(manifest.lineage),
    }


def _server() -> str:
    return bare(str(wandb.setup().settings.base_url))


@contextmanager
def _translated(ref: ModelRef) -> Iterator[None]:
    """Client errors as ours, each naming what to check."""
    try:
        yield
    except MatineeError:
        raise
    except (CommError, UsageError, ValueError, OSError, requests.RequestException) as error:
        raise _ours(ref, error) from error


def _ours(ref: ModelRef, error: Exception) -> MatineeError:
    text, said = str(error), f"({type(error).__name__}: {_first_line(error)})"
    if _UNKNOWN.search(text):
        return RevisionNotFound(f"{ref}: W&B at {_server()} has none: {_first_line(error)}")
    if _DENIED.search(text):
        return SourceDenied(
            f"{ref}: W&B at {_server()} wants a valid key: check WANDB_API_KEY and WANDB_BASE_URL {said}"
        )
    return SourceUnavailable(
        f"{ref}: W&B at {_server()} does not answer as it should: check WANDB_BASE_URL and the network {said}"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
