"""Named tables of implementations: built-ins first, then installed entry points, imported when first asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar, cast

from matinee.core.errors import MatineeError, MissingExtra

T = TypeVar("T")


class UnknownPlugin(MatineeError):
    """A name that neither the built-in table nor an installed package knows."""

    status = 422
    code = "unknown_plugin"
    exit_code = 2


@dataclass(frozen=True, slots=True)
class Builtin:
    """Where a built-in lives (`module:attribute`) and which extra brings the libraries that it imports."""

    target: str
    extra: str | None = None


class Table(Generic[T]):
    """A name-to-implementation table; a plugin cannot replace a built-in.

    `group` is the entry-point group that packages register under, such as `matinee.flavors`.
    """

    def __init__(self, group: str, builtins: Mapping[str, Builtin]) -> None:
        self.group = group
        self._builtins = dict(builtins)

    def names(self) -> list[str]:
        """Every known name, sorted; nothing is imported."""
        return sorted({*self._builtins, *(point.name for point in entry_points(group=self.group))})

    def get(self, name: str) -> T:
        """Import and return the implementation called `name`.

        Raises `UnknownPlugin` for an unknown name and `MissingExtra` when its optional libraries are absent.
        """
        if builtin := self._builtins.get(name):
            return self._import(name, builtin)
        for point in entry_points(group=self.group, name=name):
            return cast("T", point.load())
        raise UnknownPlugin(f"no {self.group} named {name!r}; known: {', '.join(self.names())}")

    def _import(self, name: str, builtin: Builtin) -> T:
        module, _, attribute = builtin.target.partition(":")
        try:
            return cast("T", getattr(import_module(module), attribute))
        except ModuleNotFoundError as error:
            if builtin.extra is None or (error.name or "").startswith("matinee"):
                raise
            raise MissingExtra(name, builtin.extra) from error
