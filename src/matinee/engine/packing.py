"""Which rows run together? Neighbours in length, around the one whose turn it is."""

from collections.abc import Sequence

MAX_PADDING = 0.05  # share of a batch's tokens; beyond it, two batches are quicker than one


def pack(costs: Sequence[int], first: int, budget: int) -> range:
    """Choose the batch around `costs[first]`, from costs in ascending order; returns the range of its rows.

    The batch grows by the neighbour that adds fewer tokens, padding included, while rows x longest stays within
    `budget` and the share of padding within `MAX_PADDING`. The row at `first` is always in it, however long.
    """
    start, stop, own = first, first + 1, costs[first]
    while True:
        shorter = _padded(costs, start - 1, stop) if start else None
        longer = _padded(costs, start, stop + 1) if stop < len(costs) else None
        if shorter is not None and (longer is None or shorter <= longer):
            padded, cost, grown = shorter, costs[start - 1], (start - 1, stop)
        elif longer is not None:
            padded, cost, grown = longer, costs[stop], (start, stop + 1)
        else:
            break
        if padded > budget or padded - own - cost > padded * MAX_PADDING:
            break
        (start, stop), own = grown, own + cost
    return range(start, stop)


def _padded(costs: Sequence[int], start: int, stop: int) -> int:
    return (stop - start) * costs[stop - 1]
