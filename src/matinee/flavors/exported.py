"""Graphs made from checkpoints, kept in the cache, so that a model is exported once."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# The most recently used stay; one weighs as much as its checkpoint.
KEPT = 4


@contextmanager
def exported(key: str, cache_dir: Path | None, make: Callable[[Path], None]) -> Iterator[Path]:
    """The folder that `make` filled for what is called `key`: from the cache, or made now.

    Without a cache the folder goes away at the end of the block: by then the runtime has read it.
    """
    if cache_dir is None:
        with tempfile.TemporaryDirectory(prefix="matinee-") as temporary:
            make(Path(temporary))
            yield Path(temporary)
        return
    root = cache_dir / "graphs"
    folder = root / hashlib.sha256(key.encode()).hexdigest()[:32]
    if not folder.is_dir():
        _make(folder, make)
    os.utime(folder)
    yield folder
    _prune(root)


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    """Fill a folder beside and move it into place whole; another process may have been quicker."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        make(staging)
        for path in staging.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        try:
            staging.replace(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _prune(root: Path) -> None:
    """Remove all but the last used; what a crash left half-made grows old too, and goes with them."""
    folders = sorted(root.iterdir(), key=_last_used, reverse=True)
    for folder in folders[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)


def _last_used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0
