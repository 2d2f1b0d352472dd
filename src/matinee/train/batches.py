"""Which window of which review is in which training batch: planned ahead, so that a killed run can go on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Tokens = Sequence[NDArray[np.int32]]
_POOL = 64  # batches that are sorted by length together: large enough for little padding, small enough for variety
_PAD_TO = 32  # lengths are rounded up to a multiple: fewer shapes, so that buffers are used again


@dataclass(frozen=True)
class Batch:
    """Rows of the training set, with the content window [start, stop) of each, in tokens."""

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]


def plan_epoch(lengths: NDArray[np.int64], *, window: int, budget: int, rng: np.random.Generator) -> list[Batch]:
    """Draw one random window of up to ``window`` tokens (two special ones included) from each review.

    Batches hold up to ``budget`` tokens, padding included, of similar length; their order is random.
    """
    sizes = np.minimum(lengths, window - 2)
    starts = (rng.random(len(lengths)) * (lengths - sizes + 1)).astype(np.int64)
    order = rng.permutation(len(lengths))
    pool = max(1, int(_POOL * budget / max(1.0, float(sizes.mean()) + 2)))
    batches: list[Batch] = []
    for first in range(0, len(order), pool):
        rows = order[first : first + pool]
        rows = rows[np.argsort(sizes[rows], kind="stable")]
        groups = group_by_length(rows, sizes, budget)
        batches += [Batch(group, starts[group], starts[group] + sizes[group]) for group in groups]
    return [batches[i] for i in rng.permutation(len(batches))]


def group_by_length(rows: NDArray[np.int64], sizes: NDArray[np.int64], budget: int) -> list[NDArray[np.int64]]:
    """Cut rows, sorted by size, so that count x longest stays within the budget."""
    groups: list[NDArray[np.int64]] = []
    first = 0
    for position in range(1, len(rows) + 1):
        longest = padded_length(int(sizes[rows[min(position, len(rows) - 1)]]) + 2)
        if position == len(rows) or (position + 1 - first) * longest > budget:
            groups.append(rows[first:position])
            first = position
    return groups


def padded_length(tokens: int) -> int:
    """Round up to the next multiple of 32."""
    return -(-tokens // _PAD_TO) * _PAD_TO


def pack(
    tokens: Tokens, batch: Batch, *, first: int, last: int, limit: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ``input_ids`` and ``attention_mask``, int64 [rows, padded length], with the special tokens around.

    ``limit`` is the largest length the model takes; padding never goes beyond it.
    """
    longest = int((batch.stops - batch.starts).max()) + 2
    ids = np.zeros((len(batch.rows), min(limit, padded_length(longest))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for i, (row, start, stop) in enumerate(zip(batch.rows, batch.starts, batch.stops, strict=True)):
        size = int(stop - start)
        ids[i, 0], ids[i, 1 : size + 1], ids[i, size + 1] = first, tokens[row][start:stop], last
        mask[i, : size + 2] = 1
    return ids, mask
