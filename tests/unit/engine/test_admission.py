"""The bound on what waits and runs."""

from collections import deque
from contextlib import ExitStack

import numpy as np
import pytest
from tests.unit.engine.serving import Clock

from matinee.core.errors import Overloaded, TooManyTexts
from matinee.engine import Admission


def test_two_lists_of_a_thousand_fit_into_the_default_queue() -> None:
    """The longest list that the defaults allow comes in beside another one; a third does not."""
    admission = Admission()
    with admission.hold(1000), admission.hold(1000):
        with pytest.raises(Overloaded), admission.hold(1000):
            pass
        with admission.hold(1):
            assert admission.held == 2001


def test_lists_leave_some_room_for_single_texts() -> None:
    """Lists fill all but a sixty-fourth; singles still come in, up to the exact bound."""
    admission = Admission(128)
    with admission.hold(120):
        with pytest.raises(Overloaded), admission.hold(7):
            pass
        with admission.hold(6), admission.hold(1), admission.hold(1), pytest.raises(Overloaded), admission.hold(1):
            pass
    assert admission.held == 0


def test_a_short_queue_keeps_a_place_for_a_single_text() -> None:
    """However short it is."""
    admission = Admission(4)
    with admission.hold(2):
        with pytest.raises(Overloaded), admission.hold(2):
            pass
        with admission.hold(1), admission.hold(1), pytest.raises(Overloaded), admission.hold(1):
            pass


def test_a_list_as_long_as_the_queue_comes_in_when_nothing_else_is_there() -> None:
    """What fits at all is answered at some time; what never fits is told so."""
    admission = Admission(8)
    with admission.hold(8):
        assert admission.held == 8
    with pytest.raises(TooManyTexts), admission.hold(9):
        pass


def busy(clock: Clock, seconds_per_text: float, texts: int = 30) -> Admission:
    """An admission with room for 5 texts that has seen so many answers, with others waiting all the time."""
    admission = Admission(5, clock)
    with admission.hold(1):
        for _ in range(texts):
            with admission.hold(1):
                clock.now += seconds_per_text
                admission.answered(1)
    return admission


def test_retry_after_and_early_refusal_come_from_the_speed() -> None:
    """At two seconds for each text, four texts in front mean eight seconds: too long for a deadline of five."""
    admission = busy(Clock(), 2.0)
    with admission.hold(1), admission.hold(1), admission.hold(1), admission.hold(1):
        with pytest.raises(Overloaded) as refused, admission.hold(1, timeout=5.0):
            pass
        assert refused.value.retry_after == 8
        with admission.hold(1, timeout=11.0):
            assert admission.held == 5


def test_a_slow_beginning_refuses_nobody() -> None:
    """Few answers are no speed: the first ones may have had to wait for something that never comes again."""
    admission = busy(Clock(), 100.0, texts=5)
    with admission.hold(1, timeout=5.0), admission.hold(1, timeout=5.0):
        assert admission.held == 2


def test_idle_time_and_slow_callers_are_not_taken_for_slowness() -> None:
    """A single client who sends one text a minute says nothing about the model."""
    clock = Clock()
    admission = busy(clock, 0.5)
    for _ in range(50):
        with admission.hold(1):
            clock.now += 60.0
            admission.answered(1)
    with admission.hold(4), admission.hold(1), pytest.raises(Overloaded) as refused, admission.hold(1):
        pass
    assert refused.value.retry_after == 3


def test_what_is_let_in_under_overload_is_answered_in_time() -> None:
    """Ten times as many texts come as can be answered, of very different lengths; none waits past its deadline."""
    clock, lengths, deadline = Clock(), np.random.default_rng(7), 10.0
    admission, inside, late, refused = Admission(2048, clock), deque[tuple[float, ExitStack]](), 0, 0
    for _ in range(4000):
        for _ in range(10):
            with ExitStack() as stack:
                try:
                    stack.enter_context(admission.hold(1, deadline))
                except Overloaded:
                    refused += 1
                else:
                    inside.append((clock.now, stack.pop_all()))
        clock.now += lengths.lognormal(-4.5, 0.8)  # seconds: a mean of 15 ms, one in ten takes 31 and more
        came, place = inside.popleft()
        late += clock.now - came > deadline
        admission.answered(1)
        place.close()
    assert late == 0
    assert refused > 30_000
    assert len(inside) > 400  # and yet most of the deadline is used
