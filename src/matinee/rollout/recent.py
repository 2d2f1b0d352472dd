"""The last requests of a version: what a candidate is compared with, and whether a new version does well."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from matinee.core.errors import ClassifierFailed, DeadlineExceeded, MatineeError
from matinee.core.events import BatchRun, Event, Predicted
from matinee.rollout.options import ProbationLimits

MAX_CHARACTERS = 20_000  # of one remembered text; longer ones are passed over, so the memory stays bounded
CHECK_EVERY = 20  # answers between two looks at the latency


@dataclass(frozen=True, slots=True)
class Seen:
    """A text that was answered, its label, and the seconds that its caller waited."""

    text: str
    label: str
    seconds: float


class Recent:
    """The last `size` texts that one version answered, in memory only."""

    def __init__(self, size: int) -> None:
        self._seen: deque[Seen] = deque(maxlen=size)

    def observe(self, event: Event) -> None:
        """Listen to an engine; cached answers and long lists are passed over."""
        if not isinstance(event, Predicted) or event.cached or len(event.texts) != 1:
            return
        if len(event.texts[0]) <= MAX_CHARACTERS:
            self._seen.append(Seen(event.texts[0], event.predictions[0].label, event.seconds))

    @property
    def seen(self) -> list[Seen]:
        """Oldest first."""
        return list(self._seen)


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of `values` do not exceed (nearest rank); 0 for none."""
    ranked = sorted(values)
    return ranked[min(int(share * len(ranked)), len(ranked) - 1)] if ranked else 0.0


class Probation:
    """Watches the first minutes of a version and calls `breach` once, with the reason, when it does badly."""

    def __init__(
        self,
        limits: ProbationLimits,
        before_ms: float,
        breach: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._before_ms = before_ms
        self._breach = breach
        self._clock = clock
        self._ends = 0.0
        self._answered = 0
        self._failed = 0
        self._late = 0  # requests in a row that got no answer in time, while the model ran nothing to its end
        self._latencies: deque[float] = deque(maxlen=200)

    def begin(self) -> None:
        """The version answers from now on."""
        self._ends = self._clock() + self._limits.seconds
        self._answered = self._failed = self._late = 0
        self._latencies.clear()

    def observe(self, event: Event) -> None:
        """Listen to the version's engine."""
        if isinstance(event, BatchRun):
            self._late = 0
        if not isinstance(event, Predicted) or self._over():
            return
        self._answered += 1
        if not event.cached:
            self._late = 0
            self._latencies.append(event.seconds * 1000 / len(event.predictions))
        if self._answered % CHECK_EVERY == 0:
            self._check_latency()

    def failed(self, error: BaseException) -> None:
        """A request ended with `error`; only what is the model's own fault counts.

        A request that took too long may have waited behind others, so of these only a row of them counts, during
        which the model ended nothing: it hangs.
        """
        if not isinstance(error, Exception) or self._over():
            return
        if isinstance(error, DeadlineExceeded):
            self._late += 1
            if self._late >= self._limits.minimum:
                self._end(f"{self._late} requests in a row got no answer in time, and the model ended nothing")
        elif isinstance(error, ClassifierFailed) or not isinstance(error, MatineeError):
            self._count_failure()

    def _count_failure(self) -> None:
        self._failed += 1
        total = self._answered + self._failed
        if total >= self._limits.minimum and self._failed > self._limits.failures * total:
            self._end(f"{self._failed} of its first {total} requests failed")

    def _check_latency(self) -> None:
        limits, measured = self._limits, percentile(list(self._latencies), 0.95)
        if len(self._latencies) < limits.minimum or not self._before_ms or measured < limits.latency_floor_ms:
            return
        if measured > limits.latency_ratio * self._before_ms:
            self._end(f"answers took {measured:.0f} ms (95th percentile), and {self._before_ms:.0f} ms before")

    def _over(self) -> bool:
        return self._clock() >= self._ends

    def _end(self, reason: str) -> None:
        self._ends = 0.0
        self._breach(reason)
