"""Which files are in the folder: regular ones with plain names, in a bounded number; no links, no devices."""

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from matinee.verify.policy import GIB, Policy

_MAX_DEPTH = 12
_MAX_NAME = 255
UNREAD_FOLDERS = ("__pycache__",)


@dataclass(slots=True)
class Listing:
    """Relative POSIX names with sizes in bytes, what no loader reads, and what is wrong with the folder."""

    root: Path
    files: dict[str, int] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def path(self, name: str) -> Path:
        """The file called `name`."""
        return self.root / name


def scan(folder: Path, policy: Policy) -> Listing:
    """List `folder` without following anything; hidden entries are named in `unread` and not looked into."""
    listing = Listing(folder)
    if not folder.is_dir():
        listing.problems.append((str(folder), "is not a folder"))
        return listing
    for name, entry in _walk(folder, "", listing):
        if problem := _problem(name, entry):
            listing.problems.append((printable(name), problem))
            continue
        listing.files[name] = entry.stat(follow_symlinks=False).st_size
        if len(listing.files) > policy.max_files:
            listing.problems.append((folder.name, f"holds more than {policy.max_files} files"))
            return listing
    _check_whole(listing, policy)
    return listing


def printable(name: str) -> str:
    """A name from a file, short and safe to print."""
    return name if name.isprintable() and len(name) <= 120 else ascii(name[:120])


def leads_out(name: str) -> bool:
    """Whether a name, as some file states it, would be outside of the folder."""
    return name.startswith(("/", "\\", "~")) or ".." in name.replace("\\", "/").split("/") or name[1:2] == ":"


def _walk(folder: Path, prefix: str, listing: Listing) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = prefix + entry.name
            if entry.name.startswith(".") or entry.name in UNREAD_FOLDERS:
                listing.unread.append(name)
            elif entry.is_dir(follow_symlinks=False):
                if name.count("/") >= _MAX_DEPTH:
                    listing.problems.append((printable(name), f"folders are nested deeper than {_MAX_DEPTH}"))
                else:
                    yield from _walk(Path(entry.path), name + "/", listing)
            else:
                yield name, entry


def _problem(name: str, entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "is a symbolic link; put the file itself there"
    if not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
        return "is not a regular file"
    if not name.isprintable() or "\\" in name or len(entry.name) > _MAX_NAME:
        return "has a name with control characters or backslashes"
    return ""


def _check_whole(listing: Listing, policy: Policy) -> None:
    if not listing.files and not listing.problems:
        listing.problems.append((listing.root.name, "holds no files"))
    total = sum(listing.files.values())
    if total > policy.max_bundle_bytes:
        limit = f"{policy.max_bundle_bytes / GIB:.3g} GiB"
        listing.problems.append((listing.root.name, f"is {total / GIB:.3g} GiB large; the limit is {limit}"))
    seen: dict[str, str] = {}
    for name in listing.files:
        other = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            listing.problems.append((printable(name), f"differs from {printable(other)} in case or accents only"))
