"""What a version's last requests are remembered for, and when its first minutes end it."""

import pytest

from matinee.core.errors import ClassifierFailed, DeadlineExceeded, Overloaded, TextTooLong
from matinee.core.events import BatchRun, Predicted
from matinee.core.prediction import ModelIdentity, Prediction
from matinee.rollout.budget import LoadBudget
from matinee.rollout.options import ProbationLimits
from matinee.rollout.recent import MAX_CHARACTERS, Probation, Recent
from matinee.rollout.watcher import pause

MODEL = ModelIdentity("films", "v1", "sha256:1", "./models")
PREDICTION = Prediction("positive", {"negative": 0.1, "positive": 0.9}, 3, 1, truncated=False)


def answered(text: str = "a good film", seconds: float = 0.01) -> Predicted:
    """One request."""
    return Predicted(MODEL, (PREDICTION,), seconds, 0.0, texts=(text,))


def test_remembers_the_last_texts_and_only_what_tells_something() -> None:
    """Neither answers from the cache, nor lists, nor endless texts."""
    recent = Recent(3)
    for number in range(5):
        recent.observe(answered(f"film {number}"))
    recent.observe(answered("cached")._replace(cached=1))
    recent.observe(answered()._replace(predictions=(PREDICTION,) * 2, texts=("one", "two")))
    recent.observe(answered("x" * (MAX_CHARACTERS + 1)))
    assert [item.text for item in recent.seen] == ["film 2", "film 3", "film 4"]
    assert recent.seen[0].label == "positive"


class Trial:
    """A probation with a clock of its own."""

    def __init__(self, before_ms: float = 10.0) -> None:
        self.now = 1000.0
        self.reasons: list[str] = []
        limits = ProbationLimits(seconds=60.0, minimum=20)
        self.probation = Probation(limits, before_ms, self.reasons.append, lambda: self.now)
        self.probation.begin()


def test_failures_of_the_model_end_a_version_once() -> None:
    """One failure in twenty is too much; the reason says how many."""
    trial = Trial()
    for _ in range(30):
        trial.probation.observe(answered())
    trial.probation.failed(ClassifierFailed("NaN"))
    assert trial.reasons == []
    for _ in range(5):
        trial.probation.failed(RuntimeError("broken"))
    assert trial.reasons == ["2 of its first 32 requests failed"]


@pytest.mark.parametrize("error", [Overloaded("full"), TextTooLong("text", "long"), KeyboardInterrupt()])
def test_what_callers_or_the_load_do_is_not_the_models_fault(error: BaseException) -> None:
    """Refusals and mistakes of callers do not count."""
    trial = Trial()
    for _ in range(100):
        trial.probation.failed(error)
    assert trial.reasons == []


def test_requests_that_come_to_nothing_while_the_model_ends_nothing_end_a_version() -> None:
    """It hangs. Requests that are late in a long queue do not count, for there the model ends batch after batch."""
    late = DeadlineExceeded("no answer within 30 seconds")
    trial = Trial()
    for _ in range(5):
        for _ in range(19):
            trial.probation.failed(late)
        trial.probation.observe(BatchRun(MODEL, 1, 3, 3, 0.01))
    assert trial.reasons == []
    for _ in range(19):
        trial.probation.failed(late)
        trial.probation.observe(answered()._replace(cached=1))
    trial.probation.failed(late)
    assert trial.reasons == ["20 requests in a row got no answer in time, and the model ended nothing"]


def test_a_latency_far_above_that_before_ends_a_version() -> None:
    """Measured at the 95th percentile, and only above the floor."""
    for before_ms, seconds, ends in ((10.0, 0.3, True), (100.0, 0.3, False), (1.0, 0.19, False), (0.0, 5.0, False)):
        trial = Trial(before_ms)
        for _ in range(60):
            trial.probation.observe(answered(seconds=seconds))
        assert bool(trial.reasons) is ends, (before_ms, seconds)


def test_after_its_first_minutes_a_version_stays() -> None:
    """Later failures are for the alerts."""
    trial = Trial()
    trial.now += 61.0
    for _ in range(100):
        trial.probation.failed(ClassifierFailed("NaN"))
    assert trial.reasons == []


def test_looks_are_spread_and_patient() -> None:
    """The interval within 10 %; after failures never sooner, and at most a minute apart or the interval."""
    assert all(27 <= pause(30.0, 0) <= 33 for _ in range(100))
    assert len({pause(30.0, 0) for _ in range(10)}) > 1
    assert 0.9 <= pause(1.0, 1) <= 1.1
    assert 7.2 <= pause(1.0, 4) <= 8.8
    assert all(54 <= pause(1.0, failures) <= 66 for failures in (7, 20, 5000))
    assert all(27 <= pause(30.0, failures) <= 66 for failures in range(1, 20))
    assert pause(300.0, 5) >= 270


def test_the_budget_lets_a_burst_through_and_then_one_at_a_time() -> None:
    """Three at once, then one in thirty seconds."""
    now = 0.0
    budget = LoadBudget(3, 30.0, lambda: now)
    for _ in range(3):
        assert budget.wait() == 0
        budget.spend()
    assert budget.wait() == pytest.approx(30.0)
    now = 15.0
    assert budget.wait() == pytest.approx(15.0)
    now = 30.0
    assert budget.wait() == 0
    now = 10_000.0
    assert budget.wait() == 0
