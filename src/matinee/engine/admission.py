"""May one more request come in? An exact bound on the texts that are waiting or running."""

import math
from collections.abc import Callable
from time import monotonic
from types import TracebackType

from matinee.core.errors import Overloaded, TooManyTexts

_LONGEST_RETRY_AFTER = 30  # seconds; a client that waits longer has better things to ask
_SPEED_WEIGHT = 0.01  # of the newest answer in the running mean: texts differ by ten times in length
_MARGIN = 0.75  # of a deadline that the wait may be expected to take: the mean is off by some 7 %, at first by more
_ENOUGH = 20  # intervals that a speed must rest on before anything is refused because of it
_SINGLES_SHARE = 64  # one place in so many is for single texts


class Admission:
    """Counts the texts held by all versions of one deployment; refuses at once when there is no room.

    A few places are kept for single texts, so that a client who sends long lists cannot lock out the others. A few are
    enough: the work on lists lets a single text in between (`Batcher.submit`), so that it leaves soon. And they are so
    few that two lists of a thousand fit into the default queue.
    """

    def __init__(self, capacity: int = 2048, clock: Callable[[], float] = monotonic) -> None:
        self.capacity = capacity
        self.held = 0
        self._clock = clock
        self._seconds_per_text = 0.0
        self._intervals = 0
        self._last = 0.0
        self._more_was_waiting = False

    def hold(self, texts: int, timeout: float = math.inf) -> "Held":
        """Hold room for `texts` texts until the end of the block that this opens.

        Raises `Overloaded` when there is none, or when the texts in front will take too long for `timeout` seconds:
        better refused now than given up after all this time. `TooManyTexts` when there never will be room.
        """
        if texts > self.capacity:
            raise TooManyTexts("texts", f"at most {self.capacity} texts fit into the queue")
        kept_for_singles = max(self.capacity // _SINGLES_SHARE, 1) if texts > 1 and self.held else 0
        wait = self.held * self._seconds_per_text
        too_late = wait > _MARGIN * timeout and self._intervals >= _ENOUGH
        if self.held + texts > self.capacity - kept_for_singles or too_late:
            raise Overloaded("the queue is full, try again later", self._retry_after(wait))
        return Held(self, texts)

    def release(self, texts: int) -> None:
        """`Held` is over."""
        self.held -= texts
        self._more_was_waiting = self._more_was_waiting and self.held > 0

    def answered(self, texts: int) -> None:
        """Note that `texts` texts were answered: the speed behind `Retry-After` and the early refusals.

        Only what is answered while more is waiting tells how quick we are: otherwise the callers set the pace.
        """
        now = self._clock()
        if self._more_was_waiting:
            self._intervals += 1
            weight = max(_SPEED_WEIGHT, 1 / self._intervals)
            self._seconds_per_text += weight * ((now - self._last) / texts - self._seconds_per_text)
        self._last, self._more_was_waiting = now, self.held > texts

    def _retry_after(self, wait: float) -> int:
        return min(max(math.ceil(wait), 1), _LONGEST_RETRY_AFTER)


class Held:
    """Room for some texts, from the beginning of a block to its end."""

    __slots__ = ("_admission", "_texts")

    def __init__(self, admission: Admission, texts: int) -> None:
        self._admission = admission
        self._texts = texts

    def __enter__(self) -> None:
        self._admission.held += self._texts

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.release(self._texts)
