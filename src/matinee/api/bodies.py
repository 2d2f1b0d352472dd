"""Reads request bodies: bounded, and only JSON that means one thing."""

import json
from collections.abc import Iterable
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from matinee.core.errors import BodyTooLarge, InvalidRequest, NotJson, UnsupportedMediaType

Headers = Iterable[tuple[bytes, bytes]]


async def read_json(headers: Headers, receive: Receive, max_bytes: int) -> Any:
    """The JSON value in the body; raises `UnsupportedMediaType`, `BodyTooLarge`, `NotJson` or `InvalidRequest`."""
    _check_media_type(headers)
    return parse_json(await read_body(receive, max_bytes))


async def read_body(receive: Receive, max_bytes: int) -> bytes:
    """The whole body; raises `BodyTooLarge` as soon as it is known to be, `ClientDisconnect` when nobody waits."""
    message = await receive()
    body = _piece(message)
    if not message.get("more_body", False):
        return _bounded(body, max_bytes)
    pieces, size = [body], len(body)
    while message.get("more_body", False):
        message = await receive()
        pieces.append(_piece(message))
        size += len(pieces[-1])
        if size > max_bytes:
            break
    return _bounded(b"".join(pieces), max_bytes)


def parse_json(body: bytes) -> Any:
    """Parse strictly: UTF-8, no duplicate keys, no NaN or Infinity, no absurd nesting or numbers."""
    if not body:
        raise NotJson("body", "is empty; it must be JSON")
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise NotJson("body", "is not UTF-8") from None
    except RecursionError:
        raise NotJson("body", "is nested too deeply") from None
    except ValueError:  # not JSON, or a number with thousands of digits
        raise NotJson("body", "is not valid JSON") from None


def _check_media_type(headers: Headers) -> None:
    media_type = b""
    for name, value in headers:
        if name == b"content-type":
            media_type = value.partition(b";")[0].strip().lower()
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise UnsupportedMediaType("content-encoding", "compressed bodies are not read; send the JSON as it is")
    if media_type != b"application/json" and not media_type.endswith(b"+json"):
        raise UnsupportedMediaType("content-type", "must be application/json")


def _piece(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    body: bytes = message.get("body", b"")
    return body


def _bounded(body: bytes, max_bytes: int) -> bytes:
    if len(body) > max_bytes:
        raise BodyTooLarge("body", f"is longer than {max_bytes} bytes")
    return body


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise InvalidRequest("body", "has the same key twice")
    return table


def _no_constant(_name: str) -> NoReturn:
    raise NotJson("body", "holds NaN or Infinity, which JSON does not know")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
