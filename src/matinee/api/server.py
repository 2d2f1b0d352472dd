"""Runs the application: uvicorn with the guarded protocol, and a shutdown that ends in time and with status 0."""

import errno
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from matinee.api.guard import ConnectionLimits, guarded
from matinee.api.lifecycle import Lifecycle
from matinee.core.errors import MatineeError

BACKLOG = 2048
# libuv accepts one connection in a turn of the event loop for each handle that listens; one handle more costs 3.5 µs
# for a connection that comes alone
ACCEPTORS = 16
LAST_RESORT_SECONDS = 2.5


class AddressInUse(MatineeError):
    """Another program has the port."""

    code = "address_in_use"
    exit_code = 5


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """`drain_seconds` of accepting while not ready, then `shutdown_seconds` for what is in flight."""

    connection: ConnectionLimits
    drain_seconds: float = 1.0
    shutdown_seconds: float = 4.0


def bind(host: str, port: int) -> socket.socket:
    """A bound socket, before anything slow happens; raises `AddressInUse` in one sentence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        reason = (error.strerror or "it cannot be bound").lower()
        advice = "set PORT (or --port) to a free one"
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            advice = "set HOST to an address of this machine, or to 0.0.0.0 for all"
        raise AddressInUse(f"cannot listen on {host}:{port}: {reason}; {advice}") from None
    sock.set_inheritable(True)
    # All workers share this one socket, its mode included, and `dup` gives a copy the mode that Python knows of. Were
    # that a blocking one, the start of one worker would let the others hang in `accept` until somebody connects.
    sock.settimeout(0)
    return sock


class Server(uvicorn.Server):
    """uvicorn's server with a draining phase; it leaves with status 0 after a signal, and when starting failed.

    `beat` is called ten times a second, for whoever watches over this process.
    """

    def __init__(
        self, app: ASGIApp, lifecycle: Lifecycle, options: ServerOptions, beat: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(_config(app, options))
        self._lifecycle = lifecycle
        self._beat = beat
        self._drain_seconds = options.drain_seconds
        self._exit_at = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen with several handles on each socket, so that a probe's connection waits for few others."""
        await super().startup([handle for sock in sockets or () for handle in (sock, *_copies(sock))])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of a handler
        """SIGTERM drains first, Ctrl-C does not, a second one of either ends the draining."""
        again, self._lifecycle.draining = self._lifecycle.draining, True
        self._exit_at = time.monotonic() + (0 if again or sig == signal.SIGINT else self._drain_seconds)
        if not again:
            self._leave_at_last()

    def _leave_at_last(self) -> None:
        """A thread that hangs in a model would keep the interpreter from ending."""
        seconds = self._drain_seconds + float(self.config.timeout_graceful_shutdown or 0) + LAST_RESORT_SECONDS
        timer = threading.Timer(seconds, os._exit, [1])
        timer.daemon = True
        timer.start()

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second, as long as the event loop is alive."""
        self._beat()
        if self._lifecycle.failure is not None:
            self._leave_at_last()
            return True
        stopping = self._lifecycle.draining and time.monotonic() >= self._exit_at
        return await super().on_tick(counter) or stopping


def _copies(sock: socket.socket) -> list[socket.socket]:
    return [sock.dup() for _ in range(ACCEPTORS - 1)]


def _config(app: ASGIApp, options: ServerOptions) -> uvicorn.Config:
    # uvicorn's own loggers repeat what our events say, or log what a client sent
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return uvicorn.Config(
        app,
        http=guarded(options.connection),
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=options.shutdown_seconds,  # type: ignore[arg-type]  # a float works as well
    )
