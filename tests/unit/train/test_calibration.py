"""Temperature and fusion recover what made the data."""

import numpy as np
import pytest
from numpy.typing import NDArray

from matinee.flavors import sharpen
from matinee.train.calibration import fit_exponent, fit_fusion, fit_temperature, log_loss, softmax


def drawn(logits: NDArray[np.float64], seed: int = 0) -> NDArray[np.int64]:
    """Labels drawn with the probabilities that the logits say."""
    random = np.random.default_rng(seed)
    cumulated = softmax(logits).cumsum(axis=1)
    labels: NDArray[np.int64] = (random.random((len(logits), 1)) > cumulated).sum(axis=1)
    return labels


@pytest.mark.parametrize(("classes", "temperature"), [(2, 2.5), (2, 0.4), (4, 1.7)])
def test_temperature_is_found_again(classes: int, temperature: float) -> None:
    """Logits that are too sure by a factor get that factor as their temperature."""
    logits = np.random.default_rng(1).normal(0, 2, (20_000, classes))
    assert fit_temperature(logits * temperature, drawn(logits)) == pytest.approx(temperature, rel=0.06)


@pytest.mark.parametrize(("classes", "exponent"), [(2, 1.7), (2, 0.8), (4, 1.4)])
def test_exponent_is_found_again(classes: int, exponent: float) -> None:
    """Logits that were flattened by a power get that power back, and then need no temperature."""
    logits = np.random.default_rng(1).normal(0, 2, (5_000, classes))
    flattened = sharpen(logits, 1 / exponent)
    assert fit_exponent(flattened, drawn(logits)) == pytest.approx(exponent, rel=0.1)
    assert sharpen(flattened, exponent) == pytest.approx(logits)


def test_fusion_weights_are_found_again() -> None:
    """The weights and the bias that the labels were drawn with."""
    random = np.random.default_rng(2)
    quick, full = random.normal(0, 1.5, (30_000, 3)), random.normal(0, 1.5, (30_000, 3))
    labels = drawn(0.6 * quick + 1.3 * full + np.array([0.5, 0.0, -0.5]))
    fusion = fit_fusion(quick, full, labels)
    assert fusion.quick == pytest.approx(0.6, abs=0.05)
    assert fusion.full == pytest.approx(1.3, abs=0.05)
    assert fusion.bias == pytest.approx((0.5, 0.0, -0.5), abs=0.05)


def test_two_that_err_differently_are_better_together() -> None:
    """The reason for the whole cascade."""
    random = np.random.default_rng(3)
    labels = random.integers(0, 2, 4_000)
    truth = np.where(np.eye(2)[labels] > 0, 1.0, -1.0)
    quick, full = truth + random.normal(0, 1.5, truth.shape), truth + random.normal(0, 1.5, truth.shape)
    fused = fit_fusion(quick, full, labels)(quick, full)
    assert log_loss(fused, labels) < min(
        log_loss(part / fit_temperature(part, labels), labels) for part in (quick, full)
    )


def test_separable_data_give_finite_weights() -> None:
    """Where nothing errs, the best weight would be infinite: it stays a number."""
    labels = np.array([0, 1] * 20)
    logits = np.eye(2)[labels] * 8 - 4
    fusion = fit_fusion(logits, logits, labels)
    assert np.isfinite([fusion.quick, fusion.full, *fusion.bias]).all()


def test_softmax_of_huge_logits_is_a_number() -> None:
    """No overflow."""
    assert softmax(np.array([[1e4, -1e4], [0.0, 0.0]])).tolist() == [[1.0, 0.0], [0.5, 0.5]]
