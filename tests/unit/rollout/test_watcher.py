"""When to look at the registry again."""

import asyncio

import pytest

from matinee.rollout.watcher import Watcher


@pytest.mark.parametrize("turns", range(5))
def test_a_cancellation_that_meets_a_hint_is_not_lost(turns: int) -> None:
    """Wherever the hint has got to meanwhile: whoever closes a deployment waits for its task to end."""

    async def scene() -> None:
        async def look() -> bool:
            return True

        watcher = Watcher(look, 60.0)
        task = asyncio.create_task(watcher.run())
        await asyncio.sleep(0.01)
        watcher.hint()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=10)
        task.cancel()
        assert done == {task}

    asyncio.run(scene())
