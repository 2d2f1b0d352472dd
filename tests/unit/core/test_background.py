"""Work beside the event loop: its result, its time limit, and the task that no longer wants it."""

import asyncio
import threading

import pytest

from matinee.core import background


def test_a_result_a_failure_and_a_limit_reach_whoever_waits() -> None:
    """The three ways in which work can end."""

    def failing() -> None:
        raise LookupError("nothing there")

    assert asyncio.run(background.run(lambda: 7)) == 7
    with pytest.raises(LookupError, match="nothing there"):
        asyncio.run(background.run(failing))
    with pytest.raises(TimeoutError):
        asyncio.run(background.run(threading.Event().wait, limit=0.01))


@pytest.mark.parametrize("limit", [None, 60.0])
def test_a_cancellation_that_meets_a_result_is_not_lost(limit: float | None) -> None:
    """Whoever closes a deployment cancels its task and waits for it: a swallowed cancellation waits for ever."""

    async def scene() -> None:
        known, finish = set(threading.enumerate()), threading.Event()
        task = asyncio.create_task(background.run(lambda: finish.wait(60), limit=limit))
        await asyncio.sleep(0.01)
        (thread,) = set(threading.enumerate()) - known
        finish.set()
        thread.join(60)  # the loop stands still meanwhile: the result is on its way, and the cancellation right behind
        asyncio.get_running_loop().call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())


def test_work_that_raises_what_no_future_takes_does_not_wait_for_ever() -> None:
    """`StopIteration` is such an error, and foreign code may raise it."""

    async def scene() -> None:
        async with asyncio.timeout(10):
            await background.run(lambda: next(iter(())))

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(scene())


@pytest.mark.parametrize("cancelled", [True, False])
def test_what_comes_too_late_is_given_back(cancelled: bool) -> None:
    """A model that was loaded after its time, or for a deployment that is being closed, must not stay in memory."""

    async def scene() -> None:
        finish, given_back = threading.Event(), asyncio.Event()
        loop, late = asyncio.get_running_loop(), list[str]()

        def work() -> str:
            finish.wait(60)
            return "model"

        def give_back(result: str) -> None:
            late.append(result)
            loop.call_soon_threadsafe(given_back.set)

        task = asyncio.create_task(background.run(work, limit=60.0 if cancelled else 0.01, late=give_back))
        if cancelled:
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError if cancelled else TimeoutError):
            await task
        finish.set()
        async with asyncio.timeout(60):
            await given_back.wait()
        assert late == ["model"]

    asyncio.run(scene())
