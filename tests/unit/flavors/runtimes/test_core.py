"""Sessions come and go while versions are swapped; a signal must not meet what the closed ones left behind."""

import subprocess
import sys
from pathlib import Path

import matinee

MODEL = Path(matinee.__file__).parent / "bundled/imdb-sentiment-transformer/model.onnx"
PROGRAM = """
import os, signal, sys
from pathlib import Path
from matinee.flavors.runtimes import Plan
from matinee.flavors.runtimes.openvino import open_session
signal.signal(signal.SIGTERM, lambda *_: print("heard"))
first, second = (open_session(Path(sys.argv[1]), Plan("openvino", "f32", 1, 1, 64), None) for _ in range(2))
first.close()
second.close()
del first, second
os.kill(os.getpid(), signal.SIGTERM)
print("alive")
"""


def test_a_signal_is_heard_after_overlapping_sessions_were_closed() -> None:
    """With an OpenVINO core for each session, SIGTERM ended the process with a segmentation fault."""
    run = subprocess.run([sys.executable, "-c", PROGRAM, MODEL], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.split()) == (0, ["heard", "alive"]), run.stderr
