"""Buckets through fsspec: `s3://bucket/prefix`, `gs://…`, `az://…`; a prefix of objects, or one object.

Credentials and endpoints come from where each store's own library looks for them (`AWS_ACCESS_KEY_ID`,
`AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_CONNECTION_STRING`, `FSSPEC_S3_ANON`, …).
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from matinee.core.bundle import MANIFEST_NAME, Revision
from matinee.core.errors import CorruptBundle, InvalidReference, MissingExtra, RevisionNotFound, SourceDenied
from matinee.core.reference import ModelRef
from matinee.sources.source import SourceOptions
from matinee.sources.tree import safe_names, walk

_EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure"}
# What stores say about the content of an object, beside its size; whatever is there goes into the digest.
_MARKS = ("ETag", "etag", "VersionId", "md5Hash", "generation", "LastModified", "last_modified", "mtime", "created")


class ObjectStoreSource:
    """A model is a prefix (all objects below it) or a single object; its revision is the listing of them."""

    settings = (
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, "
        "AZURE_STORAGE_CONNECTION_STRING, and the network"
    )

    def __init__(self, options: SourceOptions) -> None:
        self._options = options

    def resolve(self, ref: ModelRef) -> Revision:
        """The digest of the listing: names, sizes, entity tags and times."""
        with self._translated(ref):
            _, objects = self._listing(ref)
        digest = _digest(objects)
        size = sum(int(info["size"]) for info in objects.values())
        return Revision(ref, digest.removeprefix("listing:")[:12], digest, details={"size": str(size)})

    def pull(self, revision: Revision, into: Path) -> None:
        """Copy the objects; the listing must be the same before and after."""
        ref = revision.reference
        with self._translated(ref):
            files, objects = self._listing(ref)
            for name, info in objects.items():
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                files.get_file(info["name"], str(into / name))
                if (into / name).stat().st_size != int(info["size"]):
                    raise CorruptBundle(f"{ref}: {name!r} arrived with another size than the store states")
            if _digest(objects) != revision.digest or _digest(self._listing(ref)[1]) != revision.digest:
                raise CorruptBundle(f"{ref}: was changed while it was read; try again when it is complete")

    def push(self, folder: Path, ref: ModelRef) -> Revision:
        """Copy the files, the manifest last, so that whoever sees it sees all that it names; then drop the others."""
        names = sorted(walk(folder, self._options.max_files, self._options.max_bytes), key=lambda n: n == MANIFEST_NAME)
        with self._translated(ref):
            files, root = _open(ref)
            for name in names:
                files.put_file(str(folder / name), f"{root}/{name}")
            _, objects = self._listing(ref)
            if unwanted := [info["name"] for name, info in objects.items() if name not in names]:
                files.rm(unwanted)
        return self.resolve(ref)

    def _listing(self, ref: ModelRef) -> tuple[Any, dict[str, dict[str, Any]]]:
        files, root = _open(ref)
        files.invalidate_cache()
        objects: dict[str, dict[str, Any]] = {}
        for key, info in files.find(root, detail=True).items():
            if info["type"] == "file" and not key.endswith("/"):
                objects[key.rpartition("/")[2] if key == root else key.removeprefix(f"{root}/")] = info
        if not objects:
            raise RevisionNotFound(f"{ref}: there is no object of that name, and none below it")
        if len(objects) > self._options.max_files:
            raise CorruptBundle(f"{ref}: more than {self._options.max_files:,} objects; name the model's own prefix")
        if (total := sum(int(info["size"]) for info in objects.values())) > self._options.max_bytes:
            raise CorruptBundle(f"{ref}: {total:,} bytes, and the limit is {self._options.max_bytes:,}")
        safe_names(objects)
        return files, objects

    @contextmanager
    def _translated(self, ref: ModelRef) -> Iterator[None]:
        try:
            yield
        except ImportError as error:
            raise MissingExtra(f"{ref.scheme}://", _EXTRAS[ref.scheme]) from error
        except FileNotFoundError as error:
            raise RevisionNotFound(f"{ref}: the store has no such bucket or object") from error
        except PermissionError as error:
            raise SourceDenied(f"{ref}: the store refuses us: check {self.settings}") from error


def _open(ref: ModelRef) -> tuple[Any, str]:
    bucket = ref.rest.removeprefix("//").partition("/")[0]
    if not ref.rest.startswith("//") or not bucket or "@" in bucket or ".." in ref.rest.split("/"):
        raise InvalidReference(f"{ref}: write {ref.scheme}://bucket/folder, without keys or .. in it")
    files, root = url_to_fs(ref.text.rstrip("/"))
    return files, str(root).rstrip("/")


def _digest(objects: dict[str, dict[str, Any]]) -> str:
    listing = [
        [name, int(info["size"]), *(str(info[mark]) for mark in _MARKS if mark in info)]
        for name, info in sorted(objects.items())
    ]
    return f"listing:{hashlib.sha256(json.dumps(listing).encode()).hexdigest()}"
