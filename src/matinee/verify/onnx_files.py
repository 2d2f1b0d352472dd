"""`.onnx`: external data only in plain files of the bundle, within their bounds; sizes that add up; no endless calls.

Field numbers are those of onnx.proto (ONNX IR). Advisories this answers to: CVE-2022-25882, CVE-2024-27318,
CVE-2025-51480 (external data out of the folder), GHSA-538c-55jv-c5g9 (unknown keys, negative offsets),
GHSA-7w46-vvrh-m8q5 (functions that call themselves). Functions that call each other twice, eighteen deep, kept ONNX
Runtime busy until its memory was full.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import PurePosixPath

from matinee.verify.folder import Listing
from matinee.verify.policy import Policy
from matinee.verify.protobuf import MAX_DEPTH, fields, mapped, messages, signed, text, varints
from matinee.verify.report import Broken, Findings

_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODE, _GRAPH_TENSOR, _GRAPH_SPARSE, _GRAPH_VALUES = 1, 5, 15, (11, 12, 13)
_NODE_OP, _NODE_ATTRIBUTE = 4, 5
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_RAW, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 1, 2, 9, 13, 14
_TENSOR_FIELDS = {_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_RAW, _TENSOR_EXTERNAL, _TENSOR_LOCATION}
_FUNCTION_NAME, _FUNCTION_NODE = 1, 7
_BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
    17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8,
}  # fmt: skip
_EXTERNAL_KEYS = {"location", "offset", "length", "checksum"}
_MAX_REASONS = 20
_MAX_DIMS_BYTES = 256
_MAX_FUNCTIONS = 2_000
_MAX_UNFOLDED = 20_000  # operations, which take ONNX Runtime some seconds; a large encoder has 5,000


def check_onnx(listing: Listing, name: str, _: Policy) -> Findings:
    """Reasons not to hand the graph to a runtime."""
    reasons: list[str] = []
    try:
        with mapped(listing.path(name)) as view:
            if not any(True for _ in messages(view, _MODEL_GRAPH)):
                reasons.append("holds no graph")
            if problem := _function_problem(view):
                reasons.append(problem)
            folder = str(PurePosixPath(name).parent)
            for tensor in _tensors(view):
                reasons += _tensor_problems(tensor, listing, folder)
                if len(reasons) > _MAX_REASONS:
                    break
    except Broken as broken:
        reasons.append(str(broken))
    return Findings(tuple(dict.fromkeys(reasons)))


def _tensors(model: memoryview) -> Iterator[memoryview]:
    for graph in messages(model, _MODEL_GRAPH):
        yield from _graph_tensors(graph, 0)
    for function in messages(model, _MODEL_FUNCTIONS):
        for node in messages(function, _FUNCTION_NODE):
            yield from _node_tensors(node, 0)


def _graph_tensors(graph: memoryview, depth: int) -> Iterator[memoryview]:
    if depth > MAX_DEPTH:
        raise Broken(f"nests graphs deeper than {MAX_DEPTH}")
    for number, value in fields(graph):
        if not isinstance(value, memoryview):
            continue
        if number == _GRAPH_TENSOR:
            yield value
        elif number == _GRAPH_SPARSE:
            yield from messages(value, 1, 2)
        elif number == _GRAPH_NODE:
            yield from _node_tensors(value, depth)


def _node_tensors(node: memoryview, depth: int) -> Iterator[memoryview]:
    for attribute in messages(node, _NODE_ATTRIBUTE):
        for number, value in fields(attribute):
            if not isinstance(value, memoryview):
                continue
            if number in _ATTRIBUTE_TENSORS:
                yield value
            elif number in _ATTRIBUTE_SPARSE:
                yield from messages(value, 1, 2)
            elif number in _ATTRIBUTE_GRAPHS:
                yield from _graph_tensors(value, depth + 1)


def _tensor_problems(tensor: memoryview, listing: Listing, folder: str) -> list[str]:
    found: dict[int, list[int | memoryview]] = {}
    for number, value in fields(tensor):
        if number in _TENSOR_FIELDS:
            found.setdefault(number, []).append(value)
    dims = [dim for value in found.get(_TENSOR_DIMS, []) for dim in _dims(value)]
    if any(size < 0 for size in dims):
        return ["has a tensor with a negative dimension"]
    kind = found.get(_TENSOR_TYPE, [0])[-1]
    size = (prod(dims) * _BITS.get(kind if isinstance(kind, int) else 0, 8) + 7) // 8
    entries = [entry for entry in found.get(_TENSOR_EXTERNAL, []) if isinstance(entry, memoryview)]
    if entries or 1 in found.get(_TENSOR_LOCATION, []):
        return _external_problems([(text(entry, 1), text(entry, 2)) for entry in entries], size, listing, folder)
    raw = [len(value) for value in found.get(_TENSOR_RAW, []) if isinstance(value, memoryview)]
    return ["has a tensor whose data is not as long as its shape says"] if raw and raw != [size] else []


def _external_problems(entries: list[tuple[str, str]], size: int, listing: Listing, folder: str) -> list[str]:
    about = dict(entries)
    if len(about) != len(entries) or set(about) - _EXTERNAL_KEYS:
        return ["has external data with unknown or repeated keys"]
    location = about.get("location", "")
    if not location or PurePosixPath(location).name != location or "\\" in location or location in {".", ".."}:
        return [f"has external data outside of its folder ({location[:80]!a})"]
    name = location if folder == "." else f"{folder}/{location}"
    if name not in listing.files:
        return [f"has external data in {location[:80]!a}, which is not a file of the bundle"]
    offset, length = about.get("offset", "0"), about.get("length", str(size))
    if not (offset.isdecimal() and length.isdecimal()) or len(offset) > 18 or len(length) > 18:
        return ["has external data with an impossible offset or length"]
    if int(length) != size or int(offset) + int(length) > listing.files[name]:
        return ["has external data that ends behind its file, or is not as long as its shape says"]
    return []


def _dims(value: int | memoryview) -> list[int]:
    """One dimension, or several packed into one field."""
    if isinstance(value, int):
        return [signed(value)]
    if len(value) > _MAX_DIMS_BYTES:
        raise Broken("has a tensor with impossible dimensions")
    return [signed(number) for number in varints(value)]


def _function_problem(model: memoryview) -> str:
    """What is wrong with the functions that come with the model, which a runtime puts in place of their calls."""
    calls: dict[str, Counter[str]] = {}
    for function in messages(model, _MODEL_FUNCTIONS):
        calls.setdefault(text(function, _FUNCTION_NAME), Counter()).update(_operations(function, _FUNCTION_NODE, 0))
    if not calls:
        return ""
    if len(calls) > _MAX_FUNCTIONS:
        return "has more functions than any model"
    unfolded: dict[str, int] = {}  # operations of each function without calls
    while waiting := calls.keys() - unfolded.keys():
        ready = [name for name in waiting if not calls[name].keys() & waiting]
        if not ready:
            return "has a function that calls itself"
        unfolded |= {name: _unfolded(calls[name], unfolded) for name in ready}
    whole = Counter(
        operation for graph in messages(model, _MODEL_GRAPH) for operation in _operations(graph, _GRAPH_NODE, 0)
    )
    return "has functions that unfold without end" if _unfolded(whole, unfolded) > _MAX_UNFOLDED else ""


def _unfolded(operations: Counter[str], functions: Mapping[str, int]) -> int:
    return sum(count * functions.get(operation, 1) for operation, count in operations.items())


def _operations(owner: memoryview, field: int, depth: int) -> Iterator[str]:
    """The operations of a graph or function, also of the graphs in its nodes, such as the branches of an `If`."""
    if depth > MAX_DEPTH:
        raise Broken(f"nests graphs deeper than {MAX_DEPTH}")
    for node in messages(owner, field):
        yield text(node, _NODE_OP)
        for attribute in messages(node, _NODE_ATTRIBUTE):
            for graph in messages(attribute, *_ATTRIBUTE_GRAPHS):
                yield from _operations(graph, _GRAPH_NODE, depth + 1)
