"""The figures, against what can be worked out by hand or by scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as reference

from matinee.train.metrics import area_under_curve, calibration_error, measure


def test_figures_agree_with_scikit_learn() -> None:
    """Accuracy, area under the curve, log loss and confusion matrix, with many tied scores."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 500)
    second = np.clip(np.round(labels * 0.3 + random.random(500) * 0.7, 1), 0.05, 0.95)
    scores = np.stack([1 - second, second], axis=1)
    ours = measure(scores, labels)
    assert ours.accuracy == pytest.approx(reference.accuracy_score(labels, scores.argmax(axis=1)))
    assert ours.auc == pytest.approx(reference.roc_auc_score(labels, second))
    assert ours.log_loss == pytest.approx(reference.log_loss(labels, scores))
    assert np.array_equal(ours.confusion, reference.confusion_matrix(labels, scores.argmax(axis=1)))


def test_three_labels_are_measured_one_against_the_rest() -> None:
    """A perfect model of three labels has a perfect area under the curve."""
    labels = np.array([0, 1, 2, 1])
    ours = measure(np.eye(3)[labels], labels)
    assert (ours.accuracy, ours.auc, ours.ece) == (1.0, 1.0, 0.0)
    assert ours.confusion == ((1, 0, 0), (0, 2, 0), (0, 0, 1))


def test_one_sided_labels_have_no_curve() -> None:
    """Without a negative one, a half is the only honest answer."""
    assert area_under_curve(np.array([0.1, 0.9]), np.array([True, True])) == 0.5


def test_calibration_error_is_the_distance_of_confidence_and_accuracy() -> None:
    """Nine of ten right at 0.9 is calibrated; five of ten right at 0.9 is off by 0.4."""
    confidence = np.full(10, 0.9)
    assert calibration_error(confidence, np.arange(10) < 9) == pytest.approx(0.0)
    assert calibration_error(confidence, np.arange(10) < 5) == pytest.approx(0.4)
    assert calibration_error(np.ones(4), np.ones(4, dtype=bool)) == 0.0


def test_accuracy_by_length_counts_words() -> None:
    """Each text is in the bucket that its number of words belongs to; empty buckets are left out."""
    texts = ["word " * 99, "word " * 100, "word " * 150, "word " * 500]
    ours = measure(np.array([[1.0, 0.0]] * 4), np.array([0, 0, 1, 1]), texts)
    assert [(b.least, b.count, b.accuracy) for b in ours.by_length] == [(0, 1, 1.0), (100, 2, 0.5), (500, 1, 0.0)]
