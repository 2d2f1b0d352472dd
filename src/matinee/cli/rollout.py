"""`matinee watch` shows what a server answers with, live; `matinee rollback` takes its last change back."""

import json
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlsplit

import typer

from matinee.core.errors import InvalidSettings, MatineeError

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

Url = Annotated[str, typer.Option("--url", help="Address of the server.")]
SERVER = "http://localhost:8080"
LONGEST_ANSWER = 8 * 1024 * 1024


class ServerAway(MatineeError):
    """The server at the address does not answer, or is something else."""

    status = 503
    code = "server_away"


class ServerRefused(MatineeError):
    """The server answers with a problem."""

    code = "server_refused"


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command()(watch)
    app.command()(rollback)


def watch(
    url: Url = SERVER,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON for each look.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Look once and stop.")] = False,
) -> None:
    """Show which versions a running server answers with, what it is looking at, and what it refused and why."""
    server = Server(url)
    try:
        if as_json or once:
            _print(server, as_json=as_json)
            while not once:
                time.sleep(every)
                _print(server, as_json=as_json)
        else:
            _show(server, every)
    except KeyboardInterrupt:
        return


def rollback(
    name: Annotated[str | None, typer.Argument(help="Deployment; default: the server's first one.")] = None,
    url: Url = SERVER,
    as_json: Annotated[bool, typer.Option("--json", help="Print the deployment's state as JSON.")] = False,
) -> None:
    """Let a running server answer with the version before; its key is read from the setting ADMIN_KEY."""
    server = Server(url)
    if name is None:
        name = str(server.models()[0]["name"])
    began = time.perf_counter()
    model = server.call("POST", f"/models/{quote(name, safe='')}/rollback", "model")
    milliseconds = (time.perf_counter() - began) * 1000
    if as_json:
        typer.echo(json.dumps({"model": model}))
    else:
        live = model["live"]
        typer.echo(f"{name} answers with {live['version']} again (after {milliseconds:.0f} ms)")


def table(models: list[Mapping[str, Any]], now: float) -> "Group":
    """The deployments as people see them; times are relative to `now`, in seconds since the epoch."""
    from rich.console import Group
    from rich.table import Table

    shown = Table(title=f"matinee, {time.strftime('%H:%M:%S', time.localtime(now))}", expand=True)
    for column in ("model", "answers", "since", "before it", "registry"):
        shown.add_column(column, overflow="ellipsis", no_wrap=True)
    shown.add_column("reference", overflow="ellipsis", no_wrap=True, ratio=1)  # it gives way first
    for model in models:
        shown.add_row(*(_plain(cell) for cell in _cells(model, now)))
    return Group(shown, *(_plain(f"{model['name']}: {news}") for model in models if (news := _news(model, now))))


def _plain(words: str) -> "Text":
    """Words without markup, whatever a registry calls its versions."""
    from rich.text import Text

    return Text("".join(character for character in words if character.isprintable()))


def _cells(model: Mapping[str, Any], now: float) -> tuple[str, ...]:
    live, previous, poll = model["live"], model["previous"], model["poll"]
    answers = f"{live['version']}{' (stale)' if live['stale'] else ''}" if live else "nothing yet"
    asked = f"{poll['outcome']}, {age(now - poll['at'])} ago" if poll["at"] else "not asked yet"
    if not model["following"]:
        asked = "not followed"
    since = age(now - live["since"]) if live else ""
    return (model["name"], answers, since, previous["version"] if previous else "", asked, model["reference"])


def _news(model: Mapping[str, Any], now: float) -> str:
    """What is going on, or what went wrong since the present version answers."""
    if model["candidate"]:
        return f"{model['candidate']['version']} is looked at: {model['candidate']['stage']}"
    if model["error"] or model["poll"]["reason"]:
        return str(model["error"] or model["poll"]["reason"])
    refused, live = model["refused"], model["live"]
    if refused and (live is None or refused["at"] >= live["since"]):
        reasons = "; ".join(refused["reasons"])
        return f"{refused['version']} was refused {age(now - refused['at'])} ago ({refused['stage']}): {reasons}"
    return ""


def age(seconds: float) -> str:
    """`42 s`, `7 min`, `3 h`, `12 d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _show(server: "Server", every: float) -> None:
    from rich.live import Live

    with Live(table(server.models(), time.time()), screen=sys.stdout.isatty(), auto_refresh=False) as screen:
        while True:
            time.sleep(every)
            screen.update(_looked(server), refresh=True)


def _looked(server: "Server") -> Any:
    """The table, or why there is none at the moment; a server that restarts is waited for."""
    try:
        return table(server.models(), time.time())
    except ServerAway as error:
        return _plain(error.message)


def _print(server: "Server", *, as_json: bool) -> None:
    models = server.models()
    if as_json:
        typer.echo(json.dumps({"at": time.time(), "models": models}))
        return
    from rich.console import Console

    Console().print(table(models, time.time()))


class Server:
    """A running server, asked with the key that the settings name (`ADMIN_KEY`), where there is one."""

    def __init__(self, url: str) -> None:
        from matinee.settings import load_settings

        try:
            host = urlsplit(url).hostname
        except ValueError:
            host = None
        if not host or not url.startswith(("http://", "https://")):
            raise InvalidSettings([f"--url: {url} must look like http://host:port or https://host"])
        key = load_settings().admin_key
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}

    def models(self) -> list[Mapping[str, Any]]:
        """The state of every deployment."""
        models: list[Mapping[str, Any]] = self.call("GET", "/models", "models")
        return models

    def call(self, method: str, path: str, wanted: str) -> Any:
        """The field `wanted` of the answer; raises `ServerAway`, and `ServerRefused` with the server's own words."""
        from http.client import HTTPException
        from urllib.error import HTTPError, URLError
        from urllib.request import Request, urlopen

        asked = Request(self._url + path, method=method, headers=self._headers)  # noqa: S310 - http or https, see above
        try:
            with urlopen(asked, timeout=60) as answer:  # noqa: S310
                return json.loads(answer.read(LONGEST_ANSWER))[wanted]
        except HTTPError as error:
            words = _detail(error.read(LONGEST_ANSWER))
            raise ServerRefused(words or f"{self._url} answers {error.code}") from None
        except (URLError, OSError, HTTPException) as error:
            raise ServerAway(f"no server answers at {self._url}: {getattr(error, 'reason', error)}") from None
        except (ValueError, LookupError, TypeError):
            raise ServerAway(f"what answers at {self._url} is not matinee") from None


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, LookupError, TypeError):
        return ""
