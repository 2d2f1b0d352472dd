"""Calls the service the way its users do, with golden reviews whose answers are known."""

import http.client
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from deploy.release.errors import InvalidConfig

_SECONDS = 10.0


class Golden(NamedTuple):
    """A review and the label that every model worth releasing gives it."""

    text: str
    label: str


class Answer(NamedTuple):
    """One exchange: status 0 means that no answer came; `body` is the parsed JSON, or None."""

    status: int
    seconds: float
    body: Any


def load_golden(path: Path) -> list[Golden]:
    """Read `[{"text": …, "label": …}, …]`; raises `InvalidConfig`."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        golden = [Golden(str(entry["text"]), str(entry["label"])) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidConfig([f"{path}: must be a JSON list of objects with text and label"]) from None
    if not golden:
        raise InvalidConfig([f"{path}: needs at least one golden review"])
    return golden


class Caller:
    """An HTTP client for one service, public or not.

    `identity` gives the token of whoever releases; it is asked once, when the service first answers 401 or 403.
    """

    def __init__(self, identity: Callable[[], str], timeout: float = _SECONDS) -> None:
        self._identity = identity
        self._timeout = timeout
        self._token: str | None = None

    def get(self, url: str) -> Answer:
        """GET and parse the JSON answer."""
        return self._ask("GET", url, None)

    def predict(self, base: str, texts: Sequence[str]) -> Answer:
        """POST /predict with a list of texts."""
        return self._ask("POST", f"{base}/predict", json.dumps({"texts": list(texts)}).encode())

    def _ask(self, method: str, url: str, body: bytes | None) -> Answer:
        answer = self._exchange(method, url, body)
        if answer.status in (401, 403) and self._token is None:
            self._token = self._identity()
            answer = self._exchange(method, url, body)
        return answer

    def _exchange(self, method: str, url: str, body: bytes | None) -> Answer:
        parts = urlsplit(url)
        # RFC 6761: names under .localhost are loopback, also where the resolver has not heard of it.
        host = "127.0.0.1" if (parts.hostname or "").endswith(".localhost") else parts.hostname or ""
        connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = connect(host, parts.port, timeout=self._timeout)
        headers = {"Host": parts.netloc, "User-Agent": "matinee-release", "Accept": "application/json"}
        headers |= {"Content-Type": "application/json"} if body is not None else {}
        headers |= {"Authorization": f"Bearer {self._token}"} if self._token else {}
        started = time.monotonic()
        try:
            connection.request(method, parts.path or "/", body, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            return Answer(0, time.monotonic() - started, None)
        finally:
            connection.close()
        seconds = time.monotonic() - started
        try:
            return Answer(response.status, seconds, json.loads(content))
        except ValueError:
            return Answer(response.status, seconds, None)


def complaints(answer: Answer, golden: Sequence[Golden], version: str = "") -> list[str]:
    """What is wrong with the answer to the golden reviews; empty when all is as expected."""
    if answer.status != 200:
        return [f"POST /predict answered {answer.status or 'nothing'}"]
    try:
        labels = [str(prediction["label"]) for prediction in answer.body["predictions"]]
        served = str(answer.body["model"]["version"])
    except (KeyError, TypeError):
        return ["POST /predict answered something else than predictions and a model"]
    found = []
    if len(labels) != len(golden):
        found.append(f"POST /predict answered {len(labels)} of {len(golden)} golden reviews")
    for position, (label, wanted) in enumerate(zip(labels, golden, strict=False)):
        if label != wanted.label:
            found.append(f"golden review {position} is {wanted.label}, and the answer was {label}")
    if version and served != version:
        found.append(f"the model should be version {version}, and the answer came from {served}")
    return found
