"""How often a new version may be loaded, so that an alias that flaps does not keep the processor busy."""

import time
from collections.abc import Callable


class LoadBudget:
    """`burst` loads in a row, then one in `every` seconds."""

    def __init__(self, burst: int, every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._every = every
        self._clock = clock
        self._left = float(burst)
        self._at = clock()

    def wait(self) -> float:
        """Seconds until the next load may begin; 0 for now."""
        self._refill()
        return max(0.0, (1.0 - self._left) * self._every)

    def spend(self) -> None:
        """A load begins."""
        self._refill()
        self._left -= 1.0

    def _refill(self) -> None:
        now = self._clock()
        if self._every > 0:
            self._left = min(self._burst, self._left + (now - self._at) / self._every)
        else:
            self._left = self._burst
        self._at = now
