"""Blocking work beside the event loop: in a daemon thread, so that work that hangs holds up neither loop nor exit."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar, cast

from matinee.core.errors import NotReady

T = TypeVar("T")
NICE = 10
_NAME = "matinee-background"


async def run(
    work: Callable[[], T], *, limit: float | None = None, nice: int = 0, late: Callable[[T], object] | None = None
) -> T:
    """Run `work` in a thread of its own and wait at most `limit` seconds for it.

    `nice` lowers the priority of that thread alone (Linux); threads that it starts inherit it, which is why a
    model that is going to answer is never loaded with one. Raises what `work` raises, `TimeoutError`, or `NotReady`
    when no thread can be started. The thread of a call that timed out or was cancelled is left behind, a daemon; its
    result goes to `late`, in a thread as well, so that what it holds can be given back.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[T | None, BaseException | None]] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not future.done():
            future.set_result((result, error))  # as a pair: a future takes no `StopIteration`, and then waits for ever
        elif late is not None and error is None:
            _start(lambda: late(cast("T", result)))

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

    _start(body)
    async with asyncio.timeout(limit):  # before Python 3.12 `wait_for` loses a cancellation that meets a result
        result, error = await future
    if error is not None:
        raise error
    return cast("T", result)


def _start(body: Callable[[], object]) -> None:
    try:
        threading.Thread(target=body, name=_NAME, daemon=True).start()
    except RuntimeError as error:  # says something of the moment, and nothing of what was to be done
        raise NotReady(f"no thread can be started: {error}") from error


def left_behind() -> bool:
    """Whether a thread still works although nobody waits for it."""
    return any(thread.name == _NAME for thread in threading.enumerate())


def lower_priority(nice: int) -> None:
    """Give the calling thread a lower priority; elsewhere than on Linux that would touch the whole process."""
    if nice and sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, 0, nice)
