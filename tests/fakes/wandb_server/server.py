"""The HTTP side of the fake W&B server: GraphQL, stored files, file streams, and faults on demand."""

import base64
import gzip
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from graphql import build_schema, execute_sync, parse, validate
from tests.fakes.wandb_server.answers import Answers
from tests.fakes.wandb_server.objects import digest_of
from tests.fakes.wandb_server.state import LoggedRun, State

_SCHEMA = build_schema((Path(__file__).parent / "schema.graphql").read_text(encoding="utf-8"))


@dataclass(slots=True)
class Fault:
    """How requests of one area go wrong, and how many more times.

    `kind` is `error` (with `status`), `truncated` (half the promised bytes, then the connection is closed),
    `short` (half the bytes, said to be all), `wrong` (right length, one bit flipped), `html` (a log-in page with
    status 200) or `hang` (headers and half the body, then silence until the server is closed).
    """

    kind: str
    times: int = 1_000_000
    status: int = 500


class WandbServer:
    """A server on a free port of this machine; `entity` is what its one user belongs to, `key` that user's API key."""

    def __init__(self, entity: str = "team", key: str = "0123456789abcdef0123456789abcdef01234567") -> None:
        self.entity = entity
        self.key = key
        self.state = State()
        self.requests: list[str] = []
        self.closing = threading.Event()
        self._faults: dict[str, Fault] = {}
        self._http = _Listener(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.answers = Answers(self.state, self.url, entity)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()

    @property
    def runs(self) -> list[LoggedRun]:
        """Every run, in the order in which they began."""
        return list(self.state.runs.values())

    def environment(self) -> dict[str, str]:
        """The variables that point a W&B client here."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": self.key}

    def fail(self, area: str, kind: str, *, times: int = 1_000_000, status: int = 500) -> None:
        """Let `graphql`, `manifest`, `files`, `upload` or `stream` requests go wrong from now on."""
        self._faults[area] = Fault(kind, times, status)

    def recover(self) -> None:
        """No more faults."""
        self._faults.clear()

    def fault(self, area: str) -> Fault | None:
        """The fault that a request of that area meets, counted down."""
        fault = self._faults.get(area)
        if fault is None or fault.times <= 0:
            return None
        fault.times -= 1
        return fault

    def graphql(self, document: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Execute one request; a field that the schema does not know is a 400 that names it."""
        query = parse(document["query"])
        if problems := validate(_SCHEMA, query):
            return 400, {"errors": [{"message": problem.message} for problem in problems]}
        result = execute_sync(
            _SCHEMA, query, root_value=self.answers.root, variable_values=document.get("variables") or {}
        )
        if result.errors:
            return 200, {"errors": [{"message": str(problem)} for problem in result.errors], "data": result.data}
        return 200, {"data": result.data}

    def stream(self, run: LoggedRun, document: dict[str, Any]) -> None:
        """Take what a run reports about itself."""
        for name, chunk in (document.get("files") or {}).items():
            lines = chunk.get("content", [])
            if name == "wandb-history.jsonl":
                run.history[chunk["offset"] :] = [json.loads(line) for line in lines]
            elif name == "wandb-summary.json" and lines:
                run.summary = json.loads(lines[-1])
            elif name == "output.log":
                run.output += lines
        if document.get("complete"):
            run.exit_code = document.get("exitcode")
            run.state = "finished" if run.exit_code == 0 else "failed"


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is nothing to report."""


def _handler(server: WandbServer) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        owner = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    owner: WandbServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self._body()
        if not self._is_allowed():
            return
        if self.path == "/graphql":
            self._graphql(json.loads(body))
        elif self.path.endswith("/file_stream"):
            self._file_stream(json.loads(body))
        else:
            self._json(404, {"error": "no such route"})

    def do_PUT(self) -> None:
        body = self._body()
        _, _, kind, rest = self.path.split("/", 3)
        self.owner.requests.append(f"PUT {kind}")
        if self._went_wrong(self.owner.fault("upload"), b""):
            return
        if kind == "run":
            entity, project, run, name = rest.split("/", 3)
            self.owner.state.run(entity, project, run).files[name] = body
        elif kind == "manifest":
            self.owner.state.blobs[f"manifest/{rest}"] = body
        else:
            self.owner.state.blobs[f"cas/{digest_of(rest)}"] = body
        self._json(200, {})

    def do_GET(self) -> None:
        _, kind, rest = (self.path + "/").split("/", 2)
        rest = rest.rstrip("/")
        self.owner.requests.append(f"GET {kind}")
        if kind == "manifest" and rest in self.owner.state.artifacts:
            content = json.dumps(self.owner.state.artifacts[rest].manifest).encode()
            self._content(content, self.owner.fault("manifest"))
        elif kind == "blob" and (content := self.owner.state.blobs.get(f"cas/{digest_of(rest)}", b"")):
            self._content(content, self.owner.fault("files"))
        else:
            self._json(404, {"error": "no such file"})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name for it
        """Say nothing."""

    def _graphql(self, document: dict[str, Any]) -> None:
        self.owner.requests.append(f"POST {document.get('operationName') or document['query'].split('(')[0].strip()}")
        if not self._went_wrong(self.owner.fault("graphql"), b"{}"):
            self._json(*self.owner.graphql(document))

    def _file_stream(self, document: dict[str, Any]) -> None:
        self.owner.requests.append("POST file_stream")
        if not self._went_wrong(self.owner.fault("stream"), b"{}"):
            entity, project, run = self.path.split("/")[2:5]
            self.owner.stream(self.owner.state.run(entity, project, run), document)
            self._json(200, {"exitcode": None, "limits": {}})

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _is_allowed(self) -> bool:
        expected = base64.b64encode(f"api:{self.owner.key}".encode()).decode()
        if self.headers.get("Authorization") == f"Basic {expected}":
            return True
        self.owner.requests.append(f"401 {self.path}")
        self._json(401, {"errors": [{"message": "user is not logged in"}]})
        return False

    def _content(self, content: bytes, fault: Fault | None) -> None:
        if not self._went_wrong(fault, content):
            self._send(200, content, "application/octet-stream")

    def _went_wrong(self, fault: Fault | None, content: bytes) -> bool:
        if fault is None:
            return False
        half = content[: len(content) // 2]
        if fault.kind == "error":
            self._json(fault.status, {"errors": [{"message": f"fault {fault.status}"}]})
        elif fault.kind == "html":
            self._send(200, b"<html><body>Please log in</body></html>", "text/html")
        elif fault.kind == "short":
            self._send(200, half, "application/octet-stream")
        elif fault.kind == "wrong":
            self._send(200, bytes([content[0] ^ 1]) + content[1:], "application/octet-stream")
        else:  # truncated, hang
            self._head(200, len(content), "application/octet-stream")
            self.wfile.write(half)
            self.wfile.flush()
            if fault.kind == "hang":
                self.owner.closing.wait()
            self.close_connection = True
        return True

    def _json(self, status: int, document: dict[str, Any]) -> None:
        self._send(status, json.dumps(document).encode(), "application/json")

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self._head(status, len(content), kind)
        self.wfile.write(content)

    def _head(self, status: int, length: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()
