"""Fit a cascade of two bundles on held-out films: when the quick one answers alone, and how to add the two.

A threshold on the quick model's calibrated confidence is wanted that costs no accuracy: the highest share of texts that
it may answer alone before the pair is measurably less often right on held-out reviews than with both models everywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matinee.core.manifest import Manifest
from matinee.rollout import Opened
from matinee.train.answers import OpenModel, answer, scores_of
from matinee.train.bundles import write_bundle
from matinee.train.calibration import Array, Fusion, fit_fusion, log_loss, softmax
from matinee.train.card import render_card, table
from matinee.train.dataset import split
from matinee.train.examples import examples
from matinee.train.lineage import lineage
from matinee.train.metrics import measure
from matinee.train.reviews import Dataset

_THRESHOLDS = (0.7, 0.75, 0.8, 0.85, 0.875, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995)
_SMALLEST = 1e-30
_PURPOSE = """\
Two models as one: the linear model answers at once when it is sure; otherwise the transformer reads the review too, and
what both say is added, with weights fitted on held-out films. The two err differently: together they are right more
often than either, and most reviews never need the transformer."""


@dataclass(frozen=True)
class Point:
    """What a threshold gives on held-out films: share answered by the quick model alone, accuracy, log loss.

    `lost` and `won` are the reviews that only fusing everywhere, or only this threshold, is right on.
    """

    threshold: float
    share: float
    accuracy: float
    log_loss: float
    lost: int
    won: int

    @property
    def costs_accuracy(self) -> bool:
        """Whether more is lost than one standard error of the difference.

        That is the square root of lost + won, as in McNemar's test (Psychometrika 12, 1947).
        """
        return self.lost - self.won > math.sqrt(self.lost + self.won)


@dataclass(frozen=True)
class Pair:
    """The two models, opened, under the references by which the cascade names them."""

    quick: Opened
    full: Opened

    def log_scores(self, texts: Sequence[str]) -> tuple[Array, Array]:
        """Logarithms of the calibrated scores of each model, [texts, labels]."""
        scores = [scores_of(answer(each.classifier, texts, each.identity.source)) for each in (self.quick, self.full)]
        quick, full = (np.log(np.maximum(part, _SMALLEST)) for part in scores)
        return quick, full


@dataclass(frozen=True)
class Rule:
    """How the pair answers: the quick model alone from the threshold on, otherwise both, fused."""

    threshold: float
    fusion: Fusion

    def scores(self, quick: Array, full: Array) -> NDArray[np.float64]:
        """From log-scores to scores, [texts, labels]."""
        alone = np.exp(quick)
        return np.where(self.is_alone(quick)[:, None], alone, softmax(self.fusion(quick, full)))

    def is_alone(self, quick: Array) -> NDArray[np.bool_]:
        """Where the quick model answers by itself, [texts]."""
        sure: NDArray[np.bool_] = np.exp(quick).max(axis=1) >= self.threshold
        return sure


def train_cascade(dataset: Dataset, quick: str, full: str, out: Path, open_model: OpenModel, seed: int = 0) -> Manifest:
    """Fit the pair of the two references on held-out films, measure it on the test reviews, write the bundle.

    The bundle is a manifest and a card; the members stay where they are, and are named by reference and digest.
    """
    pair = Pair(open_model(quick), open_model(full))
    heldout, test = split(dataset, seed=seed).heldout, dataset.test
    logs = pair.log_scores(heldout.texts)
    rule, points = fit_rule(*logs, heldout.labels)
    test_logs = pair.log_scores(test.texts)
    manifest = Manifest(
        name=out.name,
        version="1",
        flavor="cascade",
        labels=dataset.labels,
        options=_options(pair, rule),
        metrics={
            "heldout": measure(rule.scores(*logs), heldout.labels, heldout.texts).to_dict(),
            "test": measure(rule.scores(*test_logs), test.labels, test.texts).to_dict(),
            "test_fused_everywhere": measure(softmax(rule.fusion(*test_logs)), test.labels, test.texts).to_dict(),
            "test_answered_by_quick_alone": round(float(rule.is_alone(test_logs[0]).mean()), 4),
        },
        lineage=lineage(dataset.digest, seed, ("numpy",), fitted_on=f"{len(heldout)} reviews of held-out films"),
        examples=examples(dataset.labels, lambda texts: rule.scores(*pair.log_scores(texts))),
    )
    sections = (("Thresholds on held-out films", trade_off_table(points, rule.threshold)),)
    return write_bundle(out, manifest, lambda written: render_card(written, _PURPOSE, sections), lambda _: None)


def fit_cascade(pair: Pair, texts: Sequence[str], labels: NDArray[np.int64], out: Path) -> Manifest:
    """Fit any two models on any texts with labels, and write the bundle; its figures are of these texts."""
    logs = pair.log_scores(texts)
    rule, points = fit_rule(*logs, labels)
    manifest = Manifest(
        name=out.name,
        version="1",
        flavor="cascade",
        labels=pair.full.classifier.labels,
        options=_options(pair, rule),
        metrics={
            "fitted_on": measure(rule.scores(*logs), labels, texts).to_dict(),
            "answered_by_quick_alone": round(float(rule.is_alone(logs[0]).mean()), 4),
        },
        lineage=lineage("", 0, ("numpy",), fitted_on=f"{len(texts)} texts"),
    )
    sections = (("Thresholds on the texts it was fitted on", trade_off_table(points, rule.threshold)),)
    return write_bundle(out, manifest, lambda written: render_card(written, _PURPOSE, sections), lambda _: None)


def fit_rule(quick: Array, full: Array, labels: NDArray[np.int64]) -> tuple[Rule, list[Point]]:
    """The rule for log-scores [texts, labels] of both models, and what other thresholds would give."""
    fusion = _rounded(fit_fusion(quick, full, labels))
    points = trade_off(quick, fusion(quick, full), labels)
    return Rule(choose(points).threshold, fusion), points


def trade_off(quick: Array, fused: Array, labels: NDArray[np.int64]) -> list[Point]:
    """Every threshold on held-out reviews, and the two ends: 0 asks the quick model alone, above 1 fuses everything.

    ``quick`` are log-scores, ``fused`` calibrated logits, both [texts, labels].
    """
    points = []
    confidence = np.exp(quick).max(axis=1)
    everywhere = fused.argmax(axis=1) == labels
    for threshold in (0.0, *_THRESHOLDS, 1.01):
        alone = confidence >= threshold
        logits = np.where(alone[:, None], quick, fused)
        right = logits.argmax(axis=1) == labels
        points.append(
            Point(
                threshold=threshold,
                share=float(alone.mean()),
                accuracy=float(right.mean()),
                log_loss=log_loss(logits, labels),
                lost=int((everywhere & ~right).sum()),
                won=int((right & ~everywhere).sum()),
            )
        )
    return points


def choose(points: Sequence[Point]) -> Point:
    """The last threshold, from the strictest one down, before accuracy begins to be lost.

    Losses within one standard error are no reason to ask the slow model (the one-standard-error rule of Breiman and
    others, Classification and Regression Trees, 1984, 3.4.3). Below the first threshold that loses more, a better one
    would be luck; threshold 0, the quick model alone, is there to compare with.
    """
    strictest_first = sorted(points, key=lambda point: point.threshold, reverse=True)
    return list(takewhile(lambda point: point.threshold > 0 and not point.costs_accuracy, strictest_first))[-1]


def trade_off_table(points: Sequence[Point], chosen: float) -> str:
    """The points as a Markdown table."""
    rows = [
        (
            f"{point.threshold:g}" + (" (chosen)" if point.threshold == chosen else ""),
            f"{point.share:.1%}",
            f"{point.accuracy:.2%}",
            f"{point.lost} / {point.won}",
            f"{point.log_loss:.4f}",
        )
        for point in points
    ]
    return table(("threshold", "answered by the quick model alone", "accuracy", "lost / won", "log loss"), rows)


def _rounded(fusion: Fusion) -> Fusion:
    """As the manifest will hold it, so that what is measured is what will be served."""
    return Fusion(round(fusion.quick, 5), round(fusion.full, 5), tuple(round(value, 5) for value in fusion.bias))


def _options(pair: Pair, rule: Rule) -> dict[str, Any]:
    return {
        "members": {
            role: {"reference": opened.identity.source, "digest": opened.identity.digest}
            for role, opened in (("quick", pair.quick), ("full", pair.full))
        },
        "threshold": rule.threshold,
        "weights": {"quick": rule.fusion.quick, "full": rule.fusion.full},
        "bias": list(rule.fusion.bias),
    }
