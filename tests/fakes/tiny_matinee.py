"""A server with matinee's routes and none of its weight, for tests of what is around it.

Its behaviour is chosen by environment variables of the revision: `MODEL` names what it says it serves;
`BEHAVIOUR` is `good`, `crash` (never listens), `wrong` (every label reversed), `broken` (500)
or `private` (403 without the token that `StandInControl` gives).
"""

import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tests.fakes.cloud_run import Document


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    environment: Mapping[str, str]

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        """Silence."""

    def do_GET(self) -> None:
        """Health and probes."""
        private = self.environment.get("BEHAVIOUR") == "private" and self.path.startswith("/api/")
        allowed = not private or self.headers.get("Authorization", "").startswith("Bearer token-for-http")
        self._answer(200 if allowed else 403, {"status": allowed})

    def do_POST(self) -> None:
        """Sentiment by one word."""
        texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["texts"]
        behaviour = self.environment.get("BEHAVIOUR", "good")
        if behaviour == "broken":
            self._answer(500, {"code": "model_failed"})
            return
        labels = [("positive" if "good" in text else "negative") for text in texts]
        if behaviour == "wrong":
            labels = [("negative" if label == "positive" else "positive") for label in labels]
        version = self.environment["MODEL"].rpartition(":")[2]
        model = {"name": "tiny", "version": version, "digest": "sha256:0", "source": self.environment["MODEL"]}
        self._answer(200, {"predictions": [{"label": label} for label in labels], "model": model})

    def _answer(self, status: int, document: Document) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class TinyInstance:
    """One running server; a crashed one has never listened."""

    def __init__(self, environment: Mapping[str, str], port: int) -> None:
        self._server: _Server | None = None
        if environment.get("BEHAVIOUR") != "crash":
            handler = type("_Configured", (_Handler,), {"environment": environment})
            self._server = _Server(("127.0.0.1", port), handler)
            self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            self._thread.start()

    def alive(self) -> bool:
        """Whether it still answers."""
        return self._server is not None

    def stop(self) -> None:
        """End it."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None


class TinyLauncher:
    """Starts tiny servers; `started` names the revisions in order."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def start(self, revision: str, container: Document, port: int) -> TinyInstance:
        """Read the environment as a container would."""
        self.started.append(revision)
        environment = {entry["name"]: str(entry.get("value", "")) for entry in container["env"]}
        return TinyInstance(environment, port)
