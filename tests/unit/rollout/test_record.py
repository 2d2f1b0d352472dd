"""What is passed over, and for how long."""

import asyncio

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
