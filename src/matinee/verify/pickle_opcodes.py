"""The opcodes of a pickle, one by one, from a stream; what is long is passed over and not kept."""

import pickletools
import struct
from collections.abc import Iterator
from typing import Any, Final

from matinee.verify.report import Broken
from matinee.verify.unpacking import Unpacked

_KEPT_LENGTH = 256  # no name, type or key that matters is longer
_MAX_LINE = 64 * 1024
_MAX_OPCODES = 30_000_000  # a vocabulary of two million words takes 20 million; each costs about a microsecond

_TABLE = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
# What Python 3 never writes for a model: references to the outside, old classes, Python 2 strings, foreign buffers.
_REFUSED = {
    "PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "INST", "OBJ", "NEWOBJ_EX", "NEXT_BUFFER", "READONLY_BUFFER", "DUP",
    "STRING", "BINSTRING", "SHORT_BINSTRING",
}  # fmt: skip
_NUMBERS = {"uint1": "<B", "uint2": "<H", "int4": "<i", "uint4": "<I", "uint8": "<Q", "float8": ">d"}
_SIZES = {
    "bytes1": "<B", "bytes4": "<I", "bytes8": "<Q", "bytearray8": "<Q", "long1": "<B", "long4": "<i",
    "unicodestring1": "<B", "unicodestring4": "<I", "unicodestring8": "<Q",
}  # fmt: skip


class Opaque:
    """Something that is not looked at: a long string, a list, a set, a value."""

    def __repr__(self) -> str:
        return "…"


OPAQUE: Final = Opaque()


def opcodes(stream: Unpacked) -> Iterator[tuple[str, Any]]:
    """Names and arguments up to STOP; raises `Broken` for what no ordinary pickle holds."""
    for _ in range(_MAX_OPCODES):
        code = read(stream, 1)
        opcode = _TABLE.get(code)
        if opcode is None or opcode.name in _REFUSED:
            known = "an unknown opcode" if opcode is None else f"the opcode {opcode.name}"
            raise Broken(f"is not an ordinary pickle: it uses {known}")
        yield opcode.name, _argument(stream, opcode.arg.name) if opcode.arg else None
    raise Broken("has more opcodes than any model")


def read(stream: Unpacked, size: int) -> bytes:
    """Exactly `size` bytes."""
    content = stream.read(size)
    if len(content) < size:
        raise Broken("is cut short")
    return content


def _argument(stream: Unpacked, kind: str) -> Any:
    if layout := _NUMBERS.get(kind):
        return struct.unpack(layout, read(stream, struct.calcsize(layout)))[0]
    if layout := _SIZES.get(kind):
        return _sized(stream, kind, struct.unpack(layout, read(stream, struct.calcsize(layout)))[0])
    line = _line(stream)
    if kind == "stringnl_noescape_pair":
        return line, _line(stream)
    return _value(kind, line)


def _sized(stream: Unpacked, kind: str, size: int) -> Any:
    """A number, string or bytes with its length in front."""
    if size < 0:
        raise Broken("has a negative length")
    if size > _KEPT_LENGTH:
        if not stream.skip(size):
            raise Broken("is cut short")
        return OPAQUE
    content = read(stream, size)
    if kind.startswith("long"):
        return int.from_bytes(content, "little", signed=True)
    if kind.startswith("bytes"):
        return content
    # n-grams are most of a vocabulary, and never the name of anything.
    return OPAQUE if b" " in content or kind == "bytearray8" else content.decode("utf-8", "replace")


def _line(stream: Unpacked) -> str:
    line = bytearray()
    while (byte := read(stream, 1)) != b"\n":
        line += byte
        if len(line) > _MAX_LINE:
            raise Broken("has a gigantic text argument")
    return line.decode("utf-8", "replace")


def _value(kind: str, line: str) -> Any:
    """The value of an argument that protocol 0 writes as a line."""
    if kind.startswith("decimalnl"):
        if line in {"00", "01"}:
            return line == "01"
        digits = line.removesuffix("L")
        if len(digits) > _KEPT_LENGTH or not digits.removeprefix("-").isdecimal():
            raise Broken("has a number that is none")
        return int(digits)
    return line if kind == "unicodestringnl" and len(line) <= _KEPT_LENGTH and "\\" not in line else OPAQUE
