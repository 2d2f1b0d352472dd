"""The symbols that stand for what a pickle refers to and makes, and what can be told of them."""

from dataclasses import dataclass, field
from typing import Any

from matinee.verify.report import Broken

# Names that moved: Python 2's builtins, which protocols 0 to 2 still write, and NumPy 1's inner modules.
_MOVED = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_KEPT_ITEMS = 24  # a node of a tree has eight fields, the wrapper of an array six
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that the pickle refers to."""

    module: str
    name: str

    @property
    def dotted(self) -> str:
        """`module.name`."""
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Made:
    """What calling `name` with `arguments` would give; `how` is the opcode that would call it."""

    name: Name
    arguments: tuple[Any, ...]
    how: str
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Items:
    """A dictionary; its items are kept while they are few and their keys are strings."""

    kept: dict[str, Any] = field(default_factory=dict)
    complete: bool = True

    def add(self, key: object, value: object) -> None:
        """Keep one item, or note that not all were kept."""
        if isinstance(key, str) and len(self.kept) < _KEPT_ITEMS:
            self.kept[key] = value
        else:
            self.complete = False


class Nested(tuple[Any, ...]):
    """A tuple with tuples inside, `depth` of them one in another."""

    depth = 1


def nested(items: list[Any]) -> tuple[Any, ...]:
    """The tuple of `items`; raises `Broken` for one that takes longer to walk than any model's."""
    depth = 1 + max((getattr(item, "depth", 1) for item in items if isinstance(item, tuple)), default=0)
    if depth > _MAX_DEPTH:
        raise Broken("nests tuples deeper than any model does")
    if depth == 1:
        return tuple(items)
    made = Nested(items)
    made.depth = depth
    return made


def canonical(module: str, name: str) -> Name:
    """The name as it is today; a loader has to translate in the same way."""
    if module.startswith("numpy.core."):
        module = "numpy._core." + module.removeprefix("numpy.core.")
    return Name(_MOVED.get(module, module), name)


def item_size(dtype: object) -> int:
    """Bytes for each item of an array; raises `Broken` for what is not a plain type."""
    code = _code(dtype)
    kind, digits = code[:1], code[1:]
    if kind not in "biufcSUVMm" or not digits.isdecimal() or len(digits) > 9:
        raise Broken("has an array whose type is not plain")
    return int(digits) * (4 if kind == "U" else 1)


def holds_objects(dtype: object, depth: int = 0) -> bool:
    """Whether items of this type, or one of its fields, are Python objects; fields of fields are no plain type."""
    if _code(dtype).startswith("O"):
        return True
    state = dtype.state.get("state", ()) if isinstance(dtype, Made) else ()
    fields = [part for part in state if isinstance(part, Items)]
    if depth > 1 or any(not part.complete for part in fields):
        raise Broken("has an array whose type is not plain")
    described = [value for part in fields for value in part.kept.values()]
    if any(not isinstance(value, tuple) or not value for value in described):
        raise Broken("has an array whose type is not plain")
    return any(holds_objects(value[0], depth + 1) for value in described)


def _code(dtype: object) -> str:
    """NumPy's word for a type, such as `f8`, without the byte order."""
    code = dtype.arguments[0] if isinstance(dtype, Made) and dtype.arguments else None
    if not isinstance(dtype, Made) or dtype.name.dotted != "numpy.dtype" or not isinstance(code, str) or not code:
        raise Broken("has an array whose type is not plain")
    return code.lstrip("<>=|")
