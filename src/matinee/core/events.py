"""Something that happened, told to whoever listens: metrics, logs and records are listeners, not layers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from matinee.core.prediction import ModelIdentity, Prediction


@dataclass(frozen=True, slots=True)
class ModelOpened:
    """A version was pulled, verified, loaded and warmed up, in `seconds`."""

    model: ModelIdentity
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelSwapped:
    """`model` answers from now on; `previous` is what answered before (none at the start).

    `cause` is one of `start`, `follow`, `reload`, `rollback`, `auto-rollback`.
    """

    model: ModelIdentity
    previous: ModelIdentity | None
    cause: str


@dataclass(frozen=True, slots=True)
class ModelRefused:
    """A candidate was not switched to; `stage` is where it failed (`resolve`, `pull`, `verify`, `load`, `gate`)."""

    name: str
    version: str
    stage: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GateJudged:
    """The gate's verdict on a candidate, with its figures."""

    model: ModelIdentity
    passed: bool
    figures: Mapping[str, float]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelClosed:
    """An old version was closed, after its last request."""

    model: ModelIdentity


@dataclass(frozen=True, slots=True)
class Polled:
    """A look at the registry: `outcome` is `same`, `differs` or `failed`; `stale_seconds` since the last good look."""

    name: str
    outcome: str
    seconds: float
    stale_seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BatchRun:
    """One `Classifier.run`: rows, their own tokens, tokens with padding, and how long it took."""

    model: ModelIdentity
    rows: int
    tokens: int
    padded_tokens: int
    seconds: float


class Predicted(NamedTuple):
    """One request was answered, in `seconds`, after `queue_seconds` of waiting.

    `texts` is there for observers that were explicitly allowed to record texts; logs and metrics never read it.
    It is a tuple for the reason that `Answer` is.
    """

    model: ModelIdentity
    predictions: tuple[Prediction, ...]
    seconds: float
    queue_seconds: float
    cached: int = 0
    request_id: str = ""
    texts: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Predicted({self.model.name} {self.model.version}, {len(self.predictions)} predictions)"


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """A request got no answer; `code` is the stable code of the error."""

    name: str
    code: str
    status: int


Event = (
    ModelOpened | ModelSwapped | ModelRefused | GateJudged | ModelClosed | Polled | BatchRun | Predicted | RequestFailed
)
Observe = Callable[[Event], None]


def fan_out(*observers: Observe) -> Observe:
    """One `Observe` that tells each of `observers`, in order.

    An observer must not raise and must not block: each bounds its own work and counts what it drops.
    """
    if len(observers) == 1:
        return observers[0]

    def observe(event: Event) -> None:
        for observer in observers:
            observer(event)

    return observe
