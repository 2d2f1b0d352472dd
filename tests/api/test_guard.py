"""What arrives slowly, without end or ambiguously ends quickly, and harms nobody else."""

import json
import socket
from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.responses import Response
from tests.fakes.listening import bare_edge, exchange, listening, read_all

from matinee.api.answers import Json
from matinee.api.bodies import read_body
from matinee.api.endpoints import Access, Endpoint
from matinee.api.guard import ConnectionLimits

LIMITS = ConnectionLimits(
    header_seconds=0.4,
    body_seconds=0.6,
    unread_seconds=0.5,
    keep_alive_seconds=5,
    header_bytes=8192,
    body_bytes=100_000,
)
HOST = b"Host: localhost\r\n"
Address = tuple[str, int]


async def echo(request: Request) -> Response:
    """The length of the body, so that a test sees what was read."""
    body = await read_body(request.receive, LIMITS.body_bytes)
    return Json(json.dumps({"length": len(body)}).encode())


async def large(_request: Request) -> Response:
    """More than the kernel keeps for a client that does not read."""
    return Json(b'"' + b"x" * 50_000_000 + b'"')


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    """A server with short deadlines."""
    endpoints = [
        Endpoint("POST", "/echo", echo, Access.OPEN),
        Endpoint("GET", "/echo", echo, Access.OPEN),
        Endpoint("GET", "/large", large, Access.OPEN),
    ]
    with listening(bare_edge(endpoints), LIMITS) as address:
        yield address


def status(answer: bytes) -> int:
    """The status of the first response in a raw answer."""
    assert answer.startswith(b"HTTP/1.1 "), answer[:80]
    return int(answer[9:12])


def test_ordinary_requests_share_a_connection(address: Address) -> None:
    """Keep-alive and pipelining work."""
    request = b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
    last = b"GET /echo HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"

    answer = exchange(address, request + request, request, last)

    assert answer.count(b"HTTP/1.1 200 OK") == 4
    assert answer.count(b'{"length": 3}') == 3


POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
AMBIGUOUS = {
    "length and chunked": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "length with a plus": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
    "negative length": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nabc",
    "length of 30 digits": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"1" * 30 + b"\r\n\r\nabc",
    "space before the colon": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc",
    "xchunked": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked, identity": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "hexadecimal chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "bad chunk end": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n",
    "bare line feeds": b"GET /echo HTTP/1.1\nHost: a\n\n",
    "bare return in a value": b"GET /echo HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n\r\n",
    "NUL in a value": b"GET /echo HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n",
    "folded header": b"GET /echo HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
    "no host": b"GET /echo HTTP/1.1\r\nX-A: b\r\n\r\n",
    "two hosts": b"GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /echo\r\n\r\n",
    "another host in the target": b"GET http://other/echo HTTP/1.1\r\nHost: a\r\n\r\n",
    "authority form": b"CONNECT other:443 HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("raw", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_ambiguous_framing_is_refused(address: Address, raw: bytes) -> None:
    """Whatever two servers could read differently is a 400, and the connection ends."""
    answer = exchange(address, raw)

    assert status(answer) == 400
    assert b"connection: close" in answer
    assert answer.count(b"\r\n\r\n") == 1


TOO_LARGE = {
    "10,000 headers": (b"GET /echo HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10_000 + b"\r\n", 431),
    "101 headers": (b"GET /echo HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431),
    "100 KB address": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    "endless header": (b"GET /echo HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 1_000_000, 431),
    "announced body": (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n", 413),
    "chunked body": (
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"4000\r\n" + b"a" * 0x4000 + b"\r\n") * 10,
        413,
    ),
}


@pytest.mark.parametrize(("raw", "expected"), TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_too_much_is_refused(address: Address, raw: bytes, expected: int) -> None:
    """Sizes are bounded before anything is parsed or kept."""
    answer = exchange(address, raw)

    assert status(answer) == expected
    assert b"application/problem+json" in answer


def test_a_flood_of_requests_without_reading_is_cut(address: Address) -> None:
    """At most a few requests of one connection wait for their turn."""
    answer = exchange(address, (b"GET /echo HTTP/1.1\r\n" + HOST + b"\r\n") * 5000)

    assert 1 <= answer.count(b"HTTP/1.1 200 OK") <= 100


SLOW = {
    "silent": (b"", b""),
    "half a request line": (b"GET /ec", b"HTTP/1.1 408"),
    "half a header": (b"GET /echo HTTP/1.1\r\nHost: loc", b"HTTP/1.1 408"),
    "half a body": (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", b"HTTP/1.1 408"),
    "half a chunk": (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", b"HTTP/1.1 408"),
}


@pytest.mark.parametrize(("raw", "expected"), SLOW.values(), ids=SLOW.keys())
def test_what_stops_arriving_is_cut(address: Address, raw: bytes, expected: bytes) -> None:
    """A silent sender is told so where it has begun, and loses the connection."""
    answer = exchange(address, raw)

    assert answer.startswith(expected)
    assert bool(answer) is bool(expected)


def test_dripping_does_not_extend_the_deadline(address: Address) -> None:
    """A byte now and then is not progress."""
    with socket.create_connection(address, 10) as connection:
        connection.sendall(b"GET /echo HTTP/1.1\r\nX-Drip: ")
        connection.settimeout(0.05)
        answer = b""
        for _ in range(200):
            try:
                connection.sendall(b"a")
                answer = connection.recv(4096)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            break
        assert answer.startswith(b"HTTP/1.1 408")


def test_a_client_that_does_not_read_is_cut(address: Address) -> None:
    """An answer that nobody takes does not stay in memory."""
    with socket.create_connection(address, 10) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
        other = exchange(address, b"", timeout=10)  # longer than the time to take an answer: the silent deadline
        second = exchange(address, b"GET /ec")
        assert (other, status(second)) == (b"", 408)
        assert len(read_all(connection)) < 50_000_000


def test_an_upgrade_is_answered_as_a_plain_request(address: Address) -> None:
    """HTTP/2 and websockets are not spoken here, and asking for them is no error."""
    answer = exchange(address, b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")

    assert status(answer) == 200


def test_an_early_answer_lets_the_body_pass(address: Address) -> None:
    """A 404 before the body has arrived leaves a connection that works."""
    body = b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc"
    rest = b"abcGET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with socket.create_connection(address, 10) as connection:
        connection.sendall(body)
        first = connection.recv(4096)
        connection.sendall(rest)
        second = read_all(connection)

    assert (status(first), status(second)) == (404, 200)
