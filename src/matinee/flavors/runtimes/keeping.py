"""Files in the cache that a crash cannot leave half written."""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from matinee.flavors.exported import last_used

_KEPT = 16  # files in a folder; one of a transformer weighs some 25 MB


def keep(path: Path, content: bytes | memoryview) -> None:
    """Write the file whole or not at all, and forget the oldest ones beside it; raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as partial, ExitStack() as undo:
        undo.callback(Path(partial.name).unlink)
        partial.write(content)
        partial.flush()
        os.fsync(partial.fileno())
        Path(partial.name).replace(path)
        undo.pop_all()
    for old in sorted(path.parent.iterdir(), key=last_used, reverse=True)[_KEPT:]:
        old.unlink(missing_ok=True)
