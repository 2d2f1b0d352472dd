"""The reference of errors knows every error that a caller can meet."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from matinee.core.errors import MatineeError

ROOT = Path(__file__).parents[2]
# Written by the protocol and the edge, without a class of their own.
WITHOUT_CLASS = {
    ("bad_request", 400),
    ("not_found", 404),
    ("method_not_allowed", 405),
    ("request_timeout", 408),
    ("headers_too_large", 431),
}
MODULES = ("matinee.core.errors", "matinee.core.plugins", "matinee.api.server")


def all_errors(base: type[MatineeError] = MatineeError) -> Iterator[type[MatineeError]]:
    """Every class of error in `MODULES`; those of other modules end a command, not a request."""
    yield base
    for child in base.__subclasses__():
        if child.__module__ in MODULES:
            yield from all_errors(child)


def test_the_reference_lists_every_code() -> None:
    """With its status, and none that does not exist."""
    for module in MODULES:
        import_module(module)
    text = (ROOT / "docs/reference/errors.md").read_text("utf-8")
    documented = {(code, int(status)) for code, status in re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.MULTILINE)}

    assert documented == {(error.code, error.status) for error in all_errors()} | WITHOUT_CLASS
