"""The cache: complete or not there, one transfer for many, and never without what is used."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from matinee.core.errors import CorruptBundle
from matinee.sources.cache import Cache, cache_folder
from matinee.sources.locks import Lock, exclusive
from matinee.sources.records import Record

KIB = 1024
RECORD = Record("ref", "ref", "v1", "", pinned=False)
_spawn = multiprocessing.get_context("spawn")


def _cache(folder: Path, max_bytes: int = 100 * KIB) -> Cache:
    return Cache(folder, max_bytes, max_files=100, max_bundle_bytes=100 * KIB)


def _writer(content: bytes) -> Callable[[Path], None]:
    def fill(into: Path) -> None:
        (into / "sub").mkdir()
        (into / "sub" / "model.bin").write_bytes(content)

    return fill


def _record(version: str) -> Record:
    return Record("ref", "ref", version, "", pinned=False)


def _nothing(_into: Path) -> None:
    raise AssertionError("must not be transferred again")


def test_a_transfer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Neither a bundle nor a staging folder; the next one starts from the beginning."""
    cache = _cache(tmp_path)

    def fail(into: Path) -> None:
        _writer(b"half")(into)
        raise CorruptBundle("cut short")

    with pytest.raises(CorruptBundle):
        cache.transferred(RECORD, fail, 1)
    assert list((tmp_path / "bundles").iterdir()) == list((tmp_path / "staging").iterdir()) == []
    assert cache.transferred(RECORD, _writer(b"whole"), 1)[0].is_dir()


def test_equal_content_is_kept_once(tmp_path: Path) -> None:
    """Two revisions with the same files are one folder."""
    cache = _cache(tmp_path)
    first = cache.transferred(_record("v1"), _writer(b"same"), 1)
    second = cache.transferred(_record("v2"), _writer(b"same"), 1)
    assert first == second
    assert len(cache.entries()) == 1


@pytest.mark.parametrize("damage", ["content", "missing", "extra", "link"])
def test_a_damaged_bundle_is_thrown_away_and_transferred_again(tmp_path: Path, damage: str) -> None:
    """What lies in the cache is compared with its name before each use."""
    cache = _cache(tmp_path)
    folder, digest = cache.transferred(RECORD, _writer(b"right"), 1)
    for path in (folder, folder / "sub", folder / "sub" / "model.bin"):
        path.chmod(0o700)
    if damage == "content":
        (folder / "sub" / "model.bin").write_bytes(b"wrong")
    elif damage == "missing":
        (folder / "sub" / "model.bin").unlink()
    elif damage == "extra":
        (folder / "sub" / "more.bin").write_bytes(b"more")
    else:
        (folder / "sub" / "model.bin").unlink()
        (folder / "sub" / "model.bin").symlink_to("/etc/passwd")
    assert _cache(tmp_path).open(digest) is None
    assert cache.transferred(RECORD, _writer(b"right"), 1)[1] == digest


def test_the_one_unused_longest_goes_first_and_what_is_used_never(tmp_path: Path) -> None:
    """Three of four KiB in a cache of nine: the oldest goes, unless somebody holds it."""
    cache = _cache(tmp_path, 9 * KIB)
    digests = {}
    for number, version in enumerate(("held", "old", "newer")):
        _, digests[version] = cache.transferred(_record(version), _writer(bytes([number]) * 4 * KIB), 1)
        os.utime(tmp_path / "bundles" / f"{digests[version].removeprefix('sha256:')}.lock", (number, number))
        if version != "held":
            cache.release(digests[version])
    cache.transferred(_record("newest"), _writer(b"n" * 100), 1)
    kept = {entry.digest for entry in cache.entries()}
    assert digests["held"] in kept
    assert digests["old"] not in kept
    assert digests["newer"] in kept


def test_another_process_s_use_counts_as_well(tmp_path: Path) -> None:
    """A bundle that any process holds is live, and it stops being so when that process is killed."""
    cache = _cache(tmp_path, 5 * KIB)
    _, digest = cache.transferred(_record("v1"), _writer(b"1" * 4 * KIB), 1)
    cache.release(digest)
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path), digest], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    cache.transferred(_record("v2"), _writer(b"2" * 4 * KIB), 1)
    assert next(entry for entry in cache.entries() if entry.digest == digest).live
    holder.kill()
    holder.wait()
    holder.stdout.close()
    cache.transferred(_record("v3"), _writer(b"3" * 100), 1)
    assert digest not in {entry.digest for entry in cache.entries()}


_HOLD = """
import sys, time
from pathlib import Path
from matinee.sources.cache import Cache
cache = Cache(Path(sys.argv[1]), 5 * 1024, 100, 10**6)
assert cache.open(sys.argv[2])
print("held", flush=True)
time.sleep(600)
"""


def _transfer_and_count(folder: Path, go: Event) -> None:
    def fill(into: Path) -> None:
        with (folder / "transfers").open("a", encoding="utf-8") as log:
            log.write(f"{os.getpid()}\n")
        time.sleep(0.2)
        _writer(b"content")(into)

    go.wait()
    target, _ = _cache(folder).transferred(RECORD, fill, 60)
    assert (target / "sub" / "model.bin").read_bytes() == b"content"


def test_eight_processes_at_once_transfer_once(tmp_path: Path) -> None:
    """Whoever comes first transfers; the others wait and find it."""
    go = _spawn.Event()
    processes = [_spawn.Process(target=_transfer_and_count, args=(tmp_path, go)) for _ in range(8)]
    for process in processes:
        process.start()
    go.set()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    assert len((tmp_path / "transfers").read_text(encoding="utf-8").splitlines()) == 1


def _transfer_until_killed(folder: Path) -> None:
    def fill(into: Path) -> None:
        (into / "half.bin").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    _cache(folder).transferred(RECORD, fill, 60)


def test_a_process_killed_half_way_is_in_nobody_s_way(tmp_path: Path) -> None:
    """Its lock is free at once, its half is never seen, and the next transfer removes it."""
    process = _spawn.Process(target=_transfer_until_killed, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    cache = _cache(tmp_path)
    assert cache.entries() == []
    assert len([path for path in (tmp_path / "staging").iterdir() if path.is_dir()]) == 1
    folder, _ = cache.transferred(RECORD, _writer(b"whole"), seconds=5)
    assert [path.name for path in folder.iterdir()] == ["sub"]
    assert list((tmp_path / "staging").iterdir()) == []


def test_waiting_for_another_transfer_has_an_end(tmp_path: Path) -> None:
    """A transfer that takes too long is given up on, by those who wait for it."""
    cache = _cache(tmp_path)
    lock = Lock(tmp_path / "locks" / f"{RECORD.key}.lock")
    assert lock.try_acquire()
    with pytest.raises(TimeoutError):
        cache.transferred(RECORD, _nothing, seconds=0.1)
    lock.release()


def test_only_this_user_may_look_into_the_cache(tmp_path: Path) -> None:
    """Folders 0700, files read-only, whatever the umask."""
    before = os.umask(0)
    try:
        folder, _ = _cache(tmp_path / "cache").transferred(RECORD, _writer(b"x"), 1)
    finally:
        os.umask(before)
    assert (tmp_path / "cache" / "bundles").stat().st_mode & 0o077 == 0
    assert (folder / "sub" / "model.bin").stat().st_mode & 0o777 == 0o400


def test_without_a_usable_home_the_cache_is_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder of this user alone, found again by the next process, and one line that says so."""
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cache_folder.cache_clear()
    folder = cache_folder()
    cache_folder.cache_clear()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0
    assert cache_folder() == folder
    cache_folder.cache_clear()
    assert "CACHE_DIR" in caplog.text


def test_a_configured_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    """No guessing where somebody said what they want."""
    assert cache_folder(tmp_path / "here") == tmp_path / "here"


def test_a_version_leaves_no_lock_behind(tmp_path: Path) -> None:
    """A server that follows an alias for years would fill the disk with them; and they keep others out all the same."""
    cache = _cache(tmp_path)
    for version in ("v1", "v2"):
        cache.transferred(_record(version), _writer(version.encode()), seconds=10)
    assert list((tmp_path / "locks").iterdir()) == []
    path, inside, together = tmp_path / "locks" / "one.lock", 0, 0

    def hold() -> None:
        nonlocal inside, together
        for _ in range(10):
            with exclusive(path, 60):
                inside += 1
                together = max(together, inside)
                inside -= 1

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == 1
