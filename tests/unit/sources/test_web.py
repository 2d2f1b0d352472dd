"""A file of a web server: only with its digest, and not led astray."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.file_server import FileServer

from matinee.core.errors import CorruptBundle, InvalidReference, RevisionNotFound, SourceDenied, SourceUnavailable
from matinee.core.reference import ModelRef
from matinee.sources import SourceOptions
from matinee.sources.web import WebSource

CONTENT = b"weights " * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        running.files["/model.onnx"] = CONTENT
        yield running


def _pull(url: str, into: Path, max_bytes: int = 100_000) -> None:
    source = WebSource(SourceOptions(max_bytes=max_bytes, resolve_seconds=10))
    source.pull(source.resolve(ModelRef.parse(url)), into)


def test_a_file_with_its_digest_is_pinned(server: FileServer) -> None:
    """Nothing is asked: the reference says it all."""
    revision = WebSource(SourceOptions()).resolve(ModelRef.parse(f"{server.url}/model.onnx#sha256={DIGEST}"))
    assert (revision.digest, revision.pinned, server.requests) == (f"sha256:{DIGEST}", True, [])


@pytest.mark.parametrize(
    "reference",
    [
        "https://host/model.onnx",
        "https://host/model.onnx#sha256=abc",
        f"https://user:pass@host/model.onnx#sha256={DIGEST}",
        f"https://host/#sha256={DIGEST}",
        f"https://host/..#sha256={DIGEST}",
        f"https://host/a%5C..%5Cb#sha256={DIGEST}",
        f"https:///model.onnx#sha256={DIGEST}",
    ],
)
def test_anything_else_is_no_reference(reference: str) -> None:
    """Without digest, with a password, or without a file name."""
    with pytest.raises(InvalidReference):
        WebSource(SourceOptions()).resolve(ModelRef.parse(reference))


def test_redirects_are_followed_three_times_on_the_same_host(server: FileServer, tmp_path: Path) -> None:
    """A fourth one is too many."""
    for number in range(4):
        server.redirects[f"/{number}.onnx"] = (
            f"{server.url}/{number - 1}.onnx" if number else f"{server.url}/model.onnx"
        )
    _pull(f"{server.url}/2.onnx#sha256={DIGEST}", tmp_path)
    assert (tmp_path / "2.onnx").read_bytes() == CONTENT
    with pytest.raises(SourceUnavailable):
        _pull(f"{server.url}/3.onnx#sha256={DIGEST}", tmp_path)


@pytest.mark.parametrize(
    "target", ["localhost", "169.254.169.254", "[::1]", "0x7f.1", "127.1", "10.0.0.1", "[::ffff:127.0.0.1]"]
)
def test_a_redirect_into_a_private_network_is_not_followed(server: FileServer, tmp_path: Path, target: str) -> None:
    """A public server cannot make us ask another machine in here."""
    with FileServer() as canary:
        port = canary.url.rpartition(":")[2]
        server.redirects["/moved.onnx"] = f"http://{target}:{port}/latest/meta-data"
        with pytest.raises(SourceUnavailable, match="private network"):
            _pull(f"{server.url}/moved.onnx#sha256={DIGEST}", tmp_path)
        assert canary.requests == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://host/x", "javascript:x"])
def test_a_redirect_to_something_else_than_the_web_is_not_followed(
    server: FileServer, tmp_path: Path, target: str
) -> None:
    """No files of this machine, no other protocols."""
    server.redirects["/moved.onnx"] = target
    with pytest.raises(SourceUnavailable):
        _pull(f"{server.url}/moved.onnx#sha256={DIGEST}", tmp_path)


def test_statuses_say_what_is_wrong(server: FileServer, tmp_path: Path) -> None:
    """Not there, not allowed, and a server in trouble are three things."""
    with pytest.raises(RevisionNotFound):
        _pull(f"{server.url}/nothing.onnx#sha256={DIGEST}", tmp_path)
    for status, error in ((403, SourceDenied), (500, SourceUnavailable)):
        server.status = status
        with pytest.raises(error):
            _pull(f"{server.url}/model.onnx#sha256={DIGEST}", tmp_path)


def test_wrong_short_and_endless_files_are_refused(server: FileServer, tmp_path: Path) -> None:
    """The digest decides; the limit keeps the disk."""
    with pytest.raises(CorruptBundle, match="SHA-256"):
        _pull(f"{server.url}/model.onnx#sha256={'0' * 64}", tmp_path)
    with pytest.raises(CorruptBundle, match="larger than"):
        _pull(f"{server.url}/model.onnx#sha256={DIGEST}", tmp_path, max_bytes=1000)
    server.truncates = True
    with pytest.raises((CorruptBundle, SourceUnavailable)):
        _pull(f"{server.url}/model.onnx#sha256={DIGEST}", tmp_path)
