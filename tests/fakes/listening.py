"""A server in a thread: the real protocol and sockets, with an application made for the test."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from matinee.api.edge import Edge
from matinee.api.endpoints import Endpoint
from matinee.api.guard import ConnectionLimits
from matinee.api.keys import Keyring
from matinee.api.lifecycle import Lifecycle
from matinee.api.server import Server, ServerOptions, bind
from matinee.core.prediction import ModelIdentity


def bare_edge(
    endpoints: Iterable[Endpoint], keyring: Keyring | None = None, identity: ModelIdentity | None = None
) -> Edge:
    """An edge without deployments."""

    async def nothing() -> None:
        pass

    return Edge(endpoints, keyring or Keyring(), lambda: identity, lambda *_failure: None, (nothing, nothing))


@contextlib.contextmanager
def listening(
    edge: Edge,
    limits: ConnectionLimits,
    lifecycle: Lifecycle | None = None,
    run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run,
) -> Iterator[tuple[str, int]]:
    """Serve `edge` on a free port of the loopback; yields the address, and stops at the end of the block."""
    lifecycle = lifecycle or Lifecycle(started=True)
    sock = bind("127.0.0.1", 0)
    server = Server(edge, lifecycle, ServerOptions(limits, drain_seconds=0, shutdown_seconds=2))
    thread = threading.Thread(target=lambda: run(server.serve(sockets=[sock])), daemon=True)
    address: tuple[str, int] = sock.getsockname()
    sock.listen()
    thread.start()
    try:
        yield address
    finally:
        lifecycle.draining = True
        thread.join(10)
        assert not thread.is_alive()


def exchange(address: tuple[str, int], *pieces: bytes, timeout: float = 10) -> bytes:
    """Send raw bytes, then read until the server closes."""
    with socket.create_connection(address, timeout) as connection:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes or resets."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            received += piece
    return received
