"""Follow a pickle without carrying it out: which names does it refer to, and what would it do with them?

The machine reads the same opcodes as Python's `pickle` and joblib's unpickler, with symbols in place of objects, so
nothing is imported and nothing is called. It also passes over the raw arrays that joblib writes between opcodes, which
`pickletools` cannot, and it reads on after a forbidden name, so that one run tells all of them.
"""

from collections.abc import Callable
from math import prod
from sys import getsizeof
from typing import Any, Protocol

from matinee.verify.pickle_opcodes import OPAQUE, Opaque, opcodes, read
from matinee.verify.pickle_symbols import Items, Made, Name, canonical, holds_objects, item_size, nested
from matinee.verify.report import Broken
from matinee.verify.unpacking import Unpacked

_REVIVE = "copyreg._reconstructor"  # how protocols 0 and 1 make an empty object
WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
_WRAPPER_KEYS = {"subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes"}
_MAX_STACK = 2_000_000
# The words of a vocabulary of two million take 150 MB, a thousand trees some 20,000 objects.
_MAX_REMEMBERED_BYTES = 512 * 1024 * 1024
_MAX_OBJECTS = 500_000
_MAX_GAP = 1024  # numbers of remembered things follow each other; Python 2 began at 1
_MARK = object()


class Judge(Protocol):
    """What the machine asks while it follows the pickle; a judge collects its own reasons."""

    def refer(self, name: Name) -> None:
        """The pickle refers to `name`."""

    def call(self, made: Made) -> bool:
        """It would call it; whether the result is only a value, of which nothing need be known."""

    def hash(self, key: object) -> None:
        """It would use `key` in a dictionary or a set."""


def follow(stream: Unpacked, judge: Judge) -> None:
    """Follow the pickle in `stream` to its STOP; raises `Broken` for what is not a complete, ordinary pickle."""
    _Run(stream, judge, nested=False).run()


class _Run:
    """One pickle: its stack and its memory, with one method for each thing that opcodes do."""

    def __init__(self, stream: Unpacked, judge: Judge, *, nested: bool) -> None:
        self.stream = stream
        self.judge = judge
        self.nested = nested
        self.stack: list[Any] = []
        self.memory: list[Any] = []
        self.remembered = 0  # bytes
        self.objects = 0
        self.frame_end = 0

    def run(self) -> None:
        for name, argument in opcodes(self.stream):
            if name == "STOP":
                break
            _ACTIONS[name](self, argument)
            if len(self.stack) > _MAX_STACK:
                raise Broken("stacks more than any model does")
        # A real unpickler drops the rest of a frame: two readers could see two different files.
        if self.frame_end > self.stream.position or len(self.stack) != 1:
            raise Broken("is not a complete pickle")

    def top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise Broken("is not a complete pickle")
        return self.stack[-1]

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        self.top()
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        for position in range(len(self.stack) - 1, -1, -1):
            if self.stack[position] is _MARK:
                items = self.stack[position + 1 :]
                del self.stack[position:]
                return items
        raise Broken("is not a complete pickle")

    def discard(self) -> None:
        """POP takes a mark as well as a value."""
        if not self.stack:
            raise Broken("is not a complete pickle")
        self.stack.pop()

    def start_frame(self, size: int) -> None:
        if self.stream.position < self.frame_end:
            raise Broken("has frames within frames")
        self.frame_end = self.stream.position + size

    def remember(self, key: int | None) -> None:
        value, place = self.top(), len(self.memory) if key is None else key
        if place > len(self.memory) + _MAX_GAP:
            raise Broken("remembers something under a number that no pickle has")
        self.memory += [_MARK] * (place + 1 - len(self.memory))
        self.memory[place] = value
        if isinstance(value, str | bytes | tuple):
            self.remembered += getsizeof(value)
            if self.remembered > _MAX_REMEMBERED_BYTES:
                raise Broken("holds more words than any model")

    def recall(self, key: int) -> None:
        if not 0 <= key < len(self.memory) or self.memory[key] is _MARK:
            raise Broken("refers to something it did not remember")
        self.push(self.memory[key])

    def make(self, value: Made | Items) -> None:
        """Push something of which more is known than that it is there."""
        self.objects += 1
        if self.objects > _MAX_OBJECTS:
            raise Broken("is made of more objects than any model")
        self.push(value)

    def refer(self, pair: tuple[str, str]) -> None:
        name = canonical(*pair)
        self.judge.refer(name)
        self.push(name)

    def refer_to_stacked(self) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise Broken("refers to a name that is not a plain string")
        self.refer((module, name))

    def call(self, how: str) -> None:
        arguments, callee = self.pop(), self.pop()
        if not isinstance(callee, Name) or not isinstance(arguments, tuple):
            raise Broken("calls something that is not a name, or with arguments that are not plain")
        made = Made(callee, arguments, how)
        if callee.dotted == _REVIVE and len(arguments) == 3 and isinstance(arguments[0], Name):
            made = Made(
                arguments[0], () if arguments[1:] == (Name("builtins", "object"), None) else arguments, "NEWOBJ"
            )
        if self.judge.call(made):
            self.push(OPAQUE)
        else:
            self.make(made)

    def build(self) -> None:
        state, made = self.pop(), self.top()
        if not isinstance(made, Made):
            raise Broken("sets the state of something that was not made")
        if isinstance(state, Items):
            made.state.update(state.kept)
        elif isinstance(state, tuple):
            made.state["state"] = state
        if made.name.dotted == WRAPPER:
            self.pass_array(made, complete=isinstance(state, Items) and state.complete)

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_pairs([key, value])

    def set_pairs(self, pairs: list[Any]) -> None:
        target = self.top()
        if len(pairs) % 2 or not isinstance(target, Items | Made):
            raise Broken("sets items of something that is not a dictionary")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            self.judge.hash(key)
            if isinstance(target, Items):
                target.add(key, value)

    def make_dict(self, pairs: list[Any]) -> None:
        self.make(Items())
        self.set_pairs(pairs)

    def make_tuple(self, size: int) -> None:
        if len(self.stack) < size or _MARK in self.stack[-size:]:
            raise Broken("is not a complete pickle")
        items = nested(self.stack[-size:])
        del self.stack[-size:]
        self.push(items)

    def make_set(self, items: list[Any]) -> None:
        self.push(OPAQUE)
        self.extend_set(items)

    def extend_list(self, _: object) -> None:
        if not isinstance(self.top(), Opaque | Made):
            raise Broken("appends to something that is not a list")

    def extend_set(self, items: list[Any]) -> None:
        self.extend_list(items)
        for item in items:
            self.judge.hash(item)

    def pass_array(self, wrapper: Made, *, complete: bool) -> None:
        """Pass over the array that follows joblib's wrapper, exactly as joblib would read it."""
        if self.nested or not complete or set(wrapper.state) - _WRAPPER_KEYS:
            raise Broken("has an array that joblib did not write")
        if self.stream.position < self.frame_end:
            raise Broken("has an array within a frame, which joblib does not write")
        shape, dtype = wrapper.state.get("shape"), wrapper.state.get("dtype")
        if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
            raise Broken("has an array with an impossible shape")
        if holds_objects(dtype):
            _Run(self.stream, self.judge, nested=True).run()
        else:
            aligned = wrapper.state.get("numpy_array_alignment_bytes") is not None
            padding = read(self.stream, 1)[0] if aligned else 0
            if not self.stream.skip(padding + prod(shape) * item_size(dtype)):
                raise Broken("has an array that is longer than the file")
        self.pop()
        self.push(OPAQUE)


_Action = Callable[[_Run, Any], object]


def _constant(make: Callable[[], object]) -> _Action:
    return lambda run, _: run.push(make())


def _with_marked(use: Callable[[_Run, list[Any]], None]) -> _Action:
    """An action on everything that was pushed since the last mark."""
    return lambda run, _: use(run, run.pop_to_mark())


_VALUES = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE",
    "BINUNICODE8", "SHORT_BINUNICODE", "BINBYTES", "BINBYTES8", "SHORT_BINBYTES", "BYTEARRAY8",
)  # fmt: skip
_ACTIONS: dict[str, _Action] = {
    **dict.fromkeys(_VALUES, _Run.push),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Run.remember),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Run.recall),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_SET"), _constant(lambda: OPAQUE)),
    "NONE": _constant(lambda: None),
    "NEWTRUE": _constant(lambda: True),
    "NEWFALSE": _constant(lambda: False),
    "EMPTY_TUPLE": _constant(tuple),
    "EMPTY_DICT": lambda run, _: run.make(Items()),
    "MARK": _constant(lambda: _MARK),
    "PROTO": lambda _run, _: None,
    "FRAME": _Run.start_frame,
    "POP": lambda run, _: run.discard(),
    "POP_MARK": lambda run, _: run.pop_to_mark(),
    "TUPLE1": lambda run, _: run.make_tuple(1),
    "TUPLE2": lambda run, _: run.make_tuple(2),
    "TUPLE3": lambda run, _: run.make_tuple(3),
    "TUPLE": _with_marked(lambda run, items: run.push(nested(items))),
    "LIST": _with_marked(lambda run, _: run.push(OPAQUE)),
    "APPEND": lambda run, _: run.extend_list(run.pop()),
    "APPENDS": _with_marked(_Run.extend_list),
    "ADDITEMS": _with_marked(_Run.extend_set),
    "FROZENSET": _with_marked(_Run.make_set),
    "DICT": _with_marked(_Run.make_dict),
    "SETITEM": lambda run, _: run.set_item(),
    "SETITEMS": _with_marked(_Run.set_pairs),
    "GLOBAL": _Run.refer,
    "STACK_GLOBAL": lambda run, _: run.refer_to_stacked(),
    "REDUCE": lambda run, _: run.call("REDUCE"),
    "NEWOBJ": lambda run, _: run.call("NEWOBJ"),
    "BUILD": lambda run, _: run.build(),
}
