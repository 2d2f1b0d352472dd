"""How much one turn of the event loop takes on, so that the next one comes soon.

The loop reads from every socket that has something, and then runs all that this started. Where the model answers on the
event loop, thousands of requests that arrive together would make one turn of seconds, in which no probe is answered, no
connection is accepted and nothing is refused. What waits here costs no more than its place: a body is read from the
socket when its request begins, so that the senders are slowed down and not the probes.
"""

import asyncio
from collections import deque
from collections.abc import Callable

REQUESTS_PER_TURN = 16  # at a third of a millisecond each, the work of a quick model: some 5 ms
UNHINDERED = frozenset({"/livez", "/readyz", "/startupz"})  # requests that nobody may keep waiting


class Turnstile:
    """Starts a bounded number of requests in one turn; the others wait, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._started = 0

    def enter(self, loop: asyncio.AbstractEventLoop, path: str, start: Callable[[], None]) -> None:
        """Call `start` now if this turn has room for it, or if `path` is a probe's; in a later turn otherwise."""
        if path not in UNHINDERED:
            if self._started == REQUESTS_PER_TURN:
                self._waiting.append(start)
                return
            if not self._started:
                loop.call_soon(self._turn, loop)
            self._started += 1
        start()

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._started = min(len(self._waiting), REQUESTS_PER_TURN)
        if self._started:
            loop.call_soon(self._turn, loop)
        for _ in range(self._started):
            self._waiting.popleft()()
