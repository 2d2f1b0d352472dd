"""Downloading goes on where it stopped, and believes only the published digest. The server is a real one, and local."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from matinee.core.errors import CorruptBundle, SourceUnavailable
from matinee.train.download import Download

CONTENT = bytes(range(256)) * 4000


class FileServer(ThreadingHTTPServer):
    """Serves `CONTENT`; remembers the ranges asked for; can break off after some bytes, and ignore ranges."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []
        self.break_after = len(CONTENT)
        self.knows_ranges = True

    @property
    def url(self) -> str:
        """Where the file is."""
        return f"http://127.0.0.1:{self.server_address[1]}/aclImdb_v1.tar.gz"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: FileServer

    def do_GET(self) -> None:
        """Answer 206 to a range, 200 otherwise."""
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.knows_ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : self.server.break_after])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of the base class
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[FileServer]:
    """Running until the test ends."""
    with FileServer() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def published(server: FileServer) -> Download:
    """What the server's file should be."""
    return Download(server.url, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def test_a_broken_download_goes_on_where_it_stopped(server: FileServer, published: Download, tmp_path: Path) -> None:
    """The second attempt asks for the rest only, and nothing is visible under the final name before the end."""
    target = tmp_path / "data" / "archive.tar.gz"
    server.break_after = 300_000
    with pytest.raises(SourceUnavailable, match="goes on where it stopped"):
        published.fetch(target)
    assert not target.exists()
    server.break_after = len(CONTENT)
    assert published.fetch(target).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"]
    assert [path.name for path in target.parent.iterdir()] == ["archive.tar.gz"]


def test_a_complete_file_is_not_asked_for_again(server: FileServer, published: Download, tmp_path: Path) -> None:
    """No request is made for what is there."""
    published.fetch(tmp_path / "a")
    published.fetch(tmp_path / "a")
    assert len(server.ranges) == 1


def test_a_server_without_ranges_starts_over(server: FileServer, published: Download, tmp_path: Path) -> None:
    """A 200 to a range request is the whole file: it replaces what was there."""
    (tmp_path / "a.partial").write_bytes(CONTENT[:1000])
    server.knows_ranges = False
    assert published.fetch(tmp_path / "a").read_bytes() == CONTENT


def test_another_file_than_the_published_one_is_refused(
    server: FileServer, published: Download, tmp_path: Path
) -> None:
    """It is neither kept nor gone on with."""
    with pytest.raises(CorruptBundle, match="SHA-256"):
        replace(published, sha256="0" * 64).fetch(tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_no_server_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    """One sentence, not a traceback."""
    with pytest.raises(SourceUnavailable, match="broke off"):
        Download("http://127.0.0.1:1/x", 1, "").fetch(tmp_path / "a")
