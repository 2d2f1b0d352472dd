"""One server process: logging, application, server, and the line that says it is ready."""

import socket
import sys
from collections.abc import Callable

from matinee.api.guard import ConnectionLimits
from matinee.api.lifecycle import Lifecycle
from matinee.api.server import Server, ServerOptions
from matinee.app import create_app
from matinee.monitor import LogOptions, configure_logging
from matinee.settings import Settings


def run_server(settings: Settings, sock: socket.socket, on_started: Callable[[], None] = lambda: None) -> None:
    """Serve on `sock` until told to stop; raises the `MatineeError` that keeps the first model from loading."""
    configure_logging(
        LogOptions(
            style=log_style(settings),
            level="debug" if settings.debug else settings.log_level,
            secrets=settings.secrets(),
        )
    )
    lifecycle = Lifecycle()
    app = create_app(settings, lifecycle, on_started)
    Server(app, lifecycle, server_options(settings)).run(sockets=[sock])
    if lifecycle.failure is not None:
        raise lifecycle.failure


def announce(settings: Settings, sock: socket.socket) -> None:
    """Say where to find us: a sentence for people, a log line for programs."""
    host, port = sock.getsockname()[:2]
    shown = "localhost" if host in ("0.0.0.0", "::", "127.0.0.1", "::1") else host  # noqa: S104 - compared, not bound
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
    if log_style(settings) == "pretty":
        names = ", ".join(settings.references())
        sys.stderr.write(f"Now showing {names} at {address} (Ctrl-C to stop)\n")
    else:
        import structlog

        structlog.get_logger("matinee").info("ready", address=address, models=list(settings.references()))


def log_style(settings: Settings) -> str:
    """`auto` is pretty where a person looks on."""
    if settings.log_format == "auto":
        return "pretty" if sys.stderr.isatty() else "json"
    return settings.log_format


def server_options(settings: Settings) -> ServerOptions:
    """The server's part of the settings."""
    connection = ConnectionLimits(
        header_seconds=settings.header_seconds,
        body_seconds=settings.body_seconds,
        unread_seconds=settings.unread_seconds,
        keep_alive_seconds=settings.keep_alive_seconds,
        body_bytes=settings.max_body_bytes,
    )
    return ServerOptions(connection, settings.drain_seconds, settings.shutdown_seconds)
