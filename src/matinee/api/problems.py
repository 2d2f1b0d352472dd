"""Errors as `application/problem+json` (RFC 9457): a stable `code`, at most 1 KiB, and nothing that was sent."""

import json
from collections.abc import Iterable
from http import HTTPStatus

from matinee.api.answers import Json
from matinee.core.errors import InvalidRequest, MatineeError, Refused, Unauthorized

MEDIA_TYPE = b"application/problem+json"
MAX_DETAIL = 600


def problem_body(status: int, code: str, detail: str, *, field: str = "", request_id: str = "") -> bytes:
    """The JSON of a problem document; `detail` is cut so that the whole stays below 1 KiB in plain ASCII."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "code": code}
    escaped = json.dumps(detail)[1:-1]
    if len(escaped) > MAX_DETAIL:
        # cut before an escape sequence, never inside one
        detail = json.loads(f'"{escaped[:MAX_DETAIL].rsplit(chr(92), 1)[0]}"') + "..."
    document["detail"] = detail
    if field:
        document["field"] = field
    if request_id:
        document["request_id"] = request_id
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    field: str = "",
    request_id: str = "",
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> Json:
    """A problem document as a response."""
    body = problem_body(status, code, detail, field=field, request_id=request_id)
    return Json(body, status, headers, media_type=MEDIA_TYPE)


def from_error(error: MatineeError, request_id: str) -> Json:
    """The response that an error's class stands for."""
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, Refused):
        headers.append((b"retry-after", str(error.retry_after).encode()))
    if isinstance(error, Unauthorized):
        headers.append((b"www-authenticate", b"Bearer"))
    field = error.field if isinstance(error, InvalidRequest) else ""
    return problem(error.status, error.code, error.message, field=field, request_id=request_id, headers=headers)
