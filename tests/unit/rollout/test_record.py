"""What is passed over, and for how long."""

import asyncio
from pathlib import Path

from matinee.core.bundle import Revision
from matinee.core.reference import ModelRef
from matinee.rollout.history import Entry
from matinee.rollout.record import Record

REFERENCE = ModelRef.parse("wandb:team/films/model:production")
REVISION = Revision(REFERENCE, "v2", "md5:2")


def test_what_arrived_damaged_is_passed_over_for_some_time_only() -> None:
    """The bytes may come right later, without anybody who asks for them."""
    now = 1000.0

    async def scene() -> None:
        nonlocal now
        record = Record("films", str(REFERENCE), None, lambda: now)
        record.add(Entry.refused(REVISION, "pull", ("the files are not those of the artifact",)))
        record.try_again(REVISION.key, 600.0)
        for later, held in ((0.0, True), (599.0, True), (600.0, False), (9000.0, False)):
            now = 1000.0 + later
            assert record.is_held(REVISION.key) is held
        record.add(Entry.refused(REVISION, "gate", ("too slow",)))
        now = 1e9
        assert record.is_held(REVISION.key), "what the version itself is to blame for lasts"
        await record.flush()

    asyncio.run(scene())


def test_what_a_full_disk_did_not_take_is_written_later_and_in_order(tmp_path: Path) -> None:
    """Else a restart would bring back what was gone back from; the problem is told for as long as it lasts."""

    async def scene() -> None:
        folder = tmp_path / "state"
        record = Record("films", str(REFERENCE), folder)
        folder.write_text("a file is in the way")
        record.add(Entry.refused(REVISION, "gate", ("too slow",)))
        await record.flush()
        assert record.problem == "the history cannot be written: File exists"
        folder.unlink()
        record.add(Entry.refused(REVISION, "gate", ("too large",)))
        await record.flush()
        assert record.problem == ""
        again = Record("films", str(REFERENCE), folder)
        assert [entry.reasons for entry in again.entries] == [("too slow",), ("too large",)]

    asyncio.run(scene())


def test_a_history_that_cannot_be_read_is_a_problem_that_is_told(tmp_path: Path) -> None:
    """The server answers all the same; what an earlier process went back from is not known then."""
    (tmp_path / "history-films.jsonl").mkdir()
    record = Record("films", str(REFERENCE), tmp_path)
    assert record.entries == []
    assert record.problem.startswith("the history cannot be read: ")
    assert record.problem.endswith("Is a directory")


def test_what_was_left_is_passed_over_until_the_reference_means_something_else() -> None:
    """Also when it was left in another process."""
    record = Record("films", str(REFERENCE), None)
    record.leave(REVISION.key)
    record.means(REVISION.key)
    assert record.is_held(REVISION.key)
    assert record.left == REVISION.key
    record.means(("v3", "md5:3"))
    assert not record.is_held(REVISION.key)
    assert record.left is None
