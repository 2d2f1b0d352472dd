"""The Hugging Face Hub, or a mirror that `HF_ENDPOINT` names: `hf:org/name[@revision]`.

Only files that serving needs are downloaded, weights in one safe format; each is compared with the digest that the
hub states for it.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import huggingface_hub

from matinee.core.bundle import MANIFEST_NAME, Revision
from matinee.core.digest import file_sha256
from matinee.core.errors import CorruptBundle, InvalidReference, RevisionNotFound, SourceDenied, SourceUnavailable
from matinee.core.reference import ModelRef
from matinee.sources.source import SourceOptions, bare
from matinee.sources.tree import read_manifest, safe_names

_PATH = re.compile(r"^([\w.-]+/)?[\w.-]+(@[\w./-]+)?$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_TEXT_SUFFIXES = (".json", ".txt", ".model", ".vocab", ".jinja")
# The first of these that the repository has is taken; the pickles of PyTorch (.bin, .pt, .ckpt) never are.
_WEIGHTS = (
    re.compile(r"^model(-\d+-of-\d+)?\.safetensors$"),
    re.compile(r"^[^/]+\.safetensors$"),
    re.compile(r"^(onnx/)?model\.onnx(_data)?$"),
    re.compile(r"^tf_model\.h5$"),
    re.compile(r"^[^/]+\.keras$"),
    re.compile(r"^[^/]+\.skops$"),
    re.compile(r"^[^/]+\.(joblib|pkl)$"),
)


class HuggingFaceSource:
    """Model repositories; a token comes from `HF_TOKEN` or from `hf auth login`."""

    settings = "HF_TOKEN, HF_ENDPOINT and the network"

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        os.environ |= {
            "HF_HUB_CACHE": str(Path(tempfile.gettempdir()) / "hub"),
            "HF_XET_CACHE": str(Path(tempfile.gettempdir()) / "xet"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }

    def resolve(self, ref: ModelRef) -> Revision:
        """The commit that a branch or tag means now: one request."""
        name, revision = _parsed(ref)
        with _translated(ref):
            commit = self._info(name, revision, expand=["sha"]).sha
        details = {"identity": f"hf {bare(os.environ.get('HF_ENDPOINT', ''))} {name}"}
        return Revision(ref, commit[:12], f"git:{commit}", bool(_COMMIT.match(revision or "")), details)

    def pull(self, revision: Revision, into: Path) -> None:
        """Download what serving needs of that commit."""
        ref = revision.reference
        name, commit = _parsed(ref)[0], revision.digest.removeprefix("git:")
        with _translated(ref):
            stated = {file.rfilename: file for file in self._info(name, commit, files_metadata=True).siblings or ()}
            safe_names(stated)
            if MANIFEST_NAME in stated:
                self._download(ref, name, commit, [stated[MANIFEST_NAME]], into)
            wanted = _wanted(ref, stated, into)
            self._download(ref, name, commit, [stated[file] for file in wanted], into)
        shutil.rmtree(into / ".cache", ignore_errors=True)

    def _info(self, name: str, revision: str | None, **what: Any) -> Any:
        return huggingface_hub.HfApi().model_info(
            name, revision=revision, timeout=self._options.resolve_seconds, **what
        )

    def _download(self, ref: ModelRef, name: str, commit: str, files: list[Any], into: Path) -> None:
        total = sum(file.size or 0 for file in files)
        if len(files) > self._options.max_files or total > self._options.max_bytes:
            raise CorruptBundle(f"{ref}: {len(files):,} files of {total:,} bytes are more than the limits allow")
        for file in files:
            huggingface_hub.hf_hub_download(name, file.rfilename, revision=commit, local_dir=into)
            if not _is_as_stated(into / file.rfilename, file):
                raise CorruptBundle(f"{ref}: {file.rfilename!r} is not the file that the hub states")


def _wanted(ref: ModelRef, stated: dict[str, Any], into: Path) -> list[str]:
    """What a manifest lists; else small text files at the top and the weights in the best format there is."""
    manifest = read_manifest(into)
    if manifest is not None and manifest.files:
        if missing := sorted(set(manifest.files) - set(stated)):
            raise CorruptBundle(f"{ref}: its matinee.json names {missing[0]!r}, which is not in the repository")
        return sorted(manifest.files)
    for pattern in _WEIGHTS:
        if weights := [name for name in stated if pattern.match(name)]:
            texts = [name for name in stated if "/" not in name and PurePosixPath(name).suffix in _TEXT_SUFFIXES]
            return sorted({*weights, *texts})
    if manifest is not None:
        return []  # a cascade is nothing but its manifest
    raise CorruptBundle(f"{ref}: has no weights in a safe format (safetensors, ONNX, Keras, tf_model.h5, skops)")


def _is_as_stated(path: Path, file: Any) -> bool:
    """Large files have a SHA-256, others the SHA-1 of a git blob; a hub that states neither has the size checked."""
    if file.lfs is not None:
        return bool(file_sha256(path) == file.lfs.sha256)
    if file.blob_id:
        blob = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        blob.update(path.read_bytes())
        return bool(blob.hexdigest() == file.blob_id)
    return file.size is None or path.stat().st_size == file.size


def _parsed(ref: ModelRef) -> tuple[str, str | None]:
    if not _PATH.match(ref.rest) or ".." in ref.rest:
        raise InvalidReference(f"{ref}: write hf:org/name, or hf:org/name@revision")
    name, _, revision = ref.rest.partition("@")
    return name, revision or None


@contextmanager
def _translated(ref: ModelRef) -> Iterator[None]:
    from huggingface_hub import errors  # reads the environment, which is complete only now

    try:
        yield
    except errors.GatedRepoError as error:
        raise SourceDenied(f"{ref}: access must be granted on the hub first, and HF_TOKEN set") from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        raise RevisionNotFound(f"{ref}: the hub has no such model or revision; a private one needs HF_TOKEN") from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 0)
        if status in (401, 403):
            raise SourceDenied(f"{ref}: the hub refuses us: check HF_TOKEN") from error
        raise SourceUnavailable(f"{ref}: the hub answers with status {status}; check HF_ENDPOINT") from error
