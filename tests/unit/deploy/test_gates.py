"""The gates say no for the right reasons only."""

from deploy.release.caller import Answer, Golden, complaints
from deploy.release.config import Limits
from deploy.release.control import Seen
from deploy.release.gates import Samples, verdict

LIMITS = Limits(max_error_share=0.01, max_latency_ratio=2.0, latency_floor_seconds=0.05)
GOLDEN = [Golden("good", "positive"), Golden("bad", "negative")]
RIGHT = {"predictions": [{"label": "positive"}, {"label": "negative"}], "model": {"version": "v1"}}


def _samples(count: int, errors: int = 0, seconds: float = 0.02) -> Samples:
    return Samples(count, errors, [seconds] * count)


def test_as_good_as_the_old_one_passes() -> None:
    """Same errors, same time."""
    assert verdict(_samples(20), _samples(20), LIMITS) == []


def test_more_errors_than_allowed_are_a_reason() -> None:
    """Counted, with the limit in the sentence."""
    assert verdict(_samples(20, errors=1), _samples(20), LIMITS) == ["1 of 20 requests failed, at most 1.0% may"]


def test_errors_that_the_old_revision_has_too_are_not_held_against_the_new() -> None:
    """A platform in trouble must not stop the release that mends it."""
    assert verdict(_samples(20, errors=2), _samples(20, errors=2), LIMITS) == []


def test_slower_than_allowed_is_a_reason_above_the_floor_only() -> None:
    """Twice of very little is very little."""
    assert verdict(_samples(20, seconds=0.04), _samples(20, seconds=0.01), LIMITS) == []
    assert len(verdict(_samples(20, seconds=0.3), _samples(20, seconds=0.1), LIMITS)) == 1
    assert verdict(_samples(20, seconds=0.19), _samples(20, seconds=0.1), LIMITS) == []


def test_times_are_judged_at_the_end_only() -> None:
    """One slow probe among the first few is no verdict."""
    slow, quick = _samples(1, seconds=0.3), _samples(1, seconds=0.1)
    assert verdict(slow, quick, LIMITS, final=False) == []
    assert len(verdict(slow, quick, LIMITS)) == 1


def test_a_callers_own_mistake_is_no_error_of_the_revision() -> None:
    """4xx is the caller's, 5xx the revision's."""
    seen = _samples(10).with_requests([Seen(422, 0.1), Seen(500, 0.1), Seen(200, 0.1)])
    assert (seen.count, seen.errors) == (13, 1)


def test_wrong_answers_are_named_once() -> None:
    """The same complaint from thirty probes is one reason."""
    samples = Samples()
    wrong = {**RIGHT, "predictions": [{"label": "negative"}, {"label": "negative"}]}
    for _ in range(3):
        samples.probe(Answer(200, 0.01, wrong), GOLDEN, "v1")
    assert verdict(samples, _samples(3), LIMITS) == ["golden review 0 is positive, and the answer was negative"]


def test_answers_are_checked_for_labels_number_and_version() -> None:
    """Everything that a caller would stumble over."""
    assert complaints(Answer(200, 0.1, RIGHT), GOLDEN, "v1") == []
    assert "should be version v2" in complaints(Answer(200, 0.1, RIGHT), GOLDEN, "v2")[0]
    assert "1 of 2" in complaints(Answer(200, 0.1, {**RIGHT, "predictions": [{"label": "positive"}]}), GOLDEN)[0]
    assert "nothing" in complaints(Answer(0, 0.1, None), GOLDEN)[0]
    assert "something else" in complaints(Answer(200, 0.1, ["html"]), GOLDEN)[0]
