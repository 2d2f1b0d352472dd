"""What people are told about a deployment: plain values, for the API, the readiness probe and the terminal."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from matinee.rollout.history import Entry
from matinee.rollout.live import Live


@dataclass(frozen=True, slots=True)
class VersionState:
    """One version; `since` is in seconds since the epoch, `metrics` are the manifest's, `figures` the gate's."""

    version: str
    digest: str
    reference: str
    since: float
    stale: bool
    flavor: str
    labels: tuple[str, ...]
    metrics: Mapping[str, object] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CandidateState:
    """A version that is being looked at, and how far it has come (`pull`, `verify`, `gate`, `load`)."""

    version: str
    stage: str


@dataclass(frozen=True, slots=True)
class RefusalState:
    """The last version that was looked at and did not come to answer, and why."""

    version: str
    stage: str
    reasons: tuple[str, ...]
    at: float
    figures: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, entry: Entry) -> "RefusalState":
        """What the history says about it."""
        return cls(entry.version, entry.cause, entry.reasons, entry.at, entry.figures)


@dataclass(frozen=True, slots=True)
class PollState:
    """The last look at the registry: `outcome` is `same`, `differs`, `failed` or, before the first, `none`.

    `stale_seconds` since the registry last answered; 0 for what is not followed.
    """

    outcome: str
    at: float
    seconds: float
    reason: str
    stale_seconds: float


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """Everything about one deployment; `following` is false for a pinned version, and for a poll interval of 0."""

    name: str
    reference: str
    ready: bool
    stale: bool
    following: bool
    live: VersionState | None
    previous: VersionState | None
    candidate: CandidateState | None
    refused: RefusalState | None
    poll: PollState
    error: str
    queued: int


def describe(live: Live) -> VersionState:
    """A version as people see it."""
    return VersionState(
        version=live.identity.version,
        digest=live.identity.digest,
        reference=live.reference,
        since=live.since,
        stale=live.stale,
        flavor=live.manifest.flavor,
        labels=live.labels,
        metrics=live.manifest.metrics,
        figures=live.figures,
    )
