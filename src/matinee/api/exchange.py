"""One request and its response, written to the socket in one go."""

from uvicorn._types import ASGISendEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle


class Exchange(RequestResponseCycle):
    """One request and its response; head and body leave in one write, where uvicorn makes two system calls."""

    _head: HTTPResponseStartEvent | None = None

    async def send(self, message: ASGISendEvent) -> None:
        """Hold the head back until the body is there; what is sent in pieces goes uvicorn's way."""
        if message["type"] == "http.response.start" and not self.response_started and self._head is None:
            self._head = message
            return
        head, self._head = self._head, None
        if head is None:
            await super().send(message)
        elif (
            message["type"] == "http.response.body" and not message.get("more_body") and self.scope["method"] != "HEAD"
        ):
            await self._send_whole(head, message.get("body", b""))
        else:
            await super().send(head)
            await super().send(message)

    async def _send_whole(self, head: HTTPResponseStartEvent, body: bytes) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        headers = [*self.default_headers, *head.get("headers", ())]
        if not self.keep_alive:
            headers.append((b"connection", b"close"))
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers):
            raise RuntimeError("a response header holds a line end")
        self.response_started = self.response_complete = True
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[head["status"]], lines, body))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
