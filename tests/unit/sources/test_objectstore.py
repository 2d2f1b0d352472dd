"""Buckets of other stores than S3, by fsspec's store in memory; what S3 itself does is in the contract suite."""

from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from matinee.core.errors import CorruptBundle, InvalidReference, RevisionNotFound, SourceDenied
from matinee.core.reference import ModelRef
from matinee.sources import SourceOptions
from matinee.sources.objectstore import ObjectStoreSource


class Bucket(MemoryFileSystem):  # type: ignore[misc]
    """fsspec's store in memory, reached as `gs://`."""

    protocol = ("gs",)
    store: dict[str, object] = {}  # noqa: RUF012 - as in the base class
    pseudo_dirs = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        """`gs://bucket/x` and `/bucket/x` are the same object."""
        return "/" + path.removeprefix("gs://").removeprefix("az://").strip("/")


class ClosedBucket(Bucket):
    """One that may not be listed."""

    protocol = ("az",)

    def find(self, path: str, **_options: object) -> dict[str, dict[str, object]]:
        raise PermissionError(path)


@pytest.fixture(autouse=True)
def stores() -> None:
    fsspec.register_implementation("gs", Bucket, clobber=True)
    fsspec.register_implementation("az", ClosedBucket, clobber=True)
    Bucket.store.clear()


def _put(name: str, content: bytes) -> None:
    fsspec.filesystem("gs").pipe_file(name, content)


def _source(max_files: int = 10, max_bytes: int = 100) -> ObjectStoreSource:
    return ObjectStoreSource(SourceOptions(max_files=max_files, max_bytes=max_bytes))


def _pull(reference: str, into: Path, source: ObjectStoreSource) -> list[str]:
    source.pull(source.resolve(ModelRef.parse(reference)), into)
    return sorted(path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file())


def test_a_prefix_is_everything_below_it_and_an_object_is_itself(tmp_path: Path) -> None:
    """A neighbour whose name only starts the same does not belong to it."""
    _put("/bucket/model/config.json", b"{}")
    _put("/bucket/model/onnx/model.onnx", b"graph")
    _put("/bucket/model2/other.onnx", b"other")
    (tmp_path / "one").mkdir()
    (tmp_path / "all").mkdir()
    assert _pull("gs://bucket/model/", tmp_path / "all", _source()) == ["config.json", "onnx/model.onnx"]
    assert _pull("gs://bucket/model/onnx/model.onnx", tmp_path / "one", _source()) == ["model.onnx"]


def test_a_listing_beyond_the_limits_is_refused(tmp_path: Path) -> None:
    """Somebody named the bucket, not the model."""
    for number in range(3):
        _put(f"/bucket/model/{number}", b"12345")
    for limits in ((2, 100), (10, 14)):
        with pytest.raises(CorruptBundle):
            _source(*limits).resolve(ModelRef.parse("gs://bucket/model"))


def test_nothing_there_and_nothing_allowed_are_told_apart() -> None:
    """And neither is an unreachable store."""
    with pytest.raises(RevisionNotFound):
        _source().resolve(ModelRef.parse("gs://bucket/nothing"))
    with pytest.raises(SourceDenied, match="AZURE_STORAGE_CONNECTION_STRING"):
        _source().resolve(ModelRef.parse("az://container/model"))


@pytest.mark.parametrize("reference", ["gs:bucket/x", "gs://", "gs://key@bucket/x", "gs://bucket/../x"])
def test_what_is_no_reference_to_a_bucket_is_refused(reference: str) -> None:
    """No keys in it, no way up."""
    with pytest.raises(InvalidReference):
        _source().resolve(ModelRef.parse(reference))
