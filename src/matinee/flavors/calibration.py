"""From logits to confidences that mean what they say."""

from collections.abc import Iterable, Mapping
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matinee.core.errors import ModelRejected

_SMALLEST = 1e-6  # spread of logits: its negative powers stay numbers


def softmax(logits: Iterable[float], temperature: float = 1.0) -> tuple[float, ...]:
    """Probabilities of the labels from logits [labels]; `temperature` divides (Guo et al., 2017)."""
    scaled = [float(logit) / temperature for logit in logits]
    largest = max(scaled)
    exponents = [exp(value - largest) for value in scaled]  # for a few labels ten times as quick as NumPy
    total = sum(exponents)
    return tuple(value / total for value in exponents)


def sigmoid(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> tuple[float, ...]:
    """One probability for each label by itself, for models whose labels do not exclude each other."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    return tuple(np.exp(-np.logaddexp(0.0, -scaled)).tolist())


def sharpen(logits: NDArray[np.floating[Any]], exponent: float) -> NDArray[np.floating[Any]]:
    """Logits [..., labels] times a power of their spread: for two labels, d = z1 - z0 becomes d |d|^(exponent - 1).

    A model that was taught soft labels is too sure in the middle and too modest at the end, which no temperature
    mends: it is a temperature that depends on the logits (Tomani et al., "Parameterized Temperature Scaling", 2022).
    """
    spread = np.maximum(np.ptp(logits, axis=-1, keepdims=True), _SMALLEST)
    sharpened: NDArray[np.floating[Any]] = logits * spread ** (exponent - 1.0)
    return sharpened


def temperature(calibration: Mapping[str, Any]) -> float:
    """The manifest's `calibration.temperature`, 1 where there is none; raises `ModelRejected`."""
    return _positive(calibration, "temperature")


def exponent(calibration: Mapping[str, Any]) -> float:
    """The manifest's `calibration.exponent`, 1 where there is none; raises `ModelRejected`."""
    return _positive(calibration, "exponent")


def _positive(calibration: Mapping[str, Any], key: str) -> float:
    value = calibration.get(key, 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
        raise ModelRejected([f"calibration.{key} must be a number above 0"])
    return float(value)
