"""NumPy's `.npy` and `.npz`: plain numbers or characters, as many as the header says, and no Python objects."""

import ast
import re
import zipfile
from math import prod
from pathlib import Path
from typing import IO

from matinee.verify.archives import UNREADABLE, check_zip, zip_names
from matinee.verify.folder import Listing
from matinee.verify.policy import Policy
from matinee.verify.report import Broken, Findings

_MAX_HEADER = 10_000
_PLAIN = re.compile(r"[<>=|]?([biufcSUVMm?])(\d{0,9})(\[\w+\])?")


def check_npy(listing: Listing, name: str, _: Policy) -> Findings:
    """Reasons not to read the array."""
    try:
        with listing.path(name).open("rb") as file:
            _check_header(file, listing.files[name])
    except Broken as broken:
        return Findings((str(broken),))
    return Findings()


def check_npz(listing: Listing, name: str, policy: Policy) -> Findings:
    """Reasons not to read one of the arrays."""
    path = listing.path(name)
    reasons = check_zip(path, policy)
    for member in [] if reasons else zip_names(path):
        try:
            check_npy_member(path, member)
        except Broken as broken:
            reasons.append(f"{broken} ({member[:80]!a})")
    return Findings(tuple(reasons))


def check_npy_member(path: Path, member: str) -> None:
    """The same for an array in a zip file; raises `Broken`."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            _check_header(file, archive.getinfo(member).file_size)
    except UNREADABLE:
        raise Broken(f"has a broken member {member[:80]!a}") from None


def _check_header(file: IO[bytes], size: int) -> None:
    head = file.read(8)
    if head[:6] != b"\x93NUMPY" or head[6:7] not in {b"\x01", b"\x02", b"\x03"}:
        raise Broken("is not an array file")
    width = 2 if head[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > _MAX_HEADER:
        raise Broken("has an array header larger than any array needs")
    try:
        header = ast.literal_eval(file.read(length).decode("utf-8").strip())
        described, shape = header["descr"], header["shape"]
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError):
        raise Broken("has a broken array header") from None
    if not isinstance(shape, tuple) or not all(type(count) is int and count >= 0 for count in shape):
        raise Broken("has an array with an impossible shape")
    if prod(shape) * _item_size(described) != size - 8 - width - length:
        raise Broken("has an array whose size is not what its header says")


def _item_size(described: object) -> int:
    """Bytes of one item; `described` is NumPy's word for a type, or a list of fields with such words."""
    if isinstance(described, list):
        return sum(_item_size(part[1]) for part in described if isinstance(part, tuple) and len(part) == 2)
    match = _PLAIN.fullmatch(described) if isinstance(described, str) else None
    if match is None:
        raise Broken("has an array of Python objects, or of a type that is not plain")
    return int(match.group(2) or 1) * (4 if match.group(1) == "U" else 1)
