"""`/openapi.json`, `/docs` (Swagger UI) and `/redoc`, all from files on this machine: no CDN, no inline script."""

from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from matinee.api.answers import Json
from matinee.api.endpoints import Access, Endpoint
from matinee.api.openapi import openapi_document

# Swagger UI sets style attributes and inlines its icons; scripts come from files only. ReDoc works in a blob worker.
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; font-src 'self'; worker-src blob:; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'"
)
_SWAGGER = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>matinee API</title><link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
"""
_SWAGGER_START = (
    b'SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, tryItOutEnabled: true});\n'
)
_REDOC = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>matinee API</title></head>
<body><redoc spec-url="/openapi.json" disable-search hide-loading></redoc>
<script src="/redoc/redoc.standalone.js"></script></body></html>
"""
_ASSETS = {
    "/docs/swagger-ui.css": b"text/css; charset=utf-8",
    "/docs/swagger-ui-bundle.js": b"text/javascript; charset=utf-8",
    "/redoc/redoc.standalone.js": b"text/javascript; charset=utf-8",
}


def documentation_endpoints(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """The documentation of `endpoints`; the document is made when first asked for."""
    listed = tuple(endpoints)

    @cache
    def document() -> bytes:
        return openapi_document(listed)

    async def openapi(_request: Request) -> Response:
        return Json(document())

    pages = {
        "/docs": (_SWAGGER, b"text/html; charset=utf-8"),
        "/docs/start.js": (_SWAGGER_START, b"text/javascript; charset=utf-8"),
        "/redoc": (_REDOC, b"text/html; charset=utf-8"),
    }
    made = [Endpoint("GET", "/openapi.json", openapi, Access.OPEN, hidden=True)]
    made += [_static(path, body, media_type) for path, (body, media_type) in pages.items()]
    made += [_asset(path, media_type) for path, media_type in _ASSETS.items()]
    return made


def _static(path: str, body: bytes, media_type: bytes) -> Endpoint:
    async def page(_request: Request) -> Response:
        return Json(body, headers=((b"content-security-policy", POLICY),), media_type=media_type)

    return Endpoint("GET", path, page, Access.OPEN, hidden=True)


def _asset(path: str, media_type: bytes) -> Endpoint:
    @cache
    def content() -> bytes:
        return (_asset_folder() / path.rsplit("/", 1)[-1]).read_bytes()

    async def asset(_request: Request) -> Response:
        return Json(content(), media_type=media_type)

    return Endpoint("GET", path, asset, Access.OPEN, hidden=True)


def _asset_folder() -> Path:
    """The files of `fastapi-offline`; the package itself, which would import FastAPI, is not imported."""
    spec = find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("fastapi_offline")
    return Path(spec.origin).parent / "static"
