"""Web servers of files: a plain one, and one with the layout of the Hugging Face Hub."""

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit


class FileServer:
    """`files` by path; `redirects` by path; `status` answers everything with an error; bytes are counted."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.requests: list[str] = []
        self.status = 200
        self.truncates = False
        owner = self

        class Handler(_Handler):
            server_of_files = owner

        self._http = _Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, path: str, _query: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers for a path."""
        if path in self.redirects:
            return 302, b"", {"Location": self.redirects[path]}
        if path in self.files:
            return 200, self.files[path], {"Content-Type": "application/octet-stream"}
        return 404, b"", {}


class HubServer(FileServer):
    """Model repositories: `/api/models/...` says what there is, `/org/name/resolve/commit/file` gives it."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: dict[tuple[str, str], dict[str, bytes]] = {}
        self.branches: dict[tuple[str, str], str] = {}
        self.sent: dict[tuple[str, str], bytes] = {}

    def commit(self, name: str, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Add a commit to a repository and move a branch to it."""
        digest = hashlib.sha1(repr((name, sorted(files.items()), len(self.commits))).encode(), usedforsecurity=False)
        self.commits[name, digest.hexdigest()] = dict(files)
        self.branches[name, branch] = digest.hexdigest()
        return digest.hexdigest()

    def answer(self, path: str, query: str) -> tuple[int, bytes, dict[str, str]]:
        """The hub's routes."""
        if path.startswith("/api/models/"):
            name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            return self._about(name, revision or "main", "blobs" in query)
        name, _, rest = path[1:].partition("/resolve/")
        commit, _, file = rest.partition("/")
        content = self.commits.get((name, commit), {}).get(file)
        if content is None:
            return 404, b"", {"X-Error-Code": "EntryNotFound"}
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_blob_id(content)}"', "Accept-Ranges": "bytes"}
        return 200, self.sent.get((name, file), content), headers

    def _about(self, name: str, revision: str, with_files: bool) -> tuple[int, bytes, dict[str, str]]:
        if not any(known == name for known, _ in self.commits):
            return 404, b"{}", {"X-Error-Code": "RepoNotFound"}
        commit = self.branches.get((name, revision), revision)
        files = self.commits.get((name, commit))
        if files is None:
            return 404, b"{}", {"X-Error-Code": "RevisionNotFound"}
        about: dict[str, Any] = {"_id": "1", "id": name, "sha": commit}
        if with_files:
            about["siblings"] = [
                {"rfilename": file, "size": len(content), "blobId": _blob_id(content)}
                for file, content in files.items()
            ]
        return 200, json.dumps(about).encode(), {"Content-Type": "application/json"}


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    server_of_files: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name for it
        """Say nothing."""

    def _answer(self, *, with_body: bool) -> None:
        owner, address = self.server_of_files, urlsplit(self.path)
        owner.requests.append(f"{self.command} {unquote(address.path)}")
        status, body, headers = owner.answer(unquote(address.path), address.query)
        if owner.status != 200:
            status, body, headers = owner.status, b"", {}
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body[: len(body) // 2] if owner.truncates else body)
            self.close_connection = owner.truncates
