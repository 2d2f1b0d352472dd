"""Logits of an `Encoder` for many token sequences, in batches of similar length."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from matinee.train.batches import Batch, Tokens, group_by_length, pack
from matinee.train.encoder import Encoder
from matinee.train.fitting import SpecialTokens, pick_device
from matinee.train.progress import progress

_BUDGET = 4096  # tokens in a batch, padding included


def ends_of(tokens: Tokens, window: int) -> list[NDArray[np.int32]]:
    """Cut long sequences to the first third and the last two thirds of a ``window`` (with two special tokens).

    Sun et al., "How to Fine-Tune BERT for Text Classification", 2019: better than beginning or end alone.
    """
    limit = window - 2
    head = limit // 3
    return [
        row if len(row) <= limit else np.concatenate([row[:head], row[len(row) - limit + head :]]) for row in tokens
    ]


def score(encoder: Encoder, tokens: Tokens, special: SpecialTokens, title: str) -> NDArray[np.float32]:
    """Return logits, float32 [sequences, labels]; no sequence may be longer than the encoder's positions."""
    device, dtype = pick_device()
    model = encoder.to(device, dtype)
    sizes = np.array([len(row) for row in tokens], dtype=np.int64)
    logits = np.zeros((len(tokens), model.shape.num_labels), dtype=np.float32)
    done = 0
    with progress(title, len(tokens)) as report:
        for rows in _batches(sizes):
            batch = Batch(rows, np.zeros_like(rows), sizes[rows])
            ids, mask = pack(
                tokens, batch, first=special.first, last=special.last, limit=model.shape.max_position_embeddings
            )
            with torch.no_grad():
                part = model(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device))
            logits[rows] = part.float().cpu().numpy()
            done += len(rows)
            report(done)
    encoder.to("cpu", torch.float32)
    return logits


def _batches(sizes: NDArray[np.int64]) -> Sequence[NDArray[np.int64]]:
    return group_by_length(np.argsort(sizes, kind="stable"), sizes, _BUDGET)
