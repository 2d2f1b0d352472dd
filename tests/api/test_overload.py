"""Too many, too slow, gone, or poisoned: each request bears its own fate, and probes answer meanwhile."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import classifier as fake
from tests.fakes.listening import listening
from tests.fakes.processes import until
from tests.fakes.serving import write_bundle

from matinee.api.guard import ConnectionLimits
from matinee.api.lifecycle import Lifecycle
from matinee.app import create_app
from matinee.settings import load_settings

QUEUE = 8
PATIENCE = 30.0


@dataclass
class Theatre:
    """A listening application, the classifier inside, and the answers that came so far."""

    address: tuple[str, int]
    model: fake.ObedientClassifier
    answers: list[tuple[int, dict[str, str], Any]] = field(default_factory=list)
    callers: list[threading.Thread] = field(default_factory=list)

    def call(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, str], Any]:
        """One request on a connection of its own."""
        connection = HTTPConnection(*self.address, timeout=PATIENCE)
        with contextlib.closing(connection):
            payload = None if body is None else json.dumps(body).encode()
            connection.request(method, path, payload, {"content-type": "application/json"})
            response = connection.getresponse()
            content = response.read()
            return response.status, dict(response.getheaders()), json.loads(content) if content[:1] == b"{" else content

    def ask(self, text: str) -> None:
        """Ask in a thread; the answer goes to `answers`."""

        def run() -> None:
            self.answers.append(self.call("POST", "/predict", {"text": text}))

        self.callers.append(threading.Thread(target=run))
        self.callers[-1].start()

    def queued(self) -> int:
        """How many texts wait or run."""
        return int(self.call("GET", "/models")[2]["models"][0]["queued"])

    def everybody(self) -> list[int]:
        """The statuses of all answers, once all are there."""
        for caller in self.callers:
            caller.join(PATIENCE)
        return sorted(status for status, _, _ in self.answers)


@contextlib.contextmanager
def theatre(folder: Path, **environ: str) -> Iterator[Theatre]:
    """The application with a short queue."""
    fake.know_obedient()
    made: list[fake.ObedientClassifier] = fake.MADE
    made.clear()
    settings = {"MODEL": str(write_bundle(folder / "obedient")), "CACHE_DIR": str(folder / "cache")}
    settings |= {"QUEUE_TEXTS": str(QUEUE), "MAX_TEXTS": "4", "POLL_SECONDS": "0", "ANSWER_CACHE": "0"} | environ
    lifecycle = Lifecycle()
    app = create_app(load_settings(environ=settings, folder=folder), lifecycle)
    with listening(app, ConnectionLimits(), lifecycle) as address:
        until(lambda: lifecycle.started)
        place = Theatre(address, made[-1])
        try:
            yield place
        finally:
            place.model.release.set()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Theatre]:
    """With a deadline that no test reaches."""
    with theatre(tmp_path) as place:
        yield place


def test_the_queue_bound_is_exact(place: Theatre) -> None:
    """Of N + k requests, exactly k are refused, with a word on when to come again; N are answered."""
    for number in range(QUEUE):
        place.ask(f"slow {number}")
    until(lambda: place.queued() == QUEUE)

    refused = [place.call("POST", "/predict", {"text": f"good {number}"}) for number in range(5)]
    probes = [place.call("GET", path)[0] for path in ("/livez", "/readyz", "/startupz", "/metrics")]
    place.model.release.set()

    assert [status for status, _, _ in refused] == [429] * 5
    assert all(int(headers["retry-after"]) >= 1 for _, headers, _ in refused)
    assert {document["code"] for _, _, document in refused} == {"overloaded"}
    assert probes == [200] * 4
    assert place.everybody() == [200] * QUEUE
    assert place.queued() == 0


def test_a_client_that_leaves_frees_its_place(place: Theatre) -> None:
    """What nobody waits for is not computed."""
    place.ask("slow first")
    until(lambda: "slow first" in place.model.ran)
    gone = socket.create_connection(place.address)
    body = b'{"text": "nobody waits for this"}'
    gone.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n")
    gone.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    until(lambda: place.queued() == 2)
    gone.close()
    until(lambda: place.queued() == 1)
    place.ask("good second")
    place.model.release.set()

    assert place.everybody() == [200, 200]
    assert "nobody waits for this" not in place.model.ran


def test_a_poisoned_text_fails_alone(place: Theatre) -> None:
    """Its neighbours in the batch are answered, and are right."""
    place.ask("slow first")
    until(lambda: "slow first" in place.model.ran)
    for number in range(3):
        place.ask(f"good {number}")
    place.ask("fail")
    until(lambda: place.queued() == 5)
    place.model.release.set()

    assert place.everybody() == [200, 200, 200, 200, 500]
    (problem,) = [document for status, _, document in place.answers if status == 500]
    assert problem["code"] == "model_failed"
    assert "said so" not in str(problem)
    labels = [document["predictions"][0]["label"] for status, _, document in place.answers if status == 200]
    assert labels.count("positive") == 3


def test_a_model_that_answers_too_few_rows_is_an_error_of_ours(place: Theatre) -> None:
    """Nobody gets somebody else's answer."""
    status, _, document = place.call("POST", "/predict", {"texts": ["short good", "bad"]})

    assert (status, document["code"]) == (500, "model_failed")


def test_an_answer_that_would_come_too_late_is_given_up(tmp_path: Path) -> None:
    """With a 504 at the deadline; what has not begun by then is never computed."""
    with theatre(tmp_path, DEADLINE_SECONDS="0.3") as place:
        place.ask("slow first")
        until(lambda: "slow first" in place.model.ran)
        status, _, document = place.call("POST", "/predict", {"text": "good second"})
        place.model.release.set()
        until(lambda: place.queued() == 0)
        answered = place.call("POST", "/predict", {"text": "good third"})[0]

    assert (status, document["code"]) == (504, "deadline_exceeded")
    assert answered == 200
    assert "good second" not in place.model.ran
    assert place.everybody() == [504]
