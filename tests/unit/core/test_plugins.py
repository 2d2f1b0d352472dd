"""Tables import what is asked for, and say what to install when they cannot."""

import json

import pytest

from matinee.core.errors import MissingExtra
from matinee.core.plugins import Builtin, Table, UnknownPlugin

TABLE: Table[object] = Table(
    "matinee.nothing",
    {
        "json": Builtin("json:loads"),
        "absent": Builtin("a_package_that_is_not_there.module:thing", extra="absent"),
        "broken": Builtin("matinee.no_such_module:thing", extra="broken"),
    },
)


def test_a_built_in_is_imported_when_asked_for() -> None:
    """The target string names a module and an attribute."""
    assert TABLE.get("json") is json.loads


def test_an_unknown_name_lists_the_known_ones() -> None:
    """The error helps a person who mistyped."""
    with pytest.raises(UnknownPlugin, match="absent, broken, json"):
        TABLE.get("jsno")


def test_a_missing_library_names_the_extra() -> None:
    """What to type is part of the message."""
    with pytest.raises(MissingExtra, match=r"pip install 'matinee\[absent\]'"):
        TABLE.get("absent")


def test_a_missing_module_of_ours_is_not_blamed_on_an_extra() -> None:
    """A fault in the package itself is shown as what it is."""
    with pytest.raises(ModuleNotFoundError):
        TABLE.get("broken")
