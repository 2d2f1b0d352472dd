"""Files of a bundle: which names are safe, what is in a folder, what it all hashes to."""

import os
import shutil
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from matinee.core.bundle import MANIFEST_NAME
from matinee.core.digest import file_sha256
from matinee.core.errors import CorruptBundle, InvalidManifest
from matinee.core.manifest import MAX_MANIFEST_BYTES, FileEntry, Manifest

_MAX_NAME_BYTES = 255
_MAX_PATH_BYTES = 1024
_DEVICE_OR_STREAM = ":"  # "C:\x" on Windows, "file:stream" on NTFS; no model file needs one


def safe_names(names: Iterable[str]) -> list[str]:
    """The names, if every one stays inside the folder that it is joined to; raises `CorruptBundle`.

    Two names that a case-insensitive or Unicode-normalizing file system would take for one are refused as well.
    """
    seen: dict[str, str] = {}
    checked = []
    for name in names:
        if not _is_safe(name):
            raise CorruptBundle(f"the registry names a file {name[:200]!r}, which would leave the bundle's folder")
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in seen:
            raise CorruptBundle(f"the registry names both {seen[folded][:200]!r} and {name[:200]!r}")
        seen[folded] = name
        checked.append(name)
    return checked


def _is_safe(name: str) -> bool:
    parts = name.split("/")
    return (
        name.isprintable()
        and "\\" not in name
        and _DEVICE_OR_STREAM not in name
        and len(os.fsencode(name)) <= _MAX_PATH_BYTES
        and all(part not in ("", ".", "..") and len(os.fsencode(part)) <= _MAX_NAME_BYTES for part in parts)
    )


def walk(folder: Path, max_files: int, max_bytes: int) -> dict[str, os.stat_result]:
    """Every file below `folder` with its `lstat`, by relative POSIX name; raises `CorruptBundle`.

    Links, devices and pipes are refused: a bundle holds plain files only.
    """
    found: dict[str, os.stat_result] = {}
    total = 0
    for entry in _entries(folder):
        status = entry.stat(follow_symlinks=False)
        name = Path(entry.path).relative_to(folder).as_posix()
        if not stat.S_ISREG(status.st_mode):
            raise CorruptBundle(f"{name!r} is a link or a device; a bundle holds plain files only")
        found[name] = status
        total += status.st_size
        if len(found) > max_files or total > max_bytes:
            raise CorruptBundle(f"the bundle has more than {max_files:,} files or {max_bytes:,} bytes")
    safe_names(found)
    return found


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda item: item.name):
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(Path(entry.path))
            else:
                yield entry


def hashes(folder: Path, names: Iterable[str], trusted: Mapping[str, FileEntry] | None = None) -> dict[str, str]:
    """SHA-256 of each file; `trusted` entries are taken as they are where the size is right."""
    found = {}
    for name in names:
        entry = (trusted or {}).get(name)
        path = folder / name
        known = entry is not None and entry.size == path.stat().st_size
        found[name] = entry.sha256 if entry is not None and known else file_sha256(path)
    return found


def read_manifest(folder: Path) -> Manifest | None:
    """The folder's own manifest, or none where it has none that can be read; judging it is verification's."""
    path = folder / MANIFEST_NAME
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            return None
        return Manifest.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, InvalidManifest):
        return None


def size_of(folder: Path) -> int:
    """Bytes in all files below `folder`, which others may be writing to right now."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(Path(parent) / name).st_size
            except OSError:  # renamed or removed between the listing and the look
                continue
    return total


def wipe(folder: Path) -> None:
    """Remove everything in a folder, and keep the folder."""
    for path in list(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
