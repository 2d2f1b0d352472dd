"""When to look at the registry again."""

import asyncio

import pytest

from matinee.rollout import watcher
from matinee.rollout.watcher import Watcher


@pytest.mark.parametrize("turns", range(5))
def test_a_cancellation_that_meets_a_hint_is_not_lost(turns: int) -> None:
    """Wherever the hint has got to meanwhile: whoever closes a deployment waits for its task to end."""

    async def scene() -> None:
        async def look() -> bool:
            return True

        watching = Watcher(look, 60.0)
        task = asyncio.create_task(watching.run())
        await asyncio.sleep(0.01)
        watching.hint()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=10)
        task.cancel()
        assert done == {task}

    asyncio.run(scene())


def test_a_storm_of_hints_is_no_storm_of_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one leads to a look at once, those that follow to one more after the shortest pause."""
    monkeypatch.setattr(watcher, "SHORTEST_PAUSE", 3600.0)

    async def scene() -> int:
        looks = 0

        async def look() -> bool:
            nonlocal looks
            looks += 1
            return True

        watching = Watcher(look, 0)
        task = asyncio.create_task(watching.run())
        for _ in range(100):
            watching.hint()
            await asyncio.sleep(0.001)
        task.cancel()
        return looks

    assert asyncio.run(scene()) == 1
