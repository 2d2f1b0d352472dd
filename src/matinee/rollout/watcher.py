"""When to look at the registry again: a timer with jitter, a hint that cuts it short, patience when it is away."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

LONGEST_PAUSE = 60.0
SHORTEST_PAUSE = 0.5  # from one look to the next, however many hints come: the registry is not ours alone


def pause(interval: float, failures: int) -> float:
    """Seconds until the next look: `interval` within 10 %; after failures 1, 2, 4 … 60, never sooner than usual."""
    backoff = 2.0 ** min(failures - 1, 10) if failures else 0.0
    wanted = min(max(interval, backoff), max(interval, LONGEST_PAUSE))
    return wanted * random.uniform(0.9, 1.1)  # noqa: S311 - spreads the load of many servers, no secret


class Watcher:
    """Calls `look` again and again, one at a time; `look` answers whether the registry did.

    `interval` is in seconds; 0 means that only a hint leads to a look.
    """

    def __init__(self, look: Callable[[], Awaitable[bool]], interval: float) -> None:
        self._look = look
        self._interval = interval
        self._hinted = asyncio.Event()
        self._good = time.monotonic()

    @property
    def stale_seconds(self) -> float:
        """Seconds since the registry last answered."""
        return time.monotonic() - self._good

    def hint(self) -> None:
        """Look now; many hints before the next look are one."""
        self._hinted.set()

    def seen(self) -> None:
        """The registry has answered just now."""
        self._good = time.monotonic()

    async def run(self) -> None:
        """Look for ever, until cancelled."""
        failures = 0
        while True:
            await self.wait(failures)
            if await self._look():
                failures = 0
            else:
                failures += 1
            await asyncio.sleep(min(SHORTEST_PAUSE, self._interval or SHORTEST_PAUSE))

    async def wait(self, failures: int, interval: float | None = None) -> None:
        """Wait for the next look: the timer (of another `interval`, perhaps) or a hint, whichever comes first."""
        seconds = self._interval if interval is None else interval
        try:
            async with asyncio.timeout(pause(seconds, failures) if seconds else None):
                await self._hinted.wait()
        except TimeoutError:
            return
        finally:
            self._hinted.clear()
