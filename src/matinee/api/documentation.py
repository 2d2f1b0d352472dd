"""`/openapi.json`, `/docs` (Swagger UI) and `/redoc`, all from files on this machine: no CDN, no inline script."""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from matinee.api.answers import Json
from matinee.api.endpoints import Access, Endpoint
from matinee.api.openapi import openapi_document
from matinee.api.static import HTML, SCRIPT, STYLE, StaticFile, static_endpoints

# Swagger UI and ReDoc set style attributes and inline their icons; scripts come from files only.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>matinee API</title>"""
_SWAGGER = f"""{_HEAD}<link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
"""
_SWAGGER_START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true});\n'
_REDOC = f"""{_HEAD}</head>
<body><redoc spec-url="/openapi.json" disable-search></redoc>
<script src="/redoc/redoc.standalone.js"></script></body></html>
"""


def documentation_endpoints(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """The documentation of `endpoints`; the document is made when first asked for."""
    listed = tuple(endpoints)

    @cache
    def document() -> bytes:
        return openapi_document(listed)

    async def openapi(_request: Request) -> Response:
        return Json(document())

    return [Endpoint("GET", "/openapi.json", openapi, Access.OPEN, hidden=True), *static_endpoints(_files(), POLICY)]


def _files() -> Iterator[StaticFile]:
    assets = _asset_folder()
    yield StaticFile("/docs", HTML, _SWAGGER.encode())
    yield StaticFile("/docs/start.js", SCRIPT, _SWAGGER_START.encode())
    yield StaticFile("/docs/swagger-ui.css", STYLE, assets / "swagger-ui.css")
    yield StaticFile("/docs/swagger-ui-bundle.js", SCRIPT, assets / "swagger-ui-bundle.js")
    yield StaticFile("/redoc", HTML, _REDOC.encode())
    yield StaticFile("/redoc/redoc.standalone.js", SCRIPT, assets / "redoc.standalone.js")


def _asset_folder() -> Path:
    """The files of `fastapi-offline`; the package itself, which would import FastAPI, is not imported."""
    spec = find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package fastapi-offline, which brings the files of /docs, is not installed")
    return Path(spec.origin).parent / "static"
