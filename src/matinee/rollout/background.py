"""Blocking work beside the event loop: in a daemon thread, so that work that hangs holds up neither loop nor exit."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
NICE = 10


async def run(work: Callable[[], T], *, limit: float | None = None, nice: int = 0) -> T:
    """Run `work` in a thread of its own and wait at most `limit` seconds for it.

    `nice` lowers the priority of that thread alone (Linux); threads that it starts inherit it, which is why a
    model that is going to answer is never loaded with one. Raises what `work` raises, or `TimeoutError`; the
    thread of a timed-out call is left behind, a daemon whose result nobody reads.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # T may itself be None

    def body() -> None:
        lower_priority(nice)
        result: T | None = None
        error: BaseException | None = None
        try:
            result = work()
        except BaseException as raised:  # noqa: BLE001 - handed over to the awaiting task, whatever it is
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    threading.Thread(target=body, name="matinee-rollout", daemon=True).start()
    async with asyncio.timeout(limit):  # before Python 3.12 `wait_for` loses a cancellation that meets a result
        return await future


def lower_priority(nice: int) -> None:
    """Give the calling thread a lower priority; elsewhere than on Linux that would touch the whole process."""
    if nice and sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, 0, nice)
