"""Walk the wire format of protocol buffers: field by field, over a memory map, without generated code."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matinee.verify.report import Broken

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT = 10
MAX_DEPTH = 64

Field = tuple[int, int | memoryview]


@contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """The file's bytes, paged in as they are looked at."""
    with path.open("rb") as file:
        if not file.read(1):
            raise Broken("is empty")
        # not closed here: a caller's last slice may outlive the block, and the map goes with it
        yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def fields(view: memoryview) -> Iterator[Field]:
    """Field numbers with their values: an unsigned number, or the bytes of a string or message."""
    position, end = 0, len(view)
    while position < end:
        key, position = _varint(view, position)
        wire = key & 7
        if wire == _VARINT:
            value, position = _varint(view, position)
            yield key >> 3, value
            continue
        if wire == _BYTES:
            size, position = _varint(view, position)
        elif wire in {_FIXED64, _FIXED32}:
            size = 8 if wire == _FIXED64 else 4
        else:
            raise Broken("is not a protocol buffer")
        if size > end - position:
            raise Broken("is cut short")
        yield key >> 3, view[position : position + size]
        position += size


def messages(view: memoryview, *numbers: int) -> Iterator[memoryview]:
    """The sub-messages in the fields with these numbers."""
    for number, value in fields(view):
        if number in numbers and isinstance(value, memoryview):
            yield value


def text(view: memoryview, number: int) -> str:
    """The last string in the field with this number, or an empty one."""
    found = ""
    for value in messages(view, number):
        found = bytes(value[:4096]).decode("utf-8", "replace")
    return found


def varints(view: memoryview) -> Iterator[int]:
    """The numbers of a packed field."""
    position = 0
    while position < len(view):
        value, position = _varint(view, position)
        yield value


def signed(value: int) -> int:
    """An int64 as protocol buffers write negative ones."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for count in range(_MAX_VARINT):
        if position + count >= len(view):
            raise Broken("is cut short")
        byte = view[position + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value & ((1 << 64) - 1), position + count + 1
    raise Broken("is not a protocol buffer")
