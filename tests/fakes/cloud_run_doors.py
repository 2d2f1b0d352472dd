"""The two doors of the Cloud Run stand-in: the control plane's HTTP API and the front that users call."""

import http.client
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.cloud_run import CloudRun, Document, Refused

_KNATIVE = re.compile(r"^/apis/serving\.knative\.dev/v1/namespaces/([^/]+)/(services|revisions)(?:/([^/]+))?$")
_IAM = re.compile(r":(getIamPolicy|setIamPolicy|testIamPermissions)$")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cloud: CloudRun

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        """Silence: `CloudRun.calls` is the log."""

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class ControlDoor(_Handler):
    """Knative v1, as much of IAM as gcloud asks for, and Cloud Logging's entries:list."""

    def handle_any(self) -> None:
        """Answer, and keep the call."""
        parts = urlsplit(self.path)  # behind a proxy setting, gcloud sends the whole URL
        content = self.body()
        document: Document = json.loads(content) if content else {}
        with self.cloud.lock:
            self.cloud.calls.append((self.command, parts.path, document))
            try:
                status, result = 200, self._act(parts.path, parse_qs(parts.query), document)
            except Refused as refused:
                status, result = refused.code, refused.body
        self.answer(status, json.dumps(result).encode(), {"Content-Type": "application/json"})

    do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - the base class's names

    def _act(self, path: str, query: dict[str, list[str]], document: Document) -> Document:
        match = _KNATIVE.match(path)
        if match:
            return self._knative(match.group(2), match.group(3) or "", query, document)
        iam = _IAM.search(path)
        if iam and iam.group(1) == "testIamPermissions":
            return {"permissions": document.get("permissions", [])}
        if iam:
            return {"etag": "BwWWja0YfJA="}
        if path.endswith("/entries:list"):
            return {"entries": _matching(self.cloud, str(document.get("filter", "")))}
        raise Refused(404, "NOT_FOUND", f"no such resource: {path}")

    def _knative(self, kind: str, name: str, query: dict[str, list[str]], document: Document) -> Document:
        cloud = self.cloud
        if kind == "revisions":
            return _revisions(cloud, name)
        if self.command == "DELETE":
            cloud.delete(name)
            return {"kind": "Status", "status": "Success"}
        if self.command in ("PUT", "POST"):
            if "dryRun" in query:
                return document
            return cloud.put(document, create=self.command == "POST")
        if name:
            return cloud.get(name)
        return _list("ServiceList", [cloud.get(each) for each in cloud.services])


class FrontDoor(_Handler):
    """What users call: the Host header decides, and `X-Served-By` tells which revision answered."""

    def handle_any(self) -> None:
        """Pass the request on, and keep a line of the request log."""
        content = self.body()
        with self.cloud.front_lock:
            revision = self.cloud.route(self.headers.get("Host", ""))
        if revision is None:
            self.answer(404, b"no such service", {"Content-Type": "text/plain"})
            return
        started = time.monotonic()
        status, result, kind = self._pass_on(revision.port, content)
        self.cloud.record(revision.name, status, time.monotonic() - started)
        self.answer(status, result, {"Content-Type": kind, "X-Served-By": revision.name})

    do_GET = do_POST = handle_any  # noqa: N815 - the base class's names

    def _pass_on(self, port: int, content: bytes) -> tuple[int, bytes, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        passed = ("Content-Type", "Authorization")
        headers = {name: self.headers[name] for name in passed if name in self.headers}
        try:
            connection.request(self.command, self.path, content or None, headers)
            response = connection.getresponse()
            return response.status, response.read(), response.getheader("Content-Type", "application/json")
        except (OSError, http.client.HTTPException):
            return 503, b"Service Unavailable", "text/plain"
        finally:
            connection.close()


def _list(kind: str, items: list[Document]) -> Document:
    return {"apiVersion": "serving.knative.dev/v1", "kind": kind, "items": items, "metadata": {}}


def _revisions(cloud: CloudRun, name: str) -> Document:
    if not name:
        return _list("RevisionList", [each.document() for each in cloud.revisions.values()])
    if name not in cloud.revisions:
        raise Refused(404, "NOT_FOUND", f"Resource '{name}' was not found")
    return cloud.revisions[name].document()


def _matching(cloud: CloudRun, query: str) -> list[Document]:
    """The request log by the two parts of the filter that our tool uses."""
    revision = re.search(r'revision_name="([^"]+)"', query)
    since = re.search(r'timestamp>="([^"]+)"', query)
    return [
        entry
        for entry in cloud.requests
        if (revision is None or entry["resource"]["labels"]["revision_name"] == revision.group(1))
        and (since is None or entry["timestamp"] >= since.group(1))
    ]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed in the middle is what some tests are about."""


@contextmanager
def serve(cloud: CloudRun, control_port: int = 0) -> Iterator[tuple[int, int]]:
    """Open both doors on 127.0.0.1; gives their ports (control plane, front)."""
    servers = [_open(ControlDoor, cloud, control_port), _open(FrontDoor, cloud, 0)]
    threads = [Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True) for server in servers]
    cloud.front_port = _port(servers[1])
    for thread in threads:
        thread.start()
    try:
        yield _port(servers[0]), _port(servers[1])
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()
        cloud.close()


def _open(door: type[_Handler], cloud: CloudRun, port: int) -> _Server:
    return _Server(("127.0.0.1", port), type(door.__name__, (door,), {"cloud": cloud}))


def _port(server: _Server) -> int:
    address: Any = server.server_address
    return int(address[1])
