"""How good are the answers? Accuracy, AUC, log loss, expected calibration error, confusion matrix. NumPy only."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 15
_LENGTHS = (100, 200, 300, 500)  # words


@dataclass(frozen=True)
class Bucket:
    """Texts of at least ``least`` words and fewer than the next bucket's."""

    least: int
    count: int
    accuracy: float


@dataclass(frozen=True)
class Metrics:
    """Figures of one model on one data set.

    `auc` is the mean over the labels of one against the rest; `log_loss` in nats; `ece` over 15 equal bins of the
    confidence (Guo et al., 2017); `confusion[i][j]` counts texts of label i that were given label j.
    """

    count: int
    accuracy: float
    auc: float
    log_loss: float
    ece: float
    confusion: tuple[tuple[int, ...], ...]
    by_length: tuple[Bucket, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, rounded to what the sample size can support."""
        document = asdict(self)
        for key in ("accuracy", "auc", "log_loss", "ece"):
            document[key] = round(document[key], 5)
        document["confusion"] = [list(row) for row in self.confusion]
        document["by_length"] = [asdict(bucket) | {"accuracy": round(bucket.accuracy, 5)} for bucket in self.by_length]
        return document


def measure(scores: NDArray[np.floating[Any]], labels: NDArray[np.int64], texts: Sequence[str] = ()) -> Metrics:
    """Compare ``scores`` [n, labels], rows summing to 1, with the true label indices [n].

    With ``texts``, accuracy is also given by length in words.
    """
    scores = np.asarray(scores, dtype=np.float64)
    classes = scores.shape[1]
    right = scores.argmax(axis=1) == labels
    confusion = np.zeros((classes, classes), dtype=int)
    np.add.at(confusion, (labels, scores.argmax(axis=1)), 1)
    own = np.clip(scores[np.arange(len(labels)), labels], 1e-12, 1.0)
    return Metrics(
        count=len(labels),
        accuracy=float(right.mean()),
        auc=float(np.mean([area_under_curve(scores[:, i], labels == i) for i in range(classes)])),
        log_loss=float(-np.log(own).mean()),
        ece=calibration_error(scores.max(axis=1), right),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        by_length=_by_length(right, texts) if texts else (),
    )


def area_under_curve(values: NDArray[np.floating[Any]], positive: NDArray[np.bool_]) -> float:
    """Probability that a positive one is above a negative one, ties counting half; 0.5 if one side is empty."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return 0.5
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def calibration_error(confidence: NDArray[np.floating[Any]], right: NDArray[np.bool_]) -> float:
    """Mean distance between confidence and accuracy over equal bins of the confidence, weighted by their texts."""
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(right))


def _by_length(right: NDArray[np.bool_], texts: Sequence[str]) -> tuple[Bucket, ...]:
    bins = np.searchsorted(_LENGTHS, [len(text.split()) for text in texts], side="right")
    buckets = ((least, right[bins == i]) for i, least in enumerate((0, *_LENGTHS)))
    return tuple(Bucket(least, len(part), float(part.mean())) for least, part in buckets if len(part))
