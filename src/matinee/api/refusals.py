"""Answers to what cannot be read as a request; they are written without the application."""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from matinee.api.problems import MEDIA_TYPE, problem_body


class Refusal(Exception):
    """The request cannot be read; raised inside the parser's callbacks, which hand it on as a parser error."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code


NOT_HTTP = Refusal(400, "bad_request", "the request is not valid HTTP/1.1")


def too_long_head() -> Refusal:
    """The request line and headers exceed a limit."""
    return Refusal(431, "headers_too_large", "the request line and headers are too long or too many")


def too_long_body(most: int) -> Refusal:
    """The body is longer than `most` bytes."""
    return Refusal(413, "body_too_large", f"body: is longer than {most} bytes")


def raw_problem(refusal: Refusal) -> bytes:
    """A whole HTTP response, after which the connection ends; it carries no request id."""
    body = problem_body(refusal.status, refusal.code, str(refusal))
    head = b"content-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (MEDIA_TYPE, len(body))
    return STATUS_LINE[refusal.status] + head + body
