"""Temperature, exponent and fusion weights: small fits on held-out films that make confidences mean what they say."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matinee.flavors import sharpen

Array = NDArray[np.floating[Any]]
_PRECISION = 1e-6  # of a searched parameter; files keep four digits


def softmax(logits: Array) -> NDArray[np.float64]:
    """Probabilities [n, labels]."""
    exponents = np.exp(np.asarray(logits, dtype=np.float64) - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = exponents / exponents.sum(axis=1, keepdims=True)
    return probabilities


def log_loss(logits: Array, labels: NDArray[np.int64]) -> float:
    """Mean negative log-likelihood, in nats."""
    return float(-np.log(np.clip(softmax(logits)[np.arange(len(labels)), labels], 1e-12, 1.0)).mean())


def fit_temperature(logits: Array, labels: NDArray[np.int64]) -> float:
    """The divisor of the logits with the smallest log loss (Guo et al., 2017)."""
    best = _lowest(lambda log: log_loss(logits / np.exp(log), labels), np.log(0.05), np.log(50.0))
    return float(np.exp(best))


def fit_exponent(logits: Array, labels: NDArray[np.int64]) -> float:
    """The exponent of `flavors.sharpen` with the smallest log loss, each with the temperature that suits it best."""

    def loss(exponent: float) -> float:
        sharpened = sharpen(logits, exponent)
        return log_loss(sharpened / fit_temperature(sharpened, labels), labels)

    return _lowest(loss, 0.5, 3.0)


def _lowest(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one valley is lowest, by golden-section search."""
    ratio = (np.sqrt(5.0) - 1.0) / 2.0
    while high - low > _PRECISION:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if function(left) < function(right):
            high = right
        else:
            low = left
    return float((low + high) / 2.0)


@dataclass(frozen=True)
class Fusion:
    """Logits = quick x `quick` + full x `full` + `bias` [labels]: already calibrated."""

    quick: float
    full: float
    bias: tuple[float, ...]

    def __call__(self, quick: Array, full: Array) -> NDArray[np.float64]:
        """Fuse logits [n, labels] of the two models."""
        fused: NDArray[np.float64] = self.quick * np.asarray(quick, np.float64) + self.full * full + np.array(self.bias)
        return fused


def fit_fusion(quick: Array, full: Array, labels: NDArray[np.int64]) -> Fusion:
    """Multinomial logistic regression with one weight for each model and one bias for each label, by Newton's method.

    The weights are what minimizes the log loss, so that the fused logits need no temperature.
    """
    classes = quick.shape[1]
    # Parameters: two weights, then the biases of all labels but the first (which stays 0).
    design = np.zeros((len(labels), classes, 2 + classes - 1))
    design[:, :, 0], design[:, :, 1] = quick, full
    for label in range(1, classes):
        design[:, label, 1 + label] = 1.0
    parameters = np.zeros(design.shape[2])
    wanted = np.eye(classes)[labels]
    for _ in range(100):
        scores = softmax(design @ parameters)
        gradient = np.einsum("nkp,nk->p", design, wanted - scores)
        centred = design - np.einsum("nkp,nk->np", design, scores)[:, None]
        curvature = np.einsum("nkp,nkq,nk->pq", centred, centred, scores) + 1e-6 * np.eye(len(parameters))
        step = np.linalg.solve(curvature, gradient)
        parameters += np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-9:
            break
    bias = np.concatenate([[0.0], parameters[2:]])
    bias -= bias.mean()
    return Fusion(float(parameters[0]), float(parameters[1]), tuple(float(value) for value in bias))
