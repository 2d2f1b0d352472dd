"""May one more request come in? An exact bound on the texts that are waiting or running."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from matinee.core.errors import Overloaded, TooManyTexts

_LONGEST_RETRY_AFTER = 30  # seconds; a client that waits longer has better things to ask
_SPEED_WEIGHT = 0.1  # of the newest interval in the running mean


class Admission:
    """Counts the texts held by all versions of one deployment; refuses at once when there is no room.

    A list may fill three quarters of the room; the last quarter is kept for single texts, so that a client who
    sends long lists cannot lock out the others.
    """

    def __init__(self, capacity: int = 2048, clock: Callable[[], float] = monotonic) -> None:
        self.capacity = capacity
        self.held = 0
        self._clock = clock
        self._seconds_per_text = 0.0
        self._busy_since = 0.0

    @contextmanager
    def hold(self, texts: int, timeout: float = math.inf) -> Iterator[None]:
        """Hold room for `texts` texts while they are answered.

        Raises `Overloaded` when there is none, or when the texts in front will take longer than `timeout` seconds;
        `TooManyTexts` when there never will be.
        """
        if texts > self.capacity:
            raise TooManyTexts("texts", f"at most {self.capacity} texts fit into the queue")
        kept_for_singles = self.capacity // 4 if texts > 1 and self.held else 0
        wait = self.held * self._seconds_per_text
        if self.held + texts > self.capacity - kept_for_singles or wait > timeout:
            raise Overloaded("the queue is full, try again later", self._retry_after(wait))
        if not self.held:
            self._busy_since = self._clock()
        self.held += texts
        try:
            yield
        finally:
            self.held -= texts

    def answered(self, texts: int) -> None:
        """Note that `texts` texts were answered: the speed behind `Retry-After` and the early refusals."""
        now = self._clock()
        seconds = (now - self._busy_since) / texts
        self._busy_since = now
        weight = _SPEED_WEIGHT if self._seconds_per_text else 1.0
        self._seconds_per_text += weight * (seconds - self._seconds_per_text)

    def _retry_after(self, wait: float) -> int:
        return min(max(math.ceil(wait), 1), _LONGEST_RETRY_AFTER)
