"""How versions change: the figures that an operator may set, each with a default that suits a small server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from matinee.engine import EngineLimits


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What a candidate must keep to before it answers anybody.

    `golden` is a file of JSON lines `{"text": …, "label": …}` (None: the manifest's own examples), `golden_share`
    the share of them that must come out right, `score_tolerance` how far a known score may be off. `flips` is the
    largest share of the last `recent_texts` requests that may change their label; it is judged from
    `flip_minimum` texts on. A text may take `latency_ms`, and `latency_ratio` times what callers saw of the live
    version once it takes more than `latency_floor_ms` (95th percentiles). `memory_bytes` is what loading may take
    (0: nine tenths of what is free), `load_seconds` and `answer_seconds` the time limits of loading and of the
    trial. `label_names` renames the candidate's labels, where a new version calls them differently.
    """

    golden: Path | None = None
    golden_share: float = 1.0
    score_tolerance: float = 0.05
    flips: float = 0.2
    flip_minimum: int = 20
    recent_texts: int = 200
    latency_ms: float = 2000.0
    latency_ratio: float = 5.0
    latency_floor_ms: float = 50.0
    memory_bytes: int = 0
    load_seconds: float = 60.0
    answer_seconds: float = 10.0
    label_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProbationLimits:
    """When a new version is taken back by itself.

    During its first `seconds`, from `minimum` requests on: the share of requests that it fails may be `failures`,
    and the 95th percentile of its latency `latency_ratio` times that of the version before it, once it is above
    `latency_floor_ms`. It also goes when `minimum` requests in a row come to no answer in time while it runs nothing
    to its end. `seconds` 0 switches it off.
    """

    seconds: float = 300.0
    minimum: int = 20
    failures: float = 0.05
    latency_ratio: float = 5.0
    latency_floor_ms: float = 200.0


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    """How one deployment follows its reference.

    `poll_seconds` lie between two looks at the registry (0: only when hinted), `poll_timeout` limits one look,
    `warm_seconds` is how long the previous version stays in memory. A new version is loaded at most `load_burst`
    times in a row and then once in `load_every` seconds, so that a flapping alias does not thrash. `state_dir`
    holds the history (None: it is kept in memory only), `queue_size` is how many texts may wait.
    """

    poll_seconds: float = 30.0
    poll_timeout: float = 30.0
    warm_seconds: float = 600.0
    load_burst: int = 3
    load_every: float = 30.0
    state_dir: Path | None = None
    queue_size: int = 2048
    engine: EngineLimits = field(default_factory=EngineLimits)
    gate: GateLimits = field(default_factory=GateLimits)
    probation: ProbationLimits = field(default_factory=ProbationLimits)
