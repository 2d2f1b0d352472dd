"""What was made of a model, kept in the cache, so that it is made once: graphs of checkpoints, sums of pipelines."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
    held = _hold(folder)
    while held is None:
        held = _made(folder, make) or _hold(folder)
    try:
        os.utime(folder)
        yield folder
    finally:
        os.close(held)
    prune(root)


def make_whole(folder: Path, make: Callable[[Path], None]) -> None:
    """Fill a folder beside and move it into place whole; another process may have been quicker."""
    if (held := _made(folder, make)) is not None:
        os.close(held)


def _made(folder: Path, make: Callable[[Path], None]) -> int | None:
    """The same, with the lock that the folder has had from its beginning; None where another was quicker."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staging = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, staging, ignore_errors=True)
        held = _hold(staging)
        if held is not None:
            undo.callback(os.close, held)
        make(staging)
        for path in staging.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        try:
            staging.replace(folder)
        except OSError:
            if not folder.is_dir():
                raise
            return None
        undo.pop_all()
        return held


def prune(root: Path, most: int = KEPT) -> None:
    """Remove all but the `most` last used; what a crash left half-made grows old too, and goes with them.

    What a start reads or makes right now stays: several deployments may begin at once.
    """
    for folder in sorted(root.iterdir(), key=last_used, reverse=True)[most:]:
        if (held := _hold(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)) is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)


def _hold(folder: Path, lock: int = fcntl.LOCK_SH) -> int | None:
    """An open descriptor with a lock on `folder`; None where it is gone, or the lock of another forbids this one."""
    try:
        held = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    if _locked(held, lock) and _is(folder, held):
        return held
    os.close(held)
    return None


def _locked(held: int, lock: int) -> bool:
    try:
        fcntl.flock(held, lock)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: as if nobody else were there
        pass
    return True


def _is(folder: Path, held: int) -> bool:
    """Whether what is open is still what has the name."""
    try:
        return os.path.samestat(os.fstat(held), folder.stat())
    except FileNotFoundError:
        return False


def last_used(path: Path) -> float:
    """Seconds since the epoch; 0 for what another process has removed or renamed in the meantime."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
