"""`matinee serve`: answer over HTTP until told to stop."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    model: Annotated[str | None, typer.Option(help="Reference of the model; default: the setting MODEL.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; default: the setting HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one; default: the setting PORT.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes; default: the setting WORKERS.")] = None,
    log_format: Annotated[str | None, typer.Option(help="auto, pretty or json.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Answer over HTTP until told to stop.

    All other settings come from the environment, .env and matinee.toml; see docs/reference/settings.md.
    """
    from matinee.api.server import bind
    from matinee.cli.announcing import announce, log_style
    from matinee.settings import load_settings

    settings = load_settings(
        {
            "model": model,
            "host": host,
            "port": port,
            "workers": workers,
            "log_format": log_format,
            "log_level": log_level,
        }
    )
    sock = bind(settings.host, settings.port)

    def ready() -> None:
        announce(sock, settings.references(), log_style(settings.log_format))

    if settings.workers > 1:
        from matinee.cli.workers import supervise

        raise typer.Exit(supervise(settings, sock, ready))
    from matinee.api.siblings import Alone
    from matinee.cli.process import run_server

    run_server(settings, sock, Alone(ready))
