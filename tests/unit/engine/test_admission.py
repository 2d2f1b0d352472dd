"""The bound on what waits and runs."""

import pytest

from matinee.core.errors import Overloaded, TooManyTexts
from matinee.engine import Admission


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lists_leave_a_quarter_for_single_texts() -> None:
    """Lists fill three quarters; singles still come in, up to the exact bound."""
    admission = Admission(8)
    with admission.hold(6):
        with pytest.raises(Overloaded), admission.hold(2):
            pass
        with admission.hold(1), admission.hold(1), pytest.raises(Overloaded), admission.hold(1):
            pass
    assert admission.held == 0


def test_a_list_as_long_as_the_queue_comes_in_when_nothing_else_is_there() -> None:
    """What fits at all is answered at some time; what never fits is told so."""
    admission = Admission(8)
    with admission.hold(8):
        assert admission.held == 8
    with pytest.raises(TooManyTexts), admission.hold(9):
        pass


def test_retry_after_and_early_refusal_come_from_the_speed() -> None:
    """At two seconds for each text, four texts in front mean eight seconds: too long for a deadline of five."""
    clock = Clock()
    admission = Admission(5, clock)
    with admission.hold(1):
        clock.now = 2.0
        admission.answered(1)
    with admission.hold(1), admission.hold(1), admission.hold(1), admission.hold(1):
        with pytest.raises(Overloaded) as refused, admission.hold(1, timeout=5.0):
            pass
        assert refused.value.retry_after == 8
        with admission.hold(1, timeout=10.0):
            assert admission.held == 5


def test_an_idle_time_is_not_taken_for_slowness() -> None:
    """The speed is measured while there is work."""
    clock = Clock()
    admission = Admission(2, clock)
    clock.now = 1000.0
    with admission.hold(1):
        clock.now = 1001.0
        admission.answered(1)
    with admission.hold(1), admission.hold(1), pytest.raises(Overloaded) as refused, admission.hold(1):
        pass
    assert refused.value.retry_after == 2
