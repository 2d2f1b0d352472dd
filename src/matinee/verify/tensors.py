"""Safetensors and NumPy arrays: headers of bounded size that describe exactly the bytes that follow."""

import json
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

from matinee.verify.folder import Listing
from matinee.verify.policy import Policy
from matinee.verify.report import Broken, Findings

_MAX_HEADER = 1024 * 1024  # 400 tensors take 40 KB
_MAX_TENSORS = 20_000
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def check_safetensors(listing: Listing, name: str, _: Policy) -> Findings:
    """Reasons not to read the file; the tensors themselves are not looked at."""
    return Findings(tuple(_problems(listing, name)))


def _problems(listing: Listing, name: str) -> list[str]:
    try:
        header, length = _read_header(listing.path(name), listing.files[name])
    except Broken as error:
        return [str(error)]
    spans = []
    for tensor, about in header.items():
        if tensor == "__metadata__":
            continue
        span = _span(about)
        if span is None:
            return [f"has a tensor ({tensor[:80]!r}) whose type, shape and place do not fit together"]
        spans.append(span)
    return _check_places(sorted(spans), listing.files[name] - 8 - length)


def is_linear(path: Path) -> bool:
    """Whether the file is a linear model of matinee's own: its header says so."""
    try:
        header, _ = _read_header(path, path.stat().st_size)
    except Broken:
        return False
    metadata = header.get("__metadata__")
    return isinstance(metadata, dict) and metadata.get("format") == "matinee-linear"


def _read_header(path: Path, size: int) -> tuple[dict[str, Any], int]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 10 or length > size - 8:
            raise Broken("is cut short: its header is longer than the file")
        if length > _MAX_HEADER:
            raise Broken(f"has a header of {length} bytes; the limit is {_MAX_HEADER}")
        content = file.read(length)
    try:
        header = json.loads(content, object_pairs_hook=_without_duplicates)
    except (ValueError, KeyError, RecursionError):
        raise Broken("has a header that is not JSON with one entry for each tensor") from None
    if not isinstance(header, dict) or len(header) > _MAX_TENSORS:
        raise Broken("has a header that is not an object of tensors")
    return header, length


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise KeyError("duplicate keys")
    return found


def _span(about: object) -> tuple[int, int] | None:
    """The bytes of one tensor, from and to, or None when its entry contradicts itself."""
    if not isinstance(about, dict):
        return None
    bits, shape, span = _BITS.get(str(about.get("dtype"))), about.get("shape"), about.get("data_offsets")
    if bits is None or not _counts(shape) or not _counts(span) or len(span) != 2:  # type: ignore[arg-type]
        return None
    begin, end = span  # type: ignore[misc]
    return (begin, end) if prod(shape) * bits == (end - begin) * 8 else None  # type: ignore[arg-type]


def _counts(value: object) -> bool:
    return isinstance(value, list) and len(value) <= 32 and all(type(x) is int and 0 <= x < 1 << 48 for x in value)


def _check_places(spans: list[tuple[int, int]], size: int) -> list[str]:
    if any(left[1] != right[0] for left, right in pairwise(spans)) or (spans and spans[0][0] != 0):
        return ["has tensors that overlap or leave holes"]
    if (spans[-1][1] if spans else 0) != size:
        return ["has tensors that end before or behind the end of the file"]
    return []
