"""Zip files that are models (`.skops`, `.keras`, `.npz`): plain members, no tricks, and no more than they say."""

import stat
import zipfile
import zlib
from itertools import pairwise
from pathlib import Path

from matinee.verify.policy import Policy
from matinee.verify.report import Broken

_MAX_DIRECTORY = 4 * 1024 * 1024  # 80,000 members at most, some 30 MB when they are read
_LOCATOR = 20  # bytes in front of the end record; they say where a directory of zip64 is
_MAX_RATIO = 100
_RATIO_COUNTS_FROM = 64 * 1024 * 1024  # arrays of zeros pack 1000:1, and small ones harm nobody
_LOCAL_HEADER = 30
_ENCRYPTED = 0x1
# What `zipfile` raises for a member that is broken, encrypted or packed in a way that it does not know.
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError, OSError, EOFError, RuntimeError, UnicodeDecodeError,
)  # fmt: skip


def zip_names(path: Path) -> list[str]:
    """The member names of a zip file; raises `Broken` when it is broken or its directory is gigantic."""
    return [member.filename for member in _members(path)]


def check_zip(path: Path, policy: Policy) -> list[str]:
    """Reasons not to open the archive; nothing is unpacked."""
    try:
        members = _members(path)
    except Broken as broken:
        return [str(broken)]
    reasons = [reason for member in members if (reason := _member_problem(member))]
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        reasons.append("has two members of the same name")
    if _overlap(members):
        reasons.append("has members that overlap, or bytes in front of the first")
    size, packed = sum(member.file_size for member in members), path.stat().st_size
    if size > policy.max_unpacked_bytes:
        reasons.append(f"unpacks to more than {policy.max_unpacked_bytes} bytes")
    elif size > _RATIO_COUNTS_FROM and size > _MAX_RATIO * packed:
        reasons.append(f"unpacks to more than {_MAX_RATIO} times its size")
    return list(dict.fromkeys(reasons))


def read_member(path: Path, name: str, limit: int) -> bytes:
    """One member, of at most `limit` bytes; raises `Broken`."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as member:
            content = member.read(limit + 1)
    except UNREADABLE:
        raise Broken(f"has no readable member {name}") from None
    if len(content) > limit:
        raise Broken(f"has a member {name} of more than {limit} bytes")
    return content


def _members(path: Path) -> list[zipfile.ZipInfo]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 65_557 - _LOCATOR))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise Broken("is not a complete zip file")
    zip64 = tail[max(0, end - _LOCATOR) : end].startswith(b"PK\x06\x07")  # its sizes would count, not those here
    if zip64 or int.from_bytes(tail[end + 12 : end + 16], "little") > min(_MAX_DIRECTORY, size):
        raise Broken("has a directory larger than any model needs")
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, OverflowError):
        raise Broken("is not a complete zip file") from None


def _member_problem(member: zipfile.ZipInfo) -> str:
    name = member.orig_filename
    parts = name.split("/")
    if ".." in parts or name.startswith("/") or any(mark in name for mark in ("\\", ":", "\0")):
        return f"has a member whose name leads out of it ({name[:80]!a})"
    if stat.S_IFMT(member.external_attr >> 16) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return f"has a member that is not a plain file ({name[:80]!a})"
    if member.flag_bits & _ENCRYPTED or member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return f"has a member that is encrypted or packed in an unusual way ({name[:80]!a})"
    return ""


def _overlap(members: list[zipfile.ZipInfo]) -> bool:
    """Quoted overlapping members are how a zip bomb repeats its one kernel."""
    ordered = sorted(members, key=lambda member: member.header_offset)
    if ordered and ordered[0].header_offset != 0:
        return True
    return any(
        left.header_offset + _LOCAL_HEADER + len(left.orig_filename.encode()) + left.compress_size > right.header_offset
        for left, right in pairwise(ordered)
    )
