"""The command line: parse, call, print.

Each module of this package registers its commands; nothing heavy is imported before a command runs, so that
`matinee --help` answers at once.
"""

import os
import shutil
import sys
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer

from matinee import __version__
from matinee.core import background
from matinee.core.errors import MatineeError

_COMMAND_MODULES: tuple[str, ...] = (
    "serve",
    "rollout",
    "predict",
    "score",
    "train",
    "tune",
    "verify",
    "models",
    "easter",
)  # each module of this package that has a register(app)

app = typer.Typer(
    name="matinee",
    help="Serve a text classifier straight from a model registry, and keep answering with the current version.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:  # noqa: FBT001 - the signature Typer wants
    if value:
        typer.echo(f"matinee {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


for _name in _COMMAND_MODULES:
    import_module(f"matinee.cli.{_name}").register(app)


def main() -> None:
    """Run the command line; an expected error is one sentence on stderr and its own exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what a terminal has no characters for is no reason to say nothing
            stream.reconfigure(errors="backslashreplace")
    _leave(_status())


def _status() -> int:
    try:
        app()
    except MatineeError as error:
        return _fail(error.message, error.exit_code)
    except OSError as error:
        return _fail(_explained(error), MatineeError.exit_code)
    except SystemExit as done:  # what the app always ends with
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    return 0


def _fail(sentence: str, code: int) -> int:
    typer.echo(f"Error: {sentence}", err=True)
    return code


def _leave(status: int) -> NoReturn:
    """End the process, at once where a model is still being loaded.

    Python stops such a thread when it comes back from C++, and C++ takes that for a crash: the process would abort.
    """
    if background.left_behind():
        with suppress(OSError):  # nobody reads any more
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _explained(error: OSError) -> str:
    """Which file it was, and what the system says of it: a full disk, a folder that may not be written to."""
    if isinstance(error, shutil.Error):  # of a whole folder: a list with what became of each file
        return str(error.args[0][0][2])
    words = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {words}" if error.filename else words
