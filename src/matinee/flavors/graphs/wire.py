"""The ONNX file format, as much of it as a graph of ours needs: messages written in protobuf's wire format.

Field numbers are those of onnx.proto (ONNX 1.17, IR version 9). Writing them takes this page; the `onnx` package
would bring 31 MB and a protobuf runtime for it (decision 0060).
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

IR_VERSION: Final = 9
OPSET: Final = 20  # the first with Gelu; read by OpenVINO since 2024.4 and by ONNX Runtime since 1.17
FLOAT: Final = 1
INT8: Final = 3
INT64: Final = 7

Attribute = float | int | str | Sequence[int]


def model(
    nodes: Iterable[bytes], initializers: Iterable[bytes], inputs: Iterable[bytes], outputs: Iterable[bytes]
) -> bytes:
    """A whole ModelProto, with one operator set."""
    graph = b"".join(
        [
            *(_nested(1, node) for node in nodes),
            _text(2, "encoder"),
            *(_nested(5, initializer) for initializer in initializers),
            *(_nested(11, value) for value in inputs),
            *(_nested(12, value) for value in outputs),
        ]
    )
    return b"".join([_number(1, IR_VERSION), _text(2, "matinee"), _nested(7, graph), _nested(8, _number(2, OPSET))])


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, Attribute]) -> bytes:
    """A NodeProto, named after its first output."""
    return b"".join(
        [
            *(_text(1, name) for name in inputs),
            *(_text(2, name) for name in outputs),
            _text(3, outputs[0]),
            _text(4, operator),
            *(_nested(5, _attribute(name, value)) for name, value in attributes.items()),
        ]
    )


def value(name: str, element: int, dimensions: Sequence[str | int]) -> bytes:
    """A ValueInfoProto: a tensor whose dimensions are numbers, or names where they vary."""
    shape = b"".join(_nested(1, _text(2, d) if isinstance(d, str) else _number(1, d)) for d in dimensions)
    tensor = _number(1, element) + _nested(2, shape)
    return _text(1, name) + _nested(2, _nested(1, tensor))


def tensor(name: str, element: int, shape: Sequence[int], content: bytes) -> bytes:
    """A TensorProto that holds its content, little-endian."""
    return _tensor_head(name, element, shape) + _nested(9, content)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor's content lies: a file beside the model, offset and length in bytes."""

    file: str
    offset: int
    length: int


def external_tensor(name: str, element: int, shape: Sequence[int], place: Place) -> bytes:
    """A TensorProto whose content lies in another file."""
    entries = {"location": place.file, "offset": str(place.offset), "length": str(place.length)}
    return b"".join(
        [
            _tensor_head(name, element, shape),
            *(_nested(13, _text(1, key) + _text(2, entry)) for key, entry in entries.items()),
            _number(14, 1),
        ]
    )


def _tensor_head(name: str, element: int, shape: Sequence[int]) -> bytes:
    return b"".join([*(_number(1, size) for size in shape), _number(2, element), _text(8, name)])


def _attribute(name: str, content: Attribute) -> bytes:
    if isinstance(content, float):
        return _text(1, name) + _tag(2, 5) + struct.pack("<f", content) + _number(20, 1)
    if isinstance(content, int):
        return _text(1, name) + _number(3, content) + _number(20, 2)
    if isinstance(content, str):
        return _text(1, name) + _text(4, content) + _number(20, 3)
    return b"".join([_text(1, name), *(_number(8, item) for item in content), _number(20, 7)])


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(number: int) -> bytes:
    number &= 0xFFFF_FFFF_FFFF_FFFF  # negative numbers take ten bytes, in two's complement
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _number(field: int, number: int) -> bytes:
    return _tag(field, 0) + _varint(number)


def _nested(field: int, content: bytes) -> bytes:
    return _tag(field, 2) + _varint(len(content)) + content


def _text(field: int, content: str) -> bytes:
    return _nested(field, content.encode())
