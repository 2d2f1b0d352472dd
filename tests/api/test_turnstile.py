"""Thousands of requests at once: they are answered a few at a time, and what is urgent goes between them."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest
import uvloop
from starlette.requests import Request
from starlette.responses import Response
from tests.fakes.listening import bare_edge, listening
from tests.fakes.processes import until

from matinee.api.answers import Json
from matinee.api.endpoints import Access, Endpoint
from matinee.api.guard import ConnectionLimits
from matinee.api.turnstile import REQUESTS_PER_TURN, Turnstile

CROWD = 4 * REQUESTS_PER_TURN


@dataclass
class Stage:
    """An application whose event loop stands still while `/block` is answered, as with much work."""

    blocked: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    begun: list[str] = field(default_factory=list)
    turns: int = 0
    turn_of: list[int] = field(default_factory=list)

    async def block(self, _request: Request) -> Response:
        """Stand still, and count the turns from then on."""
        self.blocked.set()
        await self._stand_still()
        asyncio.get_running_loop().call_soon(self._count)
        return Json(b"{}")

    async def _stand_still(self) -> None:
        assert self.release.wait(30)

    def _count(self) -> None:
        self.turns += 1
        if len(self.turn_of) < CROWD:
            asyncio.get_running_loop().call_soon(self._count)

    async def work(self, _request: Request) -> Response:
        """One of the crowd."""
        self.begun.append("work")
        self.turn_of.append(self.turns)
        return Json(b"{}")

    async def probe(self, _request: Request) -> Response:
        """The urgent one."""
        self.begun.append("probe")
        return Json(b"{}")

    @contextlib.contextmanager
    def open(self) -> Iterator[tuple[str, int]]:
        """Serve with the event loop of the product."""
        routes = {"/block": self.block, "/work": self.work, "/livez": self.probe}
        edge = bare_edge([Endpoint("GET", path, handler, Access.OPEN) for path, handler in routes.items()])
        with listening(edge, ConnectionLimits(), run=uvloop.run) as address:
            yield address


def ask(connection: socket.socket, path: str) -> None:
    """Send a request, and do not wait."""
    connection.sendall(b"GET %b HTTP/1.1\r\nhost: a\r\n\r\n" % path.encode())


def answered(connection: socket.socket) -> bool:
    """Wait for the answer."""
    return connection.recv(4096).startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def stage() -> Stage:
    """Nothing has happened yet."""
    return Stage()


def test_a_probe_goes_before_requests_that_came_earlier(stage: Stage) -> None:
    """Behind a crowd that came in the same turn, it waits for those at most that one turn takes."""
    with stage.open() as address, contextlib.ExitStack() as connections:
        crowd = [connections.enter_context(socket.create_connection(address, 30)) for _ in range(CROWD + 2)]
        for connection in crowd:  # accepted, every one
            ask(connection, "/livez")
            assert answered(connection)
        stage.begun.clear()
        blocker, prober, *workers = crowd
        ask(blocker, "/block")
        assert stage.blocked.wait(30)
        for worker in workers:
            ask(worker, "/work")
        ask(prober, "/livez")
        stage.release.set()

        assert all(answered(connection) for connection in crowd)
    assert stage.begun.index("probe") <= REQUESTS_PER_TURN
    assert stage.begun.count("work") == CROWD


def test_connections_that_wait_are_accepted_many_at_a_time(stage: Stage) -> None:
    """A probe on a connection of its own would otherwise wait one turn for each connection before it."""
    with stage.open() as address, contextlib.ExitStack() as connections:
        blocker = connections.enter_context(socket.create_connection(address, 30))
        ask(blocker, "/block")
        assert stage.blocked.wait(30)
        crowd = [connections.enter_context(socket.create_connection(address, 30)) for _ in range(CROWD)]
        for connection in crowd:
            ask(connection, "/work")
        stage.release.set()

        assert all(answered(connection) for connection in [blocker, *crowd])
    assert stage.turn_of[-1] <= CROWD // 2


def test_a_client_that_leaves_while_it_waits_is_not_served(stage: Stage) -> None:
    """Its request is forgotten; those behind it are answered."""
    with stage.open() as address, contextlib.ExitStack() as connections:
        crowd = [connections.enter_context(socket.create_connection(address, 30)) for _ in range(CROWD + 2)]
        for connection in crowd:
            ask(connection, "/livez")
            assert answered(connection)
        blocker, gone, *workers = crowd
        ask(blocker, "/block")
        assert stage.blocked.wait(30)
        for worker in [*workers[:-1], gone, workers[-1]]:
            ask(worker, "/work")
        gone.close()
        stage.release.set()

        assert all(answered(connection) for connection in [blocker, *workers])
        until(lambda: len(stage.turn_of) >= CROWD)
    assert len(stage.turn_of) == CROWD


def test_a_turn_starts_so_many_and_the_rest_in_their_order() -> None:
    """Whoever comes while others wait goes behind them."""
    asyncio.run(_three_turns())


async def _three_turns() -> None:
    loop, turnstile = asyncio.get_running_loop(), Turnstile()
    started: list[int] = []
    for number in range(2 * REQUESTS_PER_TURN):
        turnstile.enter(loop, "/predict", partial(started.append, number))
    assert started == list(range(REQUESTS_PER_TURN))
    turnstile.enter(loop, "/predict", partial(started.append, -1))
    await asyncio.sleep(0)
    assert started == list(range(2 * REQUESTS_PER_TURN))
    await asyncio.sleep(0)
    assert started[-1] == -1
    await asyncio.sleep(0)
    turnstile.enter(loop, "/predict", partial(started.append, -2))
    assert started[-1] == -2
