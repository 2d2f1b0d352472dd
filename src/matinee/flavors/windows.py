"""Long texts as overlapping windows: where to cut, and how to put the windows' outputs together again."""

from collections.abc import Sequence

import numpy as np

from matinee.core.prediction import FloatArray


def cut(tokens: int, size: int, overlap: int = 0) -> list[range]:
    """Cover `tokens` tokens with windows of at most `size`, each sharing exactly `overlap` tokens with the next.

    All but the last are full; a text that fits is one window, also an empty one. Raises `ValueError` unless
    0 <= overlap < size.
    """
    if not 0 <= overlap < size:
        raise ValueError(f"windows of {size} tokens cannot overlap by {overlap}")
    step = size - overlap
    windows = 1 + max(0, -(-(tokens - size) // step))
    return [range(start, min(start + size, tokens)) for start in range(0, windows * step, step)]


def pool(outputs: FloatArray, own_tokens: Sequence[int], how: str) -> FloatArray:
    """Put the outputs of one text's windows together: float32 [windows, labels] -> [labels].

    `how` is `mean`, `max` (label by label), `weighted` (mean weighted by `own_tokens`, the windows' tokens without
    special ones), or `first`.
    """
    pooled: FloatArray = outputs[0]
    if len(outputs) > 1 and how == "max":
        pooled = outputs.max(axis=0)
    elif len(outputs) > 1 and how == "mean":
        pooled = outputs.mean(axis=0)
    elif len(outputs) > 1 and how == "weighted":
        weights = np.asarray(own_tokens, dtype=np.float32)
        pooled = (weights @ outputs) / weights.sum()
    return pooled
