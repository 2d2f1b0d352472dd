"""A client in a process of its own: answers, time limits, crashes, secrets, and nothing left behind."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.awkward_source import install

from matinee.core.bundle import Revision
from matinee.core.errors import SourceUnavailable
from matinee.core.plugins import UnknownPlugin
from matinee.core.reference import ModelRef
from matinee.sources import Progress, SourceOptions, Sources


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", install(tmp_path / "installed"))
    monkeypatch.syspath_prepend(str(tmp_path / "installed"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Sources]:
    made = _sources(tmp_path)
    yield made
    made.close()


def _sources(tmp_path: Path, **options: float) -> Sources:
    return Sources(SourceOptions(cache_dir=tmp_path / "cache", attempts=1, **options))  # type: ignore[arg-type]


def _resolve(sources: Sources, way: str) -> Revision:
    return sources.resolve(ModelRef.parse(f"awkward:{way}"))


def test_the_client_is_kept_from_one_look_to_the_next(sources: Sources) -> None:
    """A second look is a question to the same client, not a new one."""
    assert [_resolve(sources, "well").version for _ in range(3)] == ["look 1", "look 2", "look 3"]


def test_the_client_that_looked_transfers_and_the_next_look_has_a_new_one(sources: Sources, tmp_path: Path) -> None:
    """Its library is imported already, most of what a small transfer takes; and no cache outlives a transfer."""
    _resolve(sources, "well")
    bundle = sources.pull(_resolve(sources, "well"))
    assert (bundle.folder / "model.skops").read_bytes().startswith(b"looks 2 ")
    assert list((tmp_path / "cache" / "staging").iterdir()) == []
    again = sources.pull(Revision(ModelRef.parse("awkward:other"), "1"))
    assert (again.folder / "model.skops").read_bytes().startswith(b"looks 0 ")
    assert _resolve(sources, "well").version == "look 1"


@pytest.mark.parametrize(("pinned", "clients"), [(False, 1), (True, 0)])
def test_a_version_that_answers_has_a_client_ready_for_the_next_look(
    sources: Sources, tmp_path: Path, pinned: bool, clients: int
) -> None:
    """Importing its library would be most of what a webhook waits for; a pinned version is never looked after."""
    bundle = sources.pull(Revision(ModelRef.parse("awkward:well"), "1", pinned=pinned))
    sources.confirm(bundle)
    assert len([path for path in (tmp_path / "cache" / "staging").iterdir() if path.is_dir()]) == clients


def test_a_transfer_does_not_wait_for_a_look(tmp_path: Path) -> None:
    """The client that looks may be hanging, for another model of the same registry."""
    sources = _sources(tmp_path, resolve_seconds=600)
    well = _resolve(sources, "well")
    threading.Thread(target=_resolve, args=(sources, "hang"), daemon=True).start()
    while not (hanging := list((tmp_path / "cache" / "staging").glob("*/hanging"))):
        threading.Event().wait(0.01)
    bundle = sources.pull(well)
    assert (bundle.folder / "model.skops").read_bytes().startswith(b"looks 0 ")
    assert hanging[0].exists()


def test_what_libraries_print_is_no_answer(sources: Sources) -> None:
    """Their standard output goes nowhere."""
    assert _resolve(sources, "noise").version == "look 1"


def test_a_client_is_told_to_send_no_telemetry(sources: Sources) -> None:
    """MLflow looks while it is imported, and its thread for it makes requests fail now and then."""
    assert _resolve(sources, "telemetry").version == "true"


def test_a_client_that_crashes_is_one_error_and_the_next_look_has_a_new_one(sources: Sources) -> None:
    """A killed process is not the end of polling."""
    _resolve(sources, "well")
    with pytest.raises(SourceUnavailable, match="ended without an answer"):
        _resolve(sources, "crash")
    assert _resolve(sources, "well").version == "look 1"


def test_a_client_that_hangs_is_ended(tmp_path: Path) -> None:
    """The limit is kept from outside, and the next look has a new client."""
    sources = _sources(tmp_path, resolve_seconds=0.3)
    with pytest.raises(SourceUnavailable, match="in time"):
        _resolve(sources, "hang")
    sources.close()


def test_a_transfer_that_stalls_is_ended(tmp_path: Path) -> None:
    """Not a byte for too long is a failure long before the whole limit; its files and its process are gone."""
    sources = _sources(tmp_path, stall_seconds=0.3)
    with pytest.raises(SourceUnavailable, match="not a byte"):
        sources.pull(_resolve(sources, "stall"))
    sources.close()
    assert list((tmp_path / "cache" / "staging").iterdir()) == []
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_transfer_tells_how_far_it_is(tmp_path: Path) -> None:
    """Bytes on disk of the bytes that the registry stated."""
    steps: list[Progress] = []
    sources = Sources(SourceOptions(cache_dir=tmp_path / "cache", attempts=1, stall_seconds=0.5, progress=steps.append))
    with pytest.raises(SourceUnavailable):
        sources.pull(_resolve(sources, "stall"))
    sources.close()
    assert (steps[-1].done, steps[-1].total) == (500, 1000)


def test_an_unexpected_error_is_one_sentence_without_the_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a library raises may quote a key; what people see names what to check instead."""
    monkeypatch.setenv("AWKWARD_API_KEY", "canary-0123456789")
    sources = _sources(tmp_path)
    with pytest.raises(SourceUnavailable, match="check AWKWARD_URL") as failed:
        _resolve(sources, "secret")
    sources.close()
    assert "canary" not in failed.value.message
    assert "second line" not in failed.value.message


def test_an_unknown_source_is_told_with_the_known_ones(sources: Sources) -> None:
    """A plugin's name is among them."""
    with pytest.raises(UnknownPlugin, match="awkward"):
        sources.resolve(ModelRef.parse("nowhere:model"))


def test_a_client_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Killed without a chance to clean up, the parent takes its client along."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom matinee.core.reference import ModelRef\n"
        "from matinee.sources import SourceOptions, Sources\n"
        "s = Sources(SourceOptions(cache_dir=Path(sys.argv[1]), resolve_seconds=600))\n"
        "print(s.resolve(ModelRef.parse('awkward:well')).version, flush=True)\n"
        "s.resolve(ModelRef.parse('awkward:hang'))\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "cache")], stdout=subprocess.PIPE, env=environment
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"look 1\n"
    parent.kill()
    parent.wait()
    parent.stdout.close()
    gone = threading.Event()
    for _ in range(600):
        if not [path for path in (tmp_path / "cache" / "staging").iterdir() if path.is_dir()]:
            gone.set()
            break
        gone.wait(0.05)
    assert gone.is_set()


def test_a_client_removes_no_folder_but_its_own(tmp_path: Path) -> None:
    """Where its own is gone, or full, Python's next choice is a folder that belongs to everybody."""
    everybodys = tmp_path / "everybodys"
    everybodys.mkdir()
    (everybodys / "file").write_text("of somebody else")
    gone = str(tmp_path / "gone")
    setup = json.dumps({"source": "web", "options": {}, "workspace": gone}).encode() + b"\n"
    command = [sys.executable, "-P", "-m", "matinee.sources.worker"]
    environment = {**os.environ, "TMPDIR": gone, "TEMP": str(everybodys)}
    client = subprocess.run(command, input=setup, env=environment, timeout=60, start_new_session=True, check=False)
    assert client.returncode == -signal.SIGKILL, "it ends itself, as its parent is gone"
    assert (everybodys / "file").read_text() == "of somebody else"


def test_a_machine_without_a_process_to_spare_says_nothing_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a failed look, which is tried again, and not a model that cannot be served."""

    def none_left(*_arguments: object, **_more: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    sources = _sources(tmp_path)
    with monkeypatch.context() as exhausted:
        exhausted.setattr(subprocess, "Popen", none_left)
        with pytest.raises(SourceUnavailable, match="no process can be started"):
            _resolve(sources, "well")
    assert list((tmp_path / "cache" / "staging").iterdir()) == []
    assert _resolve(sources, "well").version == "look 1"
    sources.close()
