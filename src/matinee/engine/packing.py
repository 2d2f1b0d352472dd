"""Which rows run together? Neighbours in length, around the one whose turn it is."""

from collections.abc import Sequence
from math import inf

MAX_PADDING = 0.05  # share of a batch's tokens; beyond it, two batches are quicker than one


def pack(lengths: Sequence[int], first: int, budget: int) -> range:
    """Choose the batch around `lengths[first]`, from lengths in ascending order; returns the range of its rows.

    The batch grows by the neighbour that adds less padding, while rows x longest stays within `budget` and the share
    of padding within `MAX_PADDING`. The row at `first` is always in it, however long.
    """
    start, stop, own = first, first + 1, lengths[first]
    while start or stop < len(lengths):
        # Padding after taking the next shorter row, and after taking the next longer one.
        shorter = (stop - start + 1) * lengths[stop - 1] - own - lengths[start - 1] if start else inf
        longer = (stop - start) * lengths[stop] - own if stop < len(lengths) else inf
        if shorter <= longer:
            start, own = start - 1, own + lengths[start - 1]
        else:
            stop, own = stop + 1, own + lengths[stop]
        padded = (stop - start) * lengths[stop - 1]
        if padded > budget or padded - own > padded * MAX_PADDING:
            return range(start + 1, stop) if shorter <= longer else range(start, stop - 1)
    return range(start, stop)
