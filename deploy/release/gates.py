"""The two gates: is the candidate right at all (smoke), and is it as good as what it replaces (watch)?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from deploy.release.caller import Answer, Caller, Golden, complaints
from deploy.release.config import Limits
from deploy.release.control import Seen
from deploy.release.errors import GateFailed

_BETWEEN_TRIES = 0.5


class Clock(Protocol):
    """Time, so that tests need not wait for it."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def stamp(self) -> str:
        """The time of day as RFC 3339 in UTC."""


def smoke(caller: Caller, url: str, golden: Sequence[Golden], version: str, limits: Limits, clock: Clock) -> None:
    """Health and golden answers at an address that may still be starting; raises `GateFailed` with every reason."""
    deadline = clock.now() + limits.smoke_timeout_seconds
    while True:
        health = caller.get(f"{url}/api/health")
        if health.status == 200 and isinstance(health.body, dict) and health.body.get("status") is True:
            break
        if clock.now() >= deadline:
            raise GateFailed(f"smoke test: GET /api/health answered {health.status or 'nothing'}")
        clock.sleep(_BETWEEN_TRIES)
    wrong = complaints(caller.predict(url, [each.text for each in golden]), golden, version)
    if wrong:
        raise GateFailed("smoke test: " + "; ".join(wrong))


@dataclass(slots=True)
class Samples:
    """What was seen of one revision: probes of ours and requests of real callers."""

    count: int = 0
    errors: int = 0
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def probe(self, answer: Answer, golden: Sequence[Golden], version: str) -> None:
        """Count one exchange of ours: time, failure, wrong answers."""
        self.count += 1
        self.seconds.append(answer.seconds)
        if answer.status == 200:
            self.wrong += complaints(answer, golden, version)
        else:
            self.errors += 1

    def with_requests(self, requests: Sequence[Seen]) -> "Samples":
        """These samples and the real requests; a caller's own mistake (4xx) is no error of the revision."""
        failed = sum(request.status >= 500 for request in requests)
        return Samples(self.count + len(requests), self.errors + failed, self.seconds, self.wrong)

    @property
    def error_share(self) -> float:
        """Failed of all, between 0 and 1."""
        return self.errors / self.count if self.count else 0.0

    @property
    def p95(self) -> float:
        """The 95th percentile of the probes' times, nearest rank; 0 without any."""
        ordered = sorted(self.seconds)
        return ordered[math.ceil(0.95 * len(ordered)) - 1] if ordered else 0.0


def verdict(candidate: Samples, stable: Samples, limits: Limits, *, final: bool = True) -> list[str]:
    """Every reason against the candidate; empty when it may go on.

    Both are probed at the same moments with the same texts, so that a slow network or a busy platform slows both.
    Times are judged at the end (`final`): a percentile of the first few would be their slowest.
    """
    reasons = list(dict.fromkeys(candidate.wrong))
    if candidate.error_share > max(limits.max_error_share, stable.error_share):
        reasons.append(
            f"{candidate.errors} of {candidate.count} requests failed, at most {limits.max_error_share:.1%} may",
        )
    allowed = max(stable.p95 * limits.max_latency_ratio, limits.latency_floor_seconds)
    if final and candidate.p95 > allowed:
        reasons.append(f"95 % of the answers take up to {candidate.p95:.3f} s, allowed are {allowed:.3f} s")
    return reasons
