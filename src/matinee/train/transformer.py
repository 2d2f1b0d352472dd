"""Train a small encoder in stages: a pass over short windows of the labelled films, then one over longer windows.

With a teacher there are two more, which also learn from reviews that nobody labelled: self-training (Xie et al.,
"Self-training with Noisy Student", 2020). The teacher is the sum of the logits of the stage before and of the linear
model, with weights fitted on held-out films; the two err differently, so that the student learns from a better model
than either. Whatever is done is kept in the work folder: the same command goes on from there.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from tokenizers import Tokenizer

from matinee.core.errors import Conflict
from matinee.flavors import load_linear
from matinee.train.base import load_base
from matinee.train.calibration import fit_fusion, softmax
from matinee.train.dataset import Split, split
from matinee.train.encoder import Encoder
from matinee.train.fitting import SpecialTokens, Stage, Trainer, save_atomically
from matinee.train.linear import LINEAR_FILE
from matinee.train.reviews import Dataset, Reviews
from matinee.train.scoring import ends_of, score

FloatArray = NDArray[np.float32]
_SMOOTHING = 0.05  # of a person's label, spread over the other labels
_SURE = 0.75  # least probability with which the teacher's label is taken
_TOKENIZE_ROWS = 2048


FIRST = Stage("first", window=256, learning_rate=1.5e-4, stop=0.84)
SECOND = Stage("second", window=384, learning_rate=1e-4, frozen=2)
THIRD = Stage("third", window=384, learning_rate=5e-5, frozen=2)
FOURTH = Stage("fourth", window=512, learning_rate=1e-4, frozen=1)


@dataclass(frozen=True)
class Plan:
    """What `matinee train transformer` was asked for. Windows are in tokens, special ones included.

    ``teacher`` is the folder of a linear bundle; without one there is no self-training. The third stage learns from a
    fifth of the ``unlabelled`` reviews, the fourth from the others and the labelled ones together.
    """

    base: str
    work: Path
    teacher: Path | None = None
    first: Stage = FIRST
    second: Stage = SECOND
    third: Stage = THIRD
    fourth: Stage = FOURTH
    unlabelled: int = 45_000
    seed: int = 0

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that run."""
        return (self.first, self.second) if self.teacher is None else (self.first, self.second, self.third, self.fourth)


@dataclass(frozen=True)
class Trained:
    """The encoder, its tokenizer, and the split it was fitted on."""

    encoder: Encoder
    tokenizer: Tokenizer
    parts: Split


@dataclass(frozen=True)
class _Examples:
    """What a stage learns from: token ids, and a probability for each label."""

    tokens: list[NDArray[np.int32]]
    targets: FloatArray

    def __add__(self, other: "_Examples") -> "_Examples":
        return _Examples(self.tokens + other.tokens, np.concatenate([self.targets, other.targets]))


def train_transformer(dataset: Dataset, plan: Plan) -> Trained:
    """Run all stages, or whatever of them the work folder does not hold yet; raises `Conflict` beside another run."""
    plan.work.mkdir(parents=True, exist_ok=True)
    with alone_in(plan.work):
        return _train(dataset, plan)


def _train(dataset: Dataset, plan: Plan) -> Trained:
    parts = split(dataset, seed=plan.seed)
    torch.manual_seed(plan.seed)
    encoder, tokenizer = load_base(plan.base, len(dataset.labels))
    labelled = _Examples(tokenize(tokenizer, parts.fit.texts), smooth(parts.fit.labels, len(dataset.labels)))
    special = special_tokens(tokenizer)
    _stage(encoder, plan, plan.first, special, labelled)
    _stage(encoder, plan, plan.second, special, labelled)
    if plan.teacher is not None:
        few, many = _unlabelled(plan, parts)
        _stage(encoder, plan, plan.third, special, _pseudo_label(encoder, tokenizer, plan, plan.third, parts, few))
        more = _pseudo_label(encoder, tokenizer, plan, plan.fourth, parts, many)
        _stage(encoder, plan, plan.fourth, special, labelled + more)
    return Trained(encoder, tokenizer, parts)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for one run at a time: two would overwrite each other's checkpoints."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"--work: another run is using {folder}; wait for it, or name another folder") from None
        yield


def _unlabelled(plan: Plan, parts: Split) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which reviews the third stage learns from, and which the fourth."""
    drawn = np.random.default_rng(plan.seed).permutation(len(parts.unlabelled))[: plan.unlabelled]
    return np.sort(drawn[: len(drawn) // 5]), np.sort(drawn[len(drawn) // 5 :])


def _pseudo_label(
    encoder: Encoder, tokenizer: Tokenizer, plan: Plan, stage: Stage, parts: Split, rows: NDArray[np.int64]
) -> _Examples:
    """Let the teacher of ``stage`` label reviews that nobody labelled; what it is unsure of is left out.

    Films without a label in the corpus have reviews of every rating, also the undecided ones that the task leaves out.
    """
    texts = [parts.unlabelled.texts[row] for row in rows]
    tokens = tokenize(tokenizer, texts)
    kept = plan.work / f"{stage.name}.teacher.npy"
    if not kept.exists():
        targets = _teach(encoder, tokenizer, plan, stage, parts.heldout, texts)
        partial = kept.with_suffix(".partial.npy")
        np.save(partial, targets)
        partial.replace(kept)
    targets = np.load(kept)
    sure = np.flatnonzero(targets.max(axis=1) >= _SURE)
    return _Examples([tokens[i] for i in sure], targets[sure])


def _teach(
    encoder: Encoder, tokenizer: Tokenizer, plan: Plan, stage: Stage, heldout: Reviews, texts: Sequence[str]
) -> FloatArray:
    """Probabilities [texts, labels] of the linear model and the encoder together, fused as fits ``heldout`` best."""
    special, window = special_tokens(tokenizer), stage.window
    linear = load_linear(Path(plan.teacher or "") / LINEAR_FILE)

    def both(part: Sequence[str], title: str) -> tuple[FloatArray, FloatArray]:
        return linear.logits(part), score(encoder, ends_of(tokenize(tokenizer, part), window), special, title)

    quick, full = both(heldout.texts, "held-out films")
    fusion = fit_fusion(quick, full, heldout.labels)
    for name, logits in (("linear", quick), ("encoder", full), ("teacher", fusion(quick, full))):
        right = float((logits.argmax(axis=1) == heldout.labels).mean())
        Console(stderr=True).print(f"held-out accuracy of {name}: {right:.4f}", highlight=False)
    return softmax(fusion(*both(texts, "labels of the teacher"))).astype(np.float32)


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


def _stage(encoder: Encoder, plan: Plan, stage: Stage, special: SpecialTokens, examples: _Examples) -> None:
    """Fit ``encoder`` in place, unless the stage's result is in the work folder already."""
    result = plan.work / f"{stage.name}.pt"
    if not result.exists():
        checkpoint = plan.work / f"{stage.name}.checkpoint.pt"
        Trainer(encoder, stage, special, checkpoint).run(examples.tokens, examples.targets, plan.seed)
        save_atomically(encoder.state_dict(), result)
        checkpoint.unlink(missing_ok=True)
    encoder.load_state_dict(torch.load(result, weights_only=True))
