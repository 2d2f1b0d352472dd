"""One server process: logging, application, server, and the line that says it is ready."""

import socket
from collections.abc import Callable

from matinee.api.guard import ConnectionLimits
from matinee.api.lifecycle import Lifecycle
from matinee.api.server import Server, ServerOptions
from matinee.api.siblings import Siblings
from matinee.app import create_app
from matinee.cli.announcing import log_style
from matinee.monitor import LogOptions, configure_logging
from matinee.settings import Settings


def run_server(
    settings: Settings, sock: socket.socket, siblings: Siblings, beat: Callable[[], None] = lambda: None
) -> None:
    """Serve on `sock` until told to stop; raises the `MatineeError` that keeps the first model from loading."""
    configure_logging(
        LogOptions(
            style=log_style(settings.log_format),
            level="debug" if settings.debug else settings.log_level,
            secrets=settings.secrets(),
        )
    )
    lifecycle = Lifecycle()
    app = create_app(settings, lifecycle, siblings)
    Server(app, lifecycle, server_options(settings), beat).run(sockets=[sock])
    if lifecycle.failure is not None:
        raise lifecycle.failure


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
