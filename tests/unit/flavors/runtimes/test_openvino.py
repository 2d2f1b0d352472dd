"""Compiled graphs are kept, and a kept one that is not sound is compiled again."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
from tests.unit.flavors.bundles import FIXTURES

from matinee.core.errors import ModelRejected
from matinee.flavors.runtimes import Plan, open_session
from matinee.flavors.runtimes.openvino import OpenVinoSession

GRAPH = FIXTURES / "tiny-onnx" / "model.onnx"
IDS = np.array([[2, 5, 9, 3], [2, 7, 3, 0]], dtype=np.int64)
MASK = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], dtype=np.int64)


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
def test_a_kept_graph_answers_the_same(tmp_path: Path, precision: str) -> None:
    """In every precision, without the graph's own file."""
    plan, kept = Plan("openvino", precision, 1, 1, 64), tmp_path / "kept.bin"
    first = open_session(GRAPH, plan, kept)
    second = open_session(tmp_path / "gone.onnx", plan, kept)
    np.testing.assert_array_equal(first.run(IDS, MASK), second.run(IDS, MASK))
    first.close()
    second.close()


def test_what_one_stream_compiled_serves_several(tmp_path: Path) -> None:
    """A version's trial compiles, and the server takes it over with streams of its own."""
    kept = tmp_path / "kept.bin"
    trial = open_session(GRAPH, Plan("openvino", "int8", 1, 1, 64), kept)
    server = open_session(tmp_path / "gone.onnx", Plan("openvino", "int8", 2, 2, 64), kept)
    with ThreadPoolExecutor(2) as pool:
        for answer in pool.map(server.run, [IDS] * 8, [MASK] * 8):
            np.testing.assert_allclose(answer, trial.run(IDS, MASK), atol=1e-5)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_one_is_compiled_again(tmp_path: Path, damage: str) -> None:
    """Whatever happened to the file, the answers are right and the file is whole afterwards."""
    plan, kept = Plan("openvino", "f32", 1, 1, 64), tmp_path / "kept.bin"
    expected = open_session(GRAPH, plan, kept).run(IDS, MASK)
    whole = kept.read_bytes()
    flipped = bytes([*whole[:100], whole[100] ^ 1]) + whole[101:]
    kept.write_bytes({"cut": whole[:-9], "flipped": flipped, "empty": b"", "foreign": b"x" * 999}[damage])
    np.testing.assert_array_equal(open_session(GRAPH, plan, kept).run(IDS, MASK), expected)
    assert open_session(tmp_path / "gone.onnx", plan, kept).run(IDS, MASK).shape == (2, 2)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    """Here a file stands where the folder should be."""
    (tmp_path / "file").write_text("")
    session = open_session(GRAPH, Plan("openvino", "f32", 1, 1, 64), tmp_path / "file" / "kept.bin")
    assert session.run(IDS, MASK).shape == (2, 2)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_graph_that_is_none_is_refused(tmp_path: Path, runtime: str) -> None:
    """With a sentence that names the file."""
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a graph")
    with pytest.raises(ModelRejected, match=r"broken\.onnx cannot be run by"):
        open_session(broken, Plan(runtime, "f32", 1, 1, 64))


def test_both_runtimes_agree() -> None:
    """The same graph, the same numbers."""
    plans = (Plan(runtime, "f32", 1, 1, 64) for runtime in ("openvino", "onnxruntime"))
    one, two = (open_session(GRAPH, plan).run(IDS, MASK) for plan in plans)
    np.testing.assert_allclose(one, two, atol=1e-4)


def test_alone_or_beside_others_the_answers_are_the_same(tmp_path: Path) -> None:
    """A batch that is alone has the threads of all streams; several at once, also from a kept graph, have their own."""
    for kept in (None, tmp_path / "kept.bin", tmp_path / "kept.bin"):
        session = open_session(GRAPH, Plan("openvino", "f32", 2, 2, 64), kept)
        alone = session.run(IDS, MASK)
        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(session.run, [IDS] * 20, [MASK] * 20))
        np.testing.assert_allclose(together, [alone] * 20, atol=1e-5)
        session.close()


class Request:
    """A request of OpenVINO that tells its name when it runs, and goes on when it may."""

    def __init__(self, name: str, began: SimpleQueue[str], may_end: Event) -> None:
        self.name, self.began, self.may_end = name, began, may_end

    def infer(self, inputs: object, share_inputs: bool) -> None:
        """Run."""
        self.began.put(self.name)
        self.may_end.wait(60)

    def get_output_tensor(self, place: int) -> SimpleNamespace:
        """Two rows of logits."""
        return SimpleNamespace(data=np.zeros((2, 2)))


def test_only_what_is_alone_gets_the_threads_of_all() -> None:
    """The first of two takes them, the second has its own thread; the next one that is alone takes them again."""
    began: SimpleQueue[str] = SimpleQueue()
    may_end = Event()

    def compiled(name: str) -> SimpleNamespace:
        return SimpleNamespace(inputs=[], create_infer_request=lambda: Request(name, began, may_end))

    session = OpenVinoSession(compiled("narrow"), 2, compiled("wide"))
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(session.run, IDS, MASK)]
        assert began.get(timeout=60) == "wide"
        running.append(pool.submit(session.run, IDS, MASK))
        assert began.get(timeout=60) == "narrow"
        may_end.set()
        for each in running:
            each.result(60)
    session.run(IDS, MASK)
    assert began.get(timeout=60) == "wide"


OVERLAPPING = """
import signal, sys
from pathlib import Path
from matinee.flavors.runtimes import Plan, open_session

signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
plan = Plan("openvino", "f32", 1, 1, 64)
sessions = [open_session(Path(sys.argv[1]), plan, None) for _ in range(2)]
while sessions:
    sessions.pop(0).close()
signal.raise_signal(signal.SIGTERM)
"""


def test_signals_arrive_after_models_came_and_went() -> None:
    """Two that overlap, as in a swap: a process of its own, since a failure is a segmentation fault."""
    done = subprocess.run([sys.executable, "-c", OVERLAPPING, str(GRAPH)], check=False, capture_output=True)
    assert done.returncode == 7, done.stderr


KERNELS = """
import re, sys
from pathlib import Path
import numpy as np
from matinee.flavors.runtimes import Plan, open_session

def kernels():  # KiB of code that was made here, and not read from a file
    total, counted = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if mapping := re.match(r"[0-9a-f]+-[0-9a-f]+ (\\S+) \\S+ \\S+ \\d+\\s*(.*)", line):
            counted = "x" in mapping[1] and not mapping[2].startswith(("/", "[v"))
        elif counted and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total

for length in (16, 24, 32, 40):
    session = open_session(Path(sys.argv[1]), Plan("openvino", "int8", 1, 1, 64), None)
    for rows in range(1, 33):
        session.run(*np.ones((2, rows, length), dtype=np.int64))
    session.close()
    print(kernels())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_was_made_for_closed_models_does_not_add_up() -> None:
    """Kernels of models that came and went: a bounded number of them stays, not those of each."""
    done = subprocess.run([sys.executable, "-c", KERNELS, str(GRAPH)], check=True, capture_output=True, text=True)
    first, *_, last = map(int, done.stdout.split())
    assert first > 500
    assert last < 1.3 * first


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_graph_with_other_inputs_is_refused_by_their_names(tmp_path: Path, runtime: str) -> None:
    """It would fail at the first text, with the runtime's own words."""
    other = tmp_path / "other.onnx"
    other.write_bytes(GRAPH.read_bytes().replace(b"attention_mask", b"attention_bias"))
    with pytest.raises(
        ModelRejected, match=r"other\.onnx takes attention_bias, input_ids.*: it must take input_ids and"
    ):
        open_session(other, Plan(runtime, "f32", 1, 1, 64))


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_graph_that_takes_one_text_at_a_time_is_refused_with_the_remedy(tmp_path: Path, runtime: str) -> None:
    """What an export without dynamic axes makes; it would fail at the first batch, with the runtime's own words."""
    fixed = tmp_path / "fixed.onnx"
    # a dimension of the format: its name (field 2), or its size (field 1), here in as many bytes
    fixed.write_bytes(GRAPH.read_bytes().replace(b"\x12\x05batch", b"\x08\x81\x80\x80\x80\x80\x00"))
    with pytest.raises(ModelRejected, match=r"fixed\.onnx takes texts x tokens of 1 x any only"):
        open_session(fixed, Plan(runtime, "f32", 1, 1, 64))
