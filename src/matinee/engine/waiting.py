"""The rows that wait for a batch: by length, which says who runs together, and by turn, which says who is next."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

from matinee.core.prediction import Row
from matinee.engine.jobs import Job
from matinee.engine.packing import pack


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One row of a job's text: its own tokens, and how long it makes a batch."""

    job: Job
    index: int
    row: Row
    cost: int
    length: int


class Waiting:
    """Adding a piece and taking a batch cost as much as what is moved, however many others wait.

    Pieces that nobody waits for any more are dropped when they are met.
    """

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._lengths: list[int] = []  # of `_pieces`, ascending
        self._waits: set[Piece] = set()
        self._tokens = 0
        self._turns: list[tuple[int, int, int, Piece]] = []  # a heap; those that ran meanwhile are passed over
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._pieces)

    def add(self, piece: Piece) -> None:
        """Behind those of the same length and the same turn."""
        place = bisect_right(self._lengths, piece.length)
        self._pieces.insert(place, piece)
        self._lengths.insert(place, piece.length)
        self._waits.add(piece)
        self._tokens += piece.length
        heappush(self._turns, (piece.job.turn, piece.length, next(self._numbers), piece))

    def take(self, now: float, budget: int, idle: int) -> list[Piece]:
        """The piece whose turn it is and its neighbours in length; `idle` threads share what there is."""
        while (first := self._next(now)) is not None:
            chosen = pack(self._lengths, first, min(budget, -(-self._tokens // idle)))
            dead = [place for place in chosen if not self._pieces[place].job.live(now)]
            if not dead:
                return self._cut(chosen)
            for place in reversed(dead):
                self._cut(range(place, place + 1))
        return []

    def _next(self, now: float) -> int | None:
        """Where the piece with the earliest turn is."""
        while self._turns:
            piece = self._turns[0][-1]
            if piece in self._waits:
                place = self._pieces.index(piece, bisect_left(self._lengths, piece.length))
                if piece.job.live(now):
                    return place
                self._cut(range(place, place + 1))
            heappop(self._turns)
        return None

    def _cut(self, chosen: range) -> list[Piece]:
        taken = self._pieces[chosen.start : chosen.stop]
        del self._pieces[chosen.start : chosen.stop], self._lengths[chosen.start : chosen.stop]
        self._waits.difference_update(taken)
        self._tokens -= sum(piece.length for piece in taken)
        return taken
