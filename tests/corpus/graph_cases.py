"""Hostile ONNX graphs and SavedModels, written field by field."""

from tests.corpus.files import Files


def field(number: int, value: int | bytes) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value & (1 << 64) - 1)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    content = bytearray()
    while value >= 0x80:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*content, value])


def _entry(key: str, value: str) -> bytes:
    return field(13, field(1, key.encode()) + field(2, value.encode()))


def _onnx(tensor: bytes, functions: bytes = b"") -> Files:
    model = field(1, 9) + field(7, field(5, tensor)) + functions
    return {"model.onnx": model, "tokenizer.json": b"{}", "weights.bin": bytes(64)}


def _external(**about: str) -> Files:
    entries = b"".join(_entry(key, value) for key, value in about.items())
    return _onnx(field(1, 4) + field(2, 1) + field(8, b"w") + entries + field(14, 1))


def _saved_model(operation: str) -> Files:
    graph = field(1, field(1, b"node") + field(2, operation.encode()))
    return {"saved_model.pb": field(1, 1) + field(2, field(2, graph)), "variables/variables.index": b"x"}


def graph_cases() -> dict[str, Files]:
    """ONNX graphs and SavedModels."""
    calls_itself = field(25, field(1, b"again") + field(7, field(4, b"again")))
    node_tensor = field(1, field(5, field(5, field(1, -1) + field(2, 1))))
    return {
        "onnx-parent-folder": _external(location="../../etc/passwd"),
        "onnx-absolute": _external(location="/etc/passwd"),
        "onnx-backslash": _external(location="..\\secret.bin"),
        "onnx-absent": _external(location="absent.bin"),
        "onnx-negative-length": _external(location="weights.bin", length="-1"),
        "onnx-petabyte": _external(location="weights.bin", length=str(10**15)),
        "onnx-offset-behind": _external(location="weights.bin", offset="60"),
        "onnx-unknown-key": _external(location="weights.bin", basepath="/etc"),
        "onnx-negative-dims": _onnx(field(1, -4) + field(2, 1) + field(9, bytes(16))),
        "onnx-data-short": _onnx(field(1, 4096) + field(2, 1) + field(9, bytes(16))),
        "onnx-attribute-tensor": {"model.onnx": field(7, node_tensor), "tokenizer.json": b"{}"},
        "onnx-recursive-function": _onnx(field(1, 1) + field(2, 1) + field(9, bytes(4)), calls_itself),
        "onnx-not-protobuf": {"model.onnx": b"\xff" * 64, "tokenizer.json": b"{}"},
        "savedmodel-read-file": _saved_model("ReadFile"),
        "savedmodel-write-file": _saved_model("WriteFile"),
        "savedmodel-py-func": _saved_model("EagerPyFunc"),
    }
