"""Train a small encoder in two stages: on the labelled films, then on those and on what a teacher says of others.

Self-training (Xie et al., "Self-training with Noisy Student", 2020): the teacher is the sum of the first stage's logits
and the linear model's, with weights fitted on held-out films; the two err differently, so that the student learns from
a better model than either. Everything between the stages is kept in the work folder: the same command goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from matinee.train.base import load_base
from matinee.train.dataset import Dataset, Split, split
from matinee.train.encoder import Encoder
from matinee.train.fitting import SpecialTokens, Stage, Trainer, save_atomically

FloatArray = NDArray[np.float32]
_SMOOTHING = 0.05  # of a person's label, spread over the other labels
_TOKENIZE_ROWS = 2048


@dataclass(frozen=True)
class Plan:
    """What `matinee train transformer` was asked for. Windows are in tokens, special ones included."""

    base: str
    work: Path
    teacher: Path
    first: Stage = Stage("first", window=256, learning_rate=1.5e-4)
    second: Stage = Stage("second", window=384, learning_rate=1e-4)
    pseudo_labelled: int = 13_000
    seed: int = 0


@dataclass(frozen=True)
class Trained:
    """The encoder, its tokenizer, and the split it was fitted on."""

    encoder: Encoder
    tokenizer: Tokenizer
    parts: Split


def train_transformer(dataset: Dataset, plan: Plan) -> Trained:
    """Run both stages, or whatever of them the work folder does not hold yet."""
    plan.work.mkdir(parents=True, exist_ok=True)
    parts = split(dataset, seed=plan.seed)
    torch.manual_seed(plan.seed)
    encoder, tokenizer = load_base(plan.base, len(dataset.labels))
    special = special_tokens(tokenizer)
    labelled = tokenize(tokenizer, parts.fit.texts)
    targets = smooth(parts.fit.labels, len(dataset.labels))
    _stage(encoder, plan, plan.first, special, labelled, targets)
    return Trained(encoder, tokenizer, parts)


def special_tokens(tokenizer: Tokenizer) -> SpecialTokens:
    """The tokens that the tokenizer itself puts around a text."""
    ids = tokenizer.encode("").ids
    return SpecialTokens(first=ids[0], last=ids[-1])


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> list[NDArray[np.int32]]:
    """Token ids of each text, without special tokens and uncut."""
    rows: list[NDArray[np.int32]] = []
    for first in range(0, len(texts), _TOKENIZE_ROWS):
        part = tokenizer.encode_batch_fast(list(texts[first : first + _TOKENIZE_ROWS]), add_special_tokens=False)
        rows.extend(np.array(encoding.ids, dtype=np.int32) for encoding in part)
    return rows


def smooth(labels: NDArray[np.int64], classes: int) -> FloatArray:
    """One-hot targets [rows, classes] with a little doubt, so that no logit has to grow without end."""
    targets = np.full((len(labels), classes), _SMOOTHING / (classes - 1), dtype=np.float32)
    targets[np.arange(len(labels)), labels] = 1.0 - _SMOOTHING
    return targets


def _stage(
    encoder: Encoder,
    plan: Plan,
    stage: Stage,
    special: SpecialTokens,
    tokens: list[NDArray[np.int32]],
    targets: FloatArray,
) -> None:
    """Fit ``encoder`` in place, unless the stage's result is in the work folder already."""
    result = plan.work / f"{stage.name}.pt"
    if not result.exists():
        checkpoint = plan.work / f"{stage.name}.checkpoint.pt"
        Trainer(encoder, stage, special, checkpoint).run(tokens, targets, plan.seed)
        save_atomically(encoder.state_dict(), result)
        checkpoint.unlink(missing_ok=True)
    encoder.load_state_dict(torch.load(result, weights_only=True))
