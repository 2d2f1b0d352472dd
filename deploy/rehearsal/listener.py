"""Google's services other than Cloud Run, as far as gcloud notices: a listener on loopback that keeps what it got."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

Asked = tuple[str, bytes]


class _Handler(BaseHTTPRequestHandler):
    timeout = 10  # of a caller who stalls: the next one waits for it, and so does the end
    asked: list[Asked]
    reply: Callable[[str, bytes], object]

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        """Silence."""

    def do_POST(self) -> None:
        """Keep the request, and answer with JSON."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, body))
        content = json.dumps(self.reply(self.path, body)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def listening(reply: Callable[[str, bytes], object]) -> Iterator[tuple[str, list[Asked]]]:
    """Answer POSTs with what `reply(path, body)` gives; yields the address and the list of what was asked."""
    asked: list[Asked] = []
    handler = type("_Keeps", (_Handler,), {"asked": asked, "reply": staticmethod(reply)})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
