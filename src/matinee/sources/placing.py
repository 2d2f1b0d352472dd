"""A copy of a pulled bundle at a place of the operator's, where the original endpoint kept its one model.

The server never reads that copy: it loads from the cache. Nothing that somebody else put there is touched.
"""

import os
import shutil
from pathlib import Path

from matinee.core.digest import content_digest, file_sha256
from matinee.core.errors import CorruptBundle
from matinee.sources.locks import exclusive
from matinee.sources.tree import hashes, walk

_LOCK_SECONDS = 60.0
_MAX_FILES, _MAX_BYTES = 10_000, 20 * 1024**3


def place(bundle: Path, target: Path) -> bool:
    """Put the bundle's files at `target`: a file when it has only one, else a folder.

    What stands there is replaced only when it is, unchanged, what an earlier call put there; returns False when it is
    something else. The hidden folder `.NAME.matinee` beside it says what was put there, and is where the copy is made,
    so that `target` is never half a model. Raises `OSError` when the place cannot be written to (`TimeoutError`
    when another process is slow).
    """
    own = target.parent / f".{target.name}.matinee"
    own.mkdir(mode=0o755, parents=True, exist_ok=True)
    with exclusive(own / "lock", _LOCK_SECONDS):
        names = list(walk(bundle, _MAX_FILES, _MAX_BYTES))
        single = names[0] if len(names) == 1 else None
        new, old, note = own / "new", own / "old", own / "digest"
        for left in (new, old):
            _remove(left)
        found = _fingerprint(target)
        wanted = _fingerprint(bundle / single if single else bundle)
        if found == wanted:
            return True
        if found is not None and (not note.is_file() or found != note.read_text("ascii")):
            return False
        _copy(bundle, names, new, single)
        if found is not None:
            target.rename(old)
        new.rename(target)
        _remove(old)
        fresh = own / "digest.new"
        fresh.write_text(str(wanted), "ascii")
        fresh.replace(note)
        return True


def _fingerprint(path: Path) -> str | None:
    """What `path` holds, a file or a folder of plain files; None when there is nothing, `?` for anything else."""
    if not os.path.lexists(path):
        return None
    if path.is_symlink():
        return "?"
    if path.is_file():
        return content_digest({"": file_sha256(path)})
    try:
        files = walk(path, _MAX_FILES, _MAX_BYTES)
        return content_digest(hashes(path, files)) if files else None
    except (CorruptBundle, NotADirectoryError):
        return "?"


def _copy(bundle: Path, names: list[str], new: Path, single: str | None) -> None:
    """Copies, not hard links: whoever edits them must not change what is being served."""
    for name in names:
        copy = new if single else new / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle / name, copy)
        with copy.open("rb") as file:
            os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
