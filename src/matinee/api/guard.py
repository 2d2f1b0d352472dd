"""The HTTP/1.1 protocol with a limit on the time and the size of everything that a client sends.

uvicorn times nothing that arrives: half a header, half a body or a byte a minute hold a connection for ever and
keep a stopping server from exiting, and a header without an end grows in memory. This subclass gives each phase of
a connection an absolute deadline, which dripping bytes do not extend, and refuses framing that can be read two ways.
"""

import asyncio
import math
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, ClassVar
from urllib.parse import unquote

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from matinee.api.edge import CLIENT_GONE
from matinee.api.exchange import Exchange
from matinee.api.refusals import NOT_HTTP, Refusal, raw_problem, too_long_body, too_long_head
from matinee.api.turnstile import Turnstile

MAX_PIPELINED = 32
LINGER_SECONDS = 2.0  # after a refusal: time to read it before the connection is reset
LAST_SECONDS = 1.0  # once the server stops: time for a request that is arriving to arrive


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Deadlines in seconds, sizes in bytes."""

    header_seconds: float = 5.0
    body_seconds: float = 8.0
    unread_seconds: float = 30.0
    keep_alive_seconds: float = 75.0
    header_bytes: int = 32_768
    header_count: int = 100
    body_bytes: int = 4 * 1024 * 1024


class Phase(Enum):
    """What the connection waits for."""

    HEAD = "request line and headers"
    BODY = "body"
    WORK = "our answer"
    IDLE = "the next request"
    CLOSING = "the other side to close"


def guarded(limits: ConnectionLimits) -> type[HttpToolsProtocol]:
    """The protocol class of a server with these limits (uvicorn wants a class, not a factory)."""
    return type("Guarded", (GuardedProtocol,), {"limits": limits, "turnstile": Turnstile()})


class GuardedProtocol(HttpToolsProtocol):
    """One connection. A single timer serves all its deadlines; it is set anew only when it would ring too late."""

    limits: ClassVar[ConnectionLimits]
    turnstile: ClassVar[Turnstile]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._phase = Phase.HEAD
        self._deadline = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf
        self._head_bytes = 0
        self._body_bytes = 0
        self._refusal = NOT_HTTP
        self._task: asyncio.Task[None] | None = None
        self._running: RequestResponseCycle | None = None  # what the task answers; `cycle` may be a later one

    # --- the connection -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect(self.limits.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.pipeline.clear()
        if self._task is not None:
            self._task.cancel(CLIENT_GONE)  # its place in the queue goes to somebody who waits

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.CLOSING:
            return
        super().data_received(data)
        if self._phase is Phase.HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.header_bytes:
                self._refuse(too_long_head())

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect(self.limits.unread_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._expect(math.inf if self._phase is Phase.WORK else self.limits.keep_alive_seconds)

    def shutdown(self) -> None:
        """The server stops: what was received is answered, what is arriving has a last second."""
        super().shutdown()
        if self._phase is Phase.CLOSING:
            self.transport.abort()
        elif self._phase is Phase.BODY:
            self._expect(min(LAST_SECONDS, self._deadline - self.loop.time()))

    # --- the request ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._phase = Phase.HEAD
        self._head_bytes = self._body_bytes = 0
        self._expect(self.limits.header_seconds)

    def on_headers_complete(self) -> None:
        """As uvicorn's, less what is switched off here: upgrades, a root path, its own limit of connections."""
        self._check_head()
        self._phase = Phase.BODY
        self._expect(self.limits.body_seconds)
        version = self.parser.get_http_version()
        raw_path, _, query = self.url.partition(b"#")[0].partition(b"?")
        path = raw_path.decode("ascii")
        scope = self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = raw_path
        scope["query_string"] = query
        self.cycle = cycle = Exchange(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if self._running is None:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self.limits.body_bytes:
            self._raise(too_long_body(self.limits.body_bytes))
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self.cycle.response_complete:
            self._idle()
        else:
            self._phase = Phase.WORK
            self._expect(math.inf)

    def on_response_complete(self) -> None:
        """As uvicorn's, without a timer for each request."""
        self.server_state.total_requests += 1
        self._task = self._running = None
        if self.transport.is_closing():
            self._expect(self.limits.unread_seconds)
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._phase is Phase.WORK:
            self._idle()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words; ours say more
        refusal, self._refusal = self._refusal, NOT_HTTP
        self._refuse(refusal)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        self.turnstile.enter(self.loop, cycle.scope["path"], partial(self._begin, cycle, app))

    def _begin(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if cycle.disconnected or self.transport.is_closing():
            return  # refused or gone while it waited
        self._task = task = self.loop.create_task(cycle.run_asgi(app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade is not wanted: the request is answered as it is, and the connection ends with it."""
        self.cycle.keep_alive = False

    # --- limits ---------------------------------------------------------------------------------------------

    def _check_head(self) -> None:
        hosts, length = 0, 0
        for name, value in self.headers:
            length += len(name) + len(value)
            if name == b"host":
                hosts += 1
            elif name == b"content-length" and int(value) > self.limits.body_bytes:
                self._raise(too_long_body(self.limits.body_bytes))
        if length + len(self.url) > self.limits.header_bytes or len(self.headers) > self.limits.header_count:
            self._raise(too_long_head())
        if hosts != 1:
            self._raise(Refusal(400, "bad_request", "the request needs exactly one Host header"))
        if self.url[:1] != b"/" or self.parser.get_http_version() not in ("1.1", "1.0"):
            self._raise(Refusal(400, "bad_request", "the request needs a path and HTTP/1.1"))
        if len(self.pipeline) >= MAX_PIPELINED:
            self._raise(Refusal(400, "bad_request", "too many requests were sent without waiting for answers"))

    def _raise(self, refusal: Refusal) -> None:
        self._refusal = refusal
        raise refusal

    def _refuse(self, refusal: Refusal) -> None:
        """Answer outside of the application and close; an earlier request that is still being answered goes first."""
        phase, self._phase = self._phase, Phase.CLOSING
        running = self._running
        if running is not None and (phase is Phase.HEAD or running is not self.cycle):
            running.keep_alive = False
            self.pipeline.clear()
            self._expect(math.inf)
            return
        self._expect(LINGER_SECONDS)
        if running is not None:
            running.disconnected = True
            running.message_event.set()
        if phase is Phase.BODY and (running is None or running.response_started):
            self.transport.abort()  # it has its answer already, or half of it, and went on sending
            return
        self.transport.write(raw_problem(refusal))
        self.transport.write_eof()

    # --- deadlines ------------------------------------------------------------------------------------------

    def _idle(self) -> None:
        self._phase = Phase.IDLE
        self._expect(self.limits.keep_alive_seconds)

    def _expect(self, seconds: float) -> None:
        """Something must happen within `seconds` from now; replaces the deadline before."""
        if self.flow.write_paused:
            seconds = min(seconds, self.limits.unread_seconds)
        self._deadline = deadline = self.loop.time() + seconds
        if deadline < self._rings_at:
            self._set_timer(deadline)

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = when
        self._timer = self.loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer, self._rings_at = None, math.inf
        if self.loop.time() < self._deadline:
            if self._deadline < math.inf:
                self._set_timer(self._deadline)
        elif self._phase is Phase.HEAD and not self._head_bytes:
            self.transport.close()  # connected, and never said a word
        elif self._phase in (Phase.HEAD, Phase.BODY):
            self._refuse(Refusal(408, "request_timeout", "the request did not arrive in time"))
        elif self.flow.write_paused or self._phase is not Phase.IDLE:
            self.transport.abort()
        else:
            self.transport.close()
