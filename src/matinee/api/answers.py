"""Responses made of ready bytes."""

from collections.abc import Iterable

from starlette.responses import Response

JSON = b"application/json"
# What every answer of ours tells a browser: believe the content type, and keep nothing that may change with the model.
_FIXED = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


class Json(Response):
    """A response whose body is ready; skips what Starlette's constructor works out anew for each response."""

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        headers: Iterable[tuple[bytes, bytes]] = (),
        media_type: bytes = JSON,
    ) -> None:
        self.status_code = status
        self.body = body
        self.background = None
        length = str(len(body)).encode("ascii")
        self.raw_headers = [(b"content-length", length), (b"content-type", media_type), *_FIXED, *headers]
