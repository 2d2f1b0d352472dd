"""What a route is: a path, a method, who may call it, and the function that answers.

The table of endpoints is the one statement about the HTTP surface: requests are looked up in it, and the OpenAPI
document is made from it. `access` has no default, so that nobody adds a route without saying who may call it.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

Handler = Callable[[Request], Awaitable[Response]]


class Access(Enum):
    """Who may call a route."""

    OPEN = "open"  # anybody: probes, page, documentation; they tell nothing about requests
    CALLER = "caller"  # one of API_KEYS, when there are any
    ADMIN = "admin"  # ADMIN_KEY; without one the route is switched off
    SIGNED = "signed"  # the handler checks a signature over the body


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route; `path` may hold `{name}` parts, which the handler finds in `request.path_params`.

    The other fields only document: `request` and `response` are the models of the JSON bodies, `parameters`
    OpenAPI's parameter objects, `status` that of success, `errors` the others worth knowing. `hidden` keeps a route
    out of the document.
    """

    method: str
    path: str
    handler: Handler
    access: Access
    summary: str = ""
    tag: str = ""
    request: type[BaseModel] | None = None
    response: type[BaseModel] | str = "application/json"
    parameters: tuple[Mapping[str, Any], ...] = ()
    status: int = 200
    errors: tuple[int, ...] = ()
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The endpoint of a request, or none with the methods that the path does know."""

    endpoint: Endpoint | None
    path_params: Mapping[str, Any] = field(default_factory=dict)
    allowed: tuple[str, ...] = ()


class EndpointTable:
    """Finds the endpoint of a method and a path: fixed paths by one look-up, then the few with parts in braces."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self.endpoints = tuple(endpoints)
        self._fixed: dict[str, dict[str, Found]] = {}
        self._patterns: dict[str, dict[str, Endpoint]] = {}
        for endpoint in self.endpoints:
            if "{" in endpoint.path:
                methods = self._patterns.setdefault(endpoint.path, {})
                methods[endpoint.method] = endpoint
            else:
                self._fixed.setdefault(endpoint.path, {})[endpoint.method] = Found(endpoint)
        self._compiled = [(compile_path(path)[0], methods) for path, methods in self._patterns.items()]

    def find(self, method: str, path: str) -> Found:
        """Look up; `HEAD` is answered by the `GET` route."""
        method = "GET" if method == "HEAD" else method
        if methods := self._fixed.get(path):
            return methods.get(method) or Found(None, allowed=tuple(methods))
        for pattern, candidates in self._compiled:
            if match := pattern.fullmatch(path):
                if endpoint := candidates.get(method):
                    return Found(endpoint, match.groupdict())
                return Found(None, allowed=tuple(candidates))
        return Found(None)
