"""Files for browsers: pages, styles and scripts, read when first asked for and kept."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from matinee.api.answers import Json
from matinee.api.endpoints import Access, Endpoint

HTML = "text/html; charset=utf-8"
SCRIPT = "text/javascript; charset=utf-8"
STYLE = "text/css; charset=utf-8"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """What is served under `path`: the content itself, or the file that holds it."""

    path: str
    media_type: str
    content: bytes | Path


def static_endpoints(served: Iterable[StaticFile], policy: str) -> list[Endpoint]:
    """A route for each file, open to everybody; `policy` is the Content-Security-Policy of all of them."""
    headers = ((b"content-security-policy", policy.encode("ascii")), (b"referrer-policy", b"no-referrer"))
    return [_endpoint(file, headers) for file in served]


def _endpoint(file: StaticFile, headers: tuple[tuple[bytes, bytes], ...]) -> Endpoint:
    @cache
    def body() -> bytes:
        return file.content if isinstance(file.content, bytes) else file.content.read_bytes()

    async def answer(_request: Request) -> Response:
        return Json(body(), headers=headers, media_type=file.media_type.encode("ascii"))

    return Endpoint("GET", file.path, answer, Access.OPEN, hidden=True)
