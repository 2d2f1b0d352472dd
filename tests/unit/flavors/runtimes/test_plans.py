"""Which plan is used, and where what was found out is kept."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from matinee.flavors import LoadOptions
from matinee.flavors.runtimes import Plan, cpu, plans
from matinee.flavors.runtimes.keeping import keep
from matinee.flavors.runtimes.plans import best_guess, compiled_path, keep_plan, plan_for

TUNED = Plan("openvino", "f32", streams=3, threads=3, batch_tokens=77)
DIGEST = "sha256:weights"


def test_options_override_the_guess() -> None:
    """What is asked for is done; the rest is chosen."""
    plan = best_guess(LoadOptions(threads=8, streams=5, precision="bf16", runtime="onnxruntime", batch_tokens=99))
    assert plan == Plan("onnxruntime", "bf16", streams=5, threads=8, batch_tokens=99)
    assert best_guess(LoadOptions(device="cuda")).device == "cuda"


@pytest.mark.parametrize(("threads", "streams"), [(1, 1), (2, 2), (3, 3), (4, 2), (7, 3), (8, 2), (32, 8)])
def test_few_threads_take_a_batch_each(threads: int, streams: int) -> None:
    """More threads for one batch only where there are many."""
    assert best_guess(LoadOptions(threads=threads)).streams == streams


def test_a_tuned_plan_is_used_for_the_same_weights_when_nothing_is_asked_for(tmp_path: Path) -> None:
    """Not for other weights, not against what the options say, and not without a cache."""
    options = LoadOptions(cache_dir=tmp_path)
    keep_plan(DIGEST, TUNED, tmp_path)
    assert plan_for(DIGEST, options) == TUNED
    assert plan_for("sha256:others", options) == best_guess(options)
    assert plan_for(DIGEST, replace(options, threads=1)).threads == 1
    assert plan_for(DIGEST, LoadOptions()) == best_guess(LoadOptions())


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"runtime": "none.such"}'])
def test_a_plan_that_cannot_be_read_is_ignored(tmp_path: Path, content: str) -> None:
    """A damaged file costs speed, not the start."""
    keep_plan(DIGEST, TUNED, tmp_path).write_text(content)
    assert plan_for(DIGEST, LoadOptions(cache_dir=tmp_path)) == best_guess(LoadOptions())


def test_a_plan_for_a_runtime_that_is_gone_is_ignored(tmp_path: Path) -> None:
    """Tuned with a package that was removed since."""
    keep_plan(DIGEST, replace(TUNED, runtime="none_such"), tmp_path)
    assert plan_for(DIGEST, LoadOptions(cache_dir=tmp_path)).runtime != "none_such"


def test_compiled_graphs_differ_by_weights_and_precision(tmp_path: Path) -> None:
    """A file is never taken for another's, nor another runtime's; however many streams there are, it is the same."""
    one, another = replace(TUNED, runtime="one"), replace(TUNED, runtime="another")
    all_plans = [TUNED, replace(TUNED, streams=1), replace(TUNED, precision="bf16"), replace(TUNED, device="cuda")]
    all_plans += [one, another]
    paths = {compiled_path(digest, plan, tmp_path) for plan in all_plans for digest in (DIGEST, "sha256:others")}
    assert len(paths) == 10
    assert compiled_path(DIGEST, TUNED, None) is None


def test_a_runtime_that_is_not_installed_is_not_missed_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens the graph says what to install; here it was a traceback."""
    monkeypatch.setattr(plans, "_PACKAGES", ("no_such_runtime",))
    assert compiled_path(DIGEST, replace(TUNED, runtime="no_such_runtime"), tmp_path) is not None


def test_only_the_newest_files_are_kept(tmp_path: Path) -> None:
    """The cache does not grow without end, and nothing half-written stays."""
    for number in range(30):
        keep(tmp_path / "kept" / str(number), b"x")
    assert len(list((tmp_path / "kept").iterdir())) == 16


def test_the_processor_is_known() -> None:
    """At least one CPU is ours, and the fingerprint is the same each time."""
    assert cpu.available() >= 1
    assert cpu.fingerprint() == cpu.fingerprint()


def test_full_weights_are_not_rounded_by_a_guess(tmp_path: Path) -> None:
    """8-bit arithmetic for a checkpoint in full precision is for who asks, or has measured."""
    assert plan_for(DIGEST, LoadOptions(), int8=False).precision in {"bf16", "f32"}
    assert plan_for(DIGEST, LoadOptions(precision="int8"), int8=False).precision == "int8"
    options = LoadOptions(cache_dir=tmp_path)
    keep_plan(DIGEST, replace(best_guess(options), precision="int8"), tmp_path)
    assert plan_for(DIGEST, options, int8=False).precision == "int8"


def test_what_cannot_be_kept_leaves_nothing(tmp_path: Path) -> None:
    """Neither half a file nor a temporary one: a folder is in its place."""
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        keep(tmp_path / "taken", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_several_processes_keep_files_in_one_folder(tmp_path: Path) -> None:
    """What one sees half written is in place, or gone, when it asks how old it is: no reason to fail."""

    def write(number: int) -> None:
        for turn in range(100):
            keep(tmp_path / f"{number}-{turn % 3}.bin", b"content")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"content"}
