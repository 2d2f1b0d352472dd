"""The history survives crashes and restarts, stays bounded, and says what is passed over."""

import subprocess
import sys
from pathlib import Path

from matinee.core.bundle import Revision
from matinee.core.prediction import ModelIdentity
from matinee.core.reference import ModelRef
from matinee.rollout import history as module
from matinee.rollout.history import Entry, History

REFERENCE = ModelRef.parse("wandb:team/films/model:production")


def revision(version: str) -> Revision:
    """A version of the reference."""
    return Revision(REFERENCE, version, f"md5:{version}", details={"id": version})


def live(version: str, cause: str = "follow", held: tuple[str, str] | None = None) -> Entry:
    """That version came to answer."""
    identity = ModelIdentity("films", version, f"sha256:{version}", str(REFERENCE))
    return Entry.live(identity, revision(version), cause, held=held)


def test_entries_are_the_same_after_a_restart(tmp_path: Path) -> None:
    """What was written is read, oldest first, and leads back to its revision."""
    history = History(tmp_path / "state" / "history.jsonl")
    entries = [live("v1", "start"), Entry.refused(revision("v2"), "gate", ("too slow",), figures={"flip_share": 0.5})]
    for entry in entries:
        history.add(entry)
        history.write(entry)
    again = History(tmp_path / "state" / "history.jsonl")
    assert again.entries == entries
    assert again.entries[0].revision(REFERENCE) == revision("v1")
    assert again.entries[0].revision(REFERENCE).details == {"id": "v1"}


def test_a_line_that_a_crash_cut_short_costs_only_itself(tmp_path: Path) -> None:
    """Wherever the cut is, the entries before are read, and the ones after are written on a new line."""
    path = tmp_path / "history.jsonl"
    first, second, third = live("v1"), live("v2"), live("v3")
    for cut in (1, 10, len(second.to_line()) - 1):
        path.write_bytes(first.to_line() + second.to_line()[:cut])
        History(path).write(third)
        kept = [entry.version for entry in History(path).entries]
        assert kept in (["v1", "v3"], ["v1", "v2", "v3"]), cut


def test_what_is_not_ours_is_passed_over(tmp_path: Path) -> None:
    """Nonsense in the file is no reason not to start."""
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"\x00\xff\n[]\n{}\n" + live("v1").to_line())
    assert [entry.version for entry in History(path).entries] == ["v1"]


def test_the_files_stay_bounded(tmp_path: Path) -> None:
    """A file past its bound is put aside, and the newest entries are still there after a restart."""
    path = tmp_path / "history.jsonl"
    line = len(live("v1").to_line())
    history = History(path)
    path.write_bytes(live("old").to_line() * (module.MAX_BYTES // line + 1))
    for number in range(3):
        history.write(live(f"v{number}"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["history.jsonl", "history.jsonl.1"]
    assert path.stat().st_size < module.MAX_BYTES
    assert [entry.version for entry in History(path).entries[-3:]] == ["v0", "v1", "v2"]


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """Nor when the file is full at that moment: one puts it aside, and the other must not put aside the new one."""
    script = (
        "import sys\nfrom contextlib import suppress\nfrom pathlib import Path\n"
        "from matinee.rollout import history as h\n"
        "h.MAX_BYTES = 10_000; history = h.History(Path(sys.argv[1]))\n"
        "for n in range(400):\n    history.write(h.Entry('live', 'follow', f'{sys.argv[2]}{n}', '', 's', ('v', '')))\n"
        "    with suppress(FileNotFoundError):\n"
        "        Path(sys.argv[1] + '.1').rename(f'{sys.argv[1]}.1.{sys.argv[2]}{n}')\n"
    )
    path = tmp_path / "history.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", script, str(path), name]) for name in "ab"]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    lines = [line for file in tmp_path.iterdir() for line in file.read_bytes().splitlines()]
    found = {entry.version for line in lines if (entry := Entry.from_line(line)) is not None}
    assert len(found) == len(lines) == 800


def test_refused_and_left_revisions_are_held_until_they_are_live_again(tmp_path: Path) -> None:
    """Refused: held. Gone back from: held. Live by another way: not held any more."""
    history = History(None)
    v1, v2, v3 = (revision(version).key for version in ("v1", "v2", "v3"))
    for entry in (live("v1"), live("v2"), live("v1", "rollback", held=v2)):
        history.add(entry)
    history.add(Entry.refused(revision("v3"), "verify", ("wrong bytes",)))
    assert history.held(str(REFERENCE)) == {v2, v3}
    assert history.held("./elsewhere") == set()
    history.add(live("v2", "reload"))
    assert history.held(str(REFERENCE)) == {v3}
    assert v1 not in history.held(str(REFERENCE))


def test_a_thousand_long_reasons_are_a_short_entry() -> None:
    """A folder can be wrong in every one of its files; the history is kept in memory."""
    entry = Entry.refused(revision("v1"), "verify", ("x" * 1000,) * 1000)
    assert len(entry.to_line()) < 16_384
    assert entry.reasons[-1].startswith("… and 980 more")
