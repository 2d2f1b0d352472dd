"""`matinee watch` and `matinee rollback` against a server that only talks."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from matinee.cli.rollout import ServerAway, ServerRefused, age, register, table
from matinee.core.errors import InvalidSettings

POLL = {"outcome": "same", "at": 990.0, "seconds": 0.1, "reason": "", "stale_seconds": 0.0}
LIVE = {"version": "v7", "stale": False, "since": 400.0}
MODEL: dict[str, Any] = {
    "name": "films", "reference": "wandb:team/films/model:production", "following": True, "live": LIVE,
    "previous": {"version": "v6"}, "candidate": None, "refused": None, "poll": POLL, "error": "",
}  # fmt: skip


class Talker(BaseHTTPRequestHandler):
    """Answers what the test put there: path -> status and document; remembers who asked how."""

    answers: ClassVar[dict[str, tuple[int, Any]]] = {}
    asked: ClassVar[list[tuple[str, str, str]]] = []

    def do_GET(self) -> None:
        """Any path."""
        self.asked.append((self.command, self.path, self.headers.get("Authorization", "")))
        status, document = self.answers[self.path]
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Like any other."""
        self.do_GET()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        """Silence."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server with one deployment."""
    monkeypatch.setenv("ADMIN_KEY", "canary-administrator")
    Talker.answers = {"/models": (200, {"models": [MODEL]})}
    Talker.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Talker)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(*arguments: str) -> Any:
    """Run the command line; what it raised is in the result."""
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, arguments)


def drawn(model: dict[str, Any]) -> str:
    """The table of one deployment at second 1000."""
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table([model], 1000.0))
    return capture.get()


def test_watch_shows_what_answers_and_what_was_before(url: str) -> None:
    """One look, for people and for programs."""
    result = run("watch", "--once", "--url", url)
    assert result.exit_code == 0
    assert "v7" in result.stdout
    document = json.loads(run("watch", "--once", "--json", "--url", url).stdout)
    assert document["models"] == [MODEL]


def test_the_table_tells_the_news() -> None:
    """What is looked at, what was refused, what the registry says, and that a version is stale."""
    assert "10 min" in drawn(MODEL)
    assert "same, 10 s ago" in drawn(MODEL)
    assert "not followed" in drawn({**MODEL, "following": False})
    assert "nothing yet" in drawn({**MODEL, "live": None})
    assert "v7 (stale)" in drawn({**MODEL, "live": {**LIVE, "stale": True}})
    assert "films: v8 is looked at: gate" in drawn({**MODEL, "candidate": {"version": "v8", "stage": "gate"}})
    refused = {"version": "v8", "stage": "gate", "at": 970.0, "reasons": ["too slow", "[bold]flips\x1b[31m"]}
    assert "films: v8 was refused 30 s ago (gate): too slow; [bold]flips[31m" in drawn({**MODEL, "refused": refused})
    assert "refused" not in drawn({**MODEL, "refused": {**refused, "at": 399.0}}), "another version came since"
    assert "films: away" in drawn({**MODEL, "poll": {**POLL, "reason": "away"}})


def test_rollback_asks_for_the_first_deployment_with_the_key(url: str) -> None:
    """The name may be left out; what answers now is told."""
    Talker.answers["/models/films/rollback"] = (200, {"model": {**MODEL, "live": {**LIVE, "version": "v6"}}})
    result = run("rollback", "--url", url)
    assert "films answers with v6 again" in result.stdout
    assert Talker.asked[-1] == ("POST", "/models/films/rollback", "Bearer canary-administrator")


def test_what_the_server_refuses_is_told_in_its_own_words(url: str) -> None:
    """A problem document's detail, or at least the status."""
    Talker.answers["/models/films/rollback"] = (409, {"detail": "there is no earlier version to go back to"})
    error = run("rollback", "films", "--url", url).exception
    assert isinstance(error, ServerRefused)
    assert error.message == "there is no earlier version to go back to"
    Talker.answers["/models"] = (502, ["a proxy's page"])
    assert "answers 502" in str(run("watch", "--once", "--url", url).exception)


@pytest.mark.parametrize("document", [[], {"detail": "another program"}, 7])
def test_another_program_is_not_taken_for_matinee(url: str, document: object) -> None:
    """It answers with JSON, and with something else in it."""
    Talker.answers["/models"] = (200, document)
    assert "is not matinee" in str(run("watch", "--once", "--url", url).exception)


def test_a_name_is_one_part_of_the_address(url: str) -> None:
    """Whatever somebody types."""
    Talker.answers["/models/a%20b%2Fc/rollback"] = (404, {"detail": "no model is called that"})
    assert "no model" in str(run("rollback", "a b/c", "--url", url).exception)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://127.0.0.1:port", "http://no such host"])
def test_without_a_server_there_is_one_sentence(address: str) -> None:
    """Nobody listens, or nobody can."""
    assert isinstance(run("watch", "--once", "--url", address).exception, ServerAway)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "localhost:8080", "http://", "http://[::1"])
def test_what_is_no_address_names_the_option(address: str) -> None:
    """As wrong usage; an IPv6 address without its bracket was a traceback."""
    refused = run("watch", "--once", "--url", address).exception
    assert isinstance(refused, InvalidSettings)
    assert "--url" in refused.message


def test_ages_are_short() -> None:
    """One number and one unit."""
    assert [age(seconds) for seconds in (-1, 42, 119, 120, 7300, 200_000)] == [
        "0 s", "42 s", "119 s", "2 min", "2 h", "2 d",
    ]  # fmt: skip
