"""The rows that wait: whose turn it is runs, with neighbours in length, and nothing that nobody waits for."""

import asyncio
from math import inf

from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.echo import Piece as EchoRow

from matinee.engine.jobs import Ask, Job
from matinee.engine.waiting import Piece, Waiting

ARRIVALS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 40), st.booleans()), max_size=40)


@given(ARRIVALS, st.integers(20, 200), st.integers(1, 3))
def test_each_batch_has_the_piece_whose_turn_it_is(
    arrivals: list[tuple[int, int, bool]], budget: int, idle: int
) -> None:
    """Everything alive runs once, the earliest turn first; what is dead never does; batches stay within the budget."""
    loop = asyncio.new_event_loop()
    try:
        pieces = [_piece(loop, turn, length, inf if alive else 0.0) for turn, length, alive in arrivals]
        waiting = Waiting()
        for piece in pieces:
            waiting.add(piece)
        left = [piece for piece in pieces if piece.job.live(1.0)]
        while batch := waiting.take(1.0, budget, idle):
            assert min(piece.job.turn for piece in left) in {piece.job.turn for piece in batch}
            assert len(batch) == 1 or len(batch) * batch[-1].length <= budget
            assert [piece.length for piece in batch] == sorted(piece.length for piece in batch)
            for piece in batch:
                left.remove(piece)
        assert not left
        assert len(waiting) == 0
    finally:
        loop.close()


def _piece(loop: asyncio.AbstractEventLoop, turn: int, length: int, deadline: float) -> Piece:
    job = Job("x" * length, None, submitted=0.0, turn=turn)
    job.join(Ask([None], deadline, loop), 0)
    return Piece(job, 0, EchoRow(job.text, 0, length), length, length)
