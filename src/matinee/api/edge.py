"""The outermost ASGI application: request id, look-up, access, and one place where errors become answers."""

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from itertools import count

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from matinee.api.endpoints import Endpoint, EndpointTable
from matinee.api.keys import Keyring
from matinee.api.problems import from_error, problem
from matinee.core.errors import MatineeError, ShuttingDown, kind_and_place
from matinee.core.prediction import ModelIdentity

CLIENT_GONE = "client disconnected"  # the word with which the protocol cancels a task that nobody waits for
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")

Lifespan = Callable[[], Awaitable[None]]
Failed = Callable[[ModelIdentity | None, str, int], None]
logger = logging.getLogger("matinee.api")


class Edge:
    """Answers every request, whatever happens inside.

    `identity` tells which model stands in `X-Matinee-Model` where the handler named none; `failed` hears of each
    error the model (where the handler had come so far), the code and the status; `lifespan` is what starting and
    stopping mean.
    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        keyring: Keyring,
        identity: Callable[[], ModelIdentity | None],
        failed: Failed,
        lifespan: tuple[Lifespan, Lifespan],
    ) -> None:
        self.table = EndpointTable(endpoints)
        self._keyring = keyring
        self._identity = identity
        self._failed = failed
        self._startup, self._shutdown = lifespan
        self._id_prefix = secrets.token_hex(6)
        self._ids = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of any kind; websockets are refused."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = self._request_id(scope["headers"])
        scope["matinee.request_id"] = request_id
        try:
            response = await self._respond(scope, receive, request_id)
        except ClientDisconnect:
            return
        identity = scope.get("matinee.model") or self._identity()
        response.raw_headers.append((b"x-request-id", request_id.encode("ascii")))
        if identity is not None:
            response.raw_headers += _model_headers(identity)
        if scope.get("matinee.stale"):
            response.raw_headers.append((b"x-matinee-stale", b"true"))
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, request_id: str) -> Response:
        """The handler's response, or the problem document that explains why there is none."""
        try:
            found = self.table.find(scope["method"], scope["path"])
            if found.endpoint is None:
                return _not_found(found.allowed, request_id)
            self._keyring.check(found.endpoint.access, scope["headers"])
            scope["path_params"] = found.path_params
            return await found.endpoint.handler(Request(scope, receive))
        except MatineeError as error:
            self._failed(scope.get("matinee.model"), error.code, error.status)
            return from_error(error, request_id)
        except asyncio.CancelledError as error:
            if CLIENT_GONE in error.args:
                raise ClientDisconnect from None
            # the server's own limit at shutdown: this task ends here anyway, with an answer instead of silence
            return from_error(ShuttingDown("the server is stopping, try again"), request_id)
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 - the HTTP edge: a bug must not cost the connection or show itself
            logger.error("unexpected %s, request %s", kind_and_place(error), request_id)  # noqa: TRY400
            self._failed(scope.get("matinee.model"), "internal_error", 500)
            return problem(500, "internal_error", "something went wrong on the server", request_id=request_id)

    def _request_id(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        for name, value in headers:
            if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                return value.decode("ascii")
        return f"{self._id_prefix}{next(self._ids):x}"

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._startup()
        await send({"type": "lifespan.startup.complete"})
        message: Message = await receive()
        while message["type"] != "lifespan.shutdown":
            message = await receive()
        await self._shutdown()
        await send({"type": "lifespan.shutdown.complete"})


@lru_cache(maxsize=64)
def _model_headers(identity: ModelIdentity) -> list[tuple[bytes, bytes]]:
    """Header values are plain ASCII, whatever a registry calls its versions."""
    told = {"model": identity.name, "version": identity.version, "digest": identity.digest}
    return [(f"x-matinee-{key}".encode(), _UNPRINTABLE.sub("?", text)[:200].encode()) for key, text in told.items()]


def _not_found(allowed: tuple[str, ...], request_id: str) -> Response:
    if not allowed:
        return problem(404, "not_found", "no such route; /docs lists them all", request_id=request_id)
    allow = ", ".join(sorted({*allowed, *({"HEAD"} if "GET" in allowed else ())}))
    headers = [(b"allow", allow.encode("ascii"))]
    detail = f"this route knows {allow}"
    return problem(405, "method_not_allowed", detail, request_id=request_id, headers=headers)
