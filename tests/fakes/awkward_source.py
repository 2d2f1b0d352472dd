"""An installed source of another package, whose client does what clients do on a bad day.

`awkward:WAY` goes wrong in one WAY; `install` puts it where the processes that are started find it.
"""

import os
import signal
import tempfile
import threading
from pathlib import Path

from matinee.core.bundle import Revision
from matinee.core.reference import ModelRef
from matinee.sources import SourceOptions

_POINTS = "[matinee.sources]\nawkward = tests.fakes.awkward_source:AwkwardSource\n"
_ROOT = Path(__file__).parents[2]


class AwkwardSource:
    """Answers at once for `well`, and otherwise as the reference says."""

    settings = "AWKWARD_URL"

    def __init__(self, options: SourceOptions) -> None:
        self._looks = 0

    def resolve(self, ref: ModelRef) -> Revision:
        """Count the looks, so that a kept client can be told from a new one."""
        self._looks += 1
        if ref.rest == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if ref.rest == "hang":
            Path(tempfile.gettempdir(), "hanging").touch()
            threading.Event().wait()
        if ref.rest == "noise":
            os.write(1, b"this is not an answer\n")
        if ref.rest == "telemetry":
            return Revision(ref, os.environ["MLFLOW_DISABLE_TELEMETRY"])
        if ref.rest == "secret":
            raise RuntimeError(f"401 for key {os.environ['AWKWARD_API_KEY']}\nand a second line")
        return Revision(ref, f"look {self._looks}", details={"size": "1000"})

    def pull(self, revision: Revision, into: Path) -> None:
        """Write a file of 1,000 bytes, which begins with the number of looks before; `stall` stops in the middle."""
        with (into / "model.skops").open("wb") as file:
            file.write(f"looks {self._looks} ".encode().ljust(500, b"x"))
            file.flush()
            if revision.reference.rest == "stall":
                threading.Event().wait()
            file.write(b"x" * 500)


def install(folder: Path) -> str:
    """Make an installed distribution of this module in `folder`, and return the PYTHONPATH that finds it."""
    about = folder / "awkward-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: awkward\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(_POINTS, encoding="utf-8")
    return os.pathsep.join([str(folder), str(_ROOT)])
