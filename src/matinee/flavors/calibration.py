"""From logits to confidences that mean what they say."""

from collections.abc import Mapping
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matinee.core.errors import ModelRejected


def softmax(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> tuple[float, ...]:
    """Probabilities of the labels from logits [labels]; `temperature` divides (Guo et al., 2017)."""
    scaled = [float(logit) / temperature for logit in logits.tolist()]
    largest = max(scaled)
    exponents = [exp(value - largest) for value in scaled]  # for a few labels ten times as quick as NumPy
    total = sum(exponents)
    return tuple(value / total for value in exponents)


def sigmoid(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> tuple[float, ...]:
    """One probability for each label by itself, for models whose labels do not exclude each other."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    return tuple(np.exp(-np.logaddexp(0.0, -scaled)).tolist())


def temperature(calibration: Mapping[str, Any]) -> float:
    """The manifest's `calibration.temperature`, 1 where there is none; raises `ModelRejected`."""
    value = calibration.get("temperature", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
        raise ModelRejected(["calibration.temperature must be a number above 0"])
    return float(value)
