"""The content-addressed cache: one folder per bundle, named by its digest, complete or not there at all.

    bundles/<digest>/       a bundle, read-only        bundles/<digest>.lock   held (shared) by whoever uses it
    revisions/<key>.json    which bundle a registry's revision is
    references/<key>.json   what a reference was lately, newest first
    staging/<random>/       a transfer under way: the bundle to be, and beside it what its client needs meanwhile
    staging/<random>.lock   held by the transfer's process
    locks/<key>.lock        held by the one process that transfers a revision

A transfer fills a private staging folder; it is hashed, flushed to disk and renamed into place. A process that is
killed half-way leaves a staging folder that nobody reads and the next transfer removes.
"""

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from matinee.core.digest import content_digest
from matinee.core.errors import CorruptBundle
from matinee.sources.locks import Lock, exclusive
from matinee.sources.records import Record, Records
from matinee.sources.tree import hashes, size_of, walk

_log = logging.getLogger("matinee.sources")
_FOLDERS = ("bundles", "revisions", "references", "staging", "locks")
_LOCK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One cached bundle: size in bytes, last use (seconds since the epoch), what it is known as, used right now?"""

    digest: str
    folder: Path
    size: int
    used_at: float
    names: tuple[str, ...]
    live: bool


class Cache:
    """Bundles on disk; safe for any number of processes and threads at once."""

    def __init__(self, folder: Path, max_bytes: int, max_files: int, max_bundle_bytes: int) -> None:
        self.folder = folder
        self.records = Records(folder)
        self._max_bytes = max_bytes
        self._limits = (max_files, max_bundle_bytes)
        self._held: dict[str, list[Lock]] = {}
        for name in _FOLDERS:
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def transferred(self, record: Record, fill: Callable[[Path], None], seconds: float) -> tuple[Path, str]:
        """The folder and digest of a revision, through `fill` if it is not here yet.

        The bundle is held until `release`. Of many processes that ask at once, one transfers and the others wait;
        raises `TimeoutError` when that takes longer than `seconds`, and whatever `fill` raises.
        """
        with exclusive(self.folder / "locks" / f"{record.key}.lock", seconds):
            digest = self.records.bundle_of(record)
            folder = self.open(digest) if digest else None
            if folder is None:
                self._sweep()
                with self.private_folder() as staging:
                    fill(staging)
                    folder, digest = self._adopt(staging)
            self.records.remember(record, digest)
        self._evict()
        return folder, digest

    def open(self, digest: str) -> Path | None:
        """The folder of a bundle that is here and intact, held until `release`; a damaged one is thrown away."""
        folder = self._bundle(digest)
        self._hold(digest)
        if self._is_intact(folder, digest):
            os.utime(self._bundle_lock(digest))
            return folder
        if folder.is_dir():
            _log.warning("cached bundle %s is damaged, and is thrown away", digest)
            self._discard(folder)
        self.release(digest)
        return None

    def release(self, digest: str) -> None:
        """One user of the bundle is done with it."""
        if locks := self._held.get(digest):
            locks.pop().release()

    @contextmanager
    def private_folder(self) -> Iterator[Path]:
        """One that is gone afterwards; locked before it exists, so that no sweep takes it for a leftover."""
        folder = self.folder / "staging" / secrets.token_hex(8)
        lock = Lock(folder.with_suffix(".lock"))
        lock.acquire(_LOCK_SECONDS)
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            _remove(folder)
            lock.release(remove=True)

    def entries(self) -> list[CacheEntry]:
        """Every bundle, the one used last first."""
        names = self.records.names()
        found = []
        for folder in (self.folder / "bundles").iterdir():
            if folder.is_dir():
                digest = f"sha256:{folder.name}"
                free, used_at = self._usage(digest)
                known = tuple(names.get(digest, ()))
                found.append(CacheEntry(digest, folder, size_of(folder), used_at, known, live=not free))
        return sorted(found, key=lambda entry: -entry.used_at)

    def _usage(self, digest: str) -> tuple[bool, float]:
        lock = Lock(self._bundle_lock(digest))
        free = lock.try_acquire()
        try:
            return free, self._bundle_lock(digest).stat().st_mtime
        except FileNotFoundError:  # evicted by another process at this moment
            return free, 0.0
        finally:
            lock.release()

    def _is_intact(self, folder: Path, digest: str) -> bool:
        try:
            return content_digest(hashes(folder, walk(folder, *self._limits))) == digest
        except (CorruptBundle, OSError):
            return False

    def _hold(self, digest: str) -> None:
        lock = Lock(self._bundle_lock(digest), shared=True)
        lock.acquire(_LOCK_SECONDS)
        self._held.setdefault(digest, []).append(lock)

    def _bundle(self, digest: str) -> Path:
        return self.folder / "bundles" / digest.removeprefix("sha256:")

    def _bundle_lock(self, digest: str) -> Path:
        return self.folder / "bundles" / f"{digest.removeprefix('sha256:')}.lock"

    def _adopt(self, staging: Path) -> tuple[Path, str]:
        """Hash, flush, lock against writing, rename: from here on the bundle exists."""
        files = walk(staging, *self._limits)
        digest = content_digest(hashes(staging, files))
        for name in files:
            _flush(staging / name, mode=0o400)
        for folder in sorted({(staging / name).parent for name in files} - {staging}, reverse=True):
            _flush(folder, mode=0o500)
        _flush(staging)
        if (present := self.open(digest)) is not None:
            return present, digest  # the same content under another name
        self._hold(digest)
        target = self._bundle(digest)
        staging.replace(target)
        _flush(target, mode=0o500)
        _flush(target.parent)
        return target, digest

    def _sweep(self) -> None:
        """Remove what killed processes left in the staging folder."""
        for name in {path.stem for path in (self.folder / "staging").iterdir()}:
            folder = self.folder / "staging" / name
            lock = Lock(folder.with_suffix(".lock"))
            if lock.try_acquire():
                _remove(folder)
                lock.release(remove=True)

    def _discard(self, folder: Path) -> None:
        with self.private_folder() as grave:
            folder.chmod(0o700)
            folder.replace(grave)

    def _evict(self) -> None:
        """Remove bundles that nobody uses, the one unused longest first, until the cache is within its bound."""
        entries = self.entries()
        total = sum(entry.size for entry in entries)
        for entry in reversed(entries):
            if total <= self._max_bytes:
                return
            lock = Lock(self._bundle_lock(entry.digest))
            if lock.try_acquire():
                if entry.folder.is_dir():
                    self._discard(entry.folder)
                total -= entry.size
                lock.release(remove=True)


@cache
def cache_folder(configured: Path | None = None) -> Path:
    """Where to cache: the configured folder, else one of the user's, else (no home, or read-only) a temporary one."""
    if configured is not None:
        return configured.expanduser()
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        wanted = (base if base.is_absolute() else Path("~/.cache").expanduser()) / "matinee"
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(wanted, os.W_OK | os.X_OK):
            return wanted
        reason = f"{wanted} cannot be written to"
    except RuntimeError:
        reason = "this user has no home folder"
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
    fallback = _temporary_cache()
    _log.warning("%s: models are cached in %s; CACHE_DIR names another folder", reason, fallback)
    return fallback


def _temporary_cache() -> Path:
    """A folder that only this user may enter, found again by the user's next process."""
    folder = Path(tempfile.gettempdir()) / f"matinee-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if folder.is_dir() and not folder.is_symlink() and (status.st_uid, status.st_mode & 0o077) == (os.getuid(), 0):
            return folder
    except OSError:
        pass  # a file of somebody else is in the way
    return Path(tempfile.mkdtemp(prefix="matinee-"))


def _flush(path: Path, mode: int | None = None) -> None:
    """Have a file, or the names in a folder, on disk before anything refers to them."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if mode is not None:
            os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    """Remove a folder with read-only folders inside; what another process removes meanwhile is fine."""
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
