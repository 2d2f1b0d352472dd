"""Fitting a cascade: the threshold costs no accuracy, and the manifest says what was measured."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from tests.unit.train.corpus import BAD, GOOD, dataset
from tests.unit.train.models import Counter, opened

from matinee.core.manifest import Manifest
from matinee.rollout import Opened
from matinee.train.cascade import Point, choose, trade_off, train_cascade

MODELS = {
    "bundled:quick": Counter(quick=True, strength=0.8, blind=frozenset([*GOOD[:4], *BAD[:4]])),
    "bundled:full": Counter(strength=0.6),
}


def open_fake(reference: str) -> Opened:
    """The fake of that name."""
    return cast("Opened", opened(MODELS[reference], reference))


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """A cascade of one that sees half of the words, and one that sees all."""
    return train_cascade(dataset(400), "bundled:quick", "bundled:full", tmp_path / "pair", open_fake)


def test_the_manifest_names_the_members_and_how_they_answer(manifest: Manifest, tmp_path: Path) -> None:
    """Reference and digest of each, threshold, weights, bias, and no files of its own."""
    assert manifest == Manifest.from_json((tmp_path / "pair" / "matinee.json").read_text(encoding="utf-8"))
    assert manifest.flavor == "cascade"
    assert manifest.options["members"]["full"]["reference"] == "bundled:full"
    assert manifest.options["members"]["quick"]["digest"].startswith("sha256:")
    assert 0.0 <= manifest.options["threshold"] <= 1.01
    assert set(manifest.options["weights"]) == {"quick", "full"}
    assert len(manifest.options["bias"]) == 2
    assert not manifest.files


def test_the_pair_is_at_least_as_good_as_fusing_everywhere_on_held_out_films(manifest: Manifest) -> None:
    """That is the rule by which the threshold was chosen."""
    card = manifest.metrics
    assert card["heldout"]["accuracy"] > 0.8
    assert 0.0 < card["test_answered_by_quick_alone"] < 1.0
    assert abs(card["test"]["accuracy"] - card["test_fused_everywhere"]["accuracy"]) < 0.05


def test_the_ends_of_the_trade_off_are_the_members() -> None:
    """Threshold 0 is the quick model alone, above 1 the fused pair everywhere."""
    quick = np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.01, 0.99]]))
    fused = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    points = trade_off(quick, fused, np.array([0, 0, 1, 1]))
    assert (points[0].threshold, points[0].share, points[0].accuracy) == (0.0, 1.0, 0.75)
    assert (points[-1].share, points[-1].accuracy) == (0.0, 1.0)


def test_what_is_lost_and_won_is_counted_against_fusing_everywhere() -> None:
    """One review that only the fused pair is right on, one that only the quick model is right on."""
    quick = np.log(np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]))
    fused = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    alone = trade_off(quick, fused, np.array([1, 0, 0]))[0]
    assert (alone.lost, alone.won) == (1, 1)


def point(threshold: float, lost: int, won: int) -> Point:
    """A threshold that loses and wins so many reviews."""
    return Point(threshold, share=1 - threshold, accuracy=0.9, log_loss=0.2, lost=lost, won=won)


def test_the_largest_share_before_accuracy_is_lost_is_chosen() -> None:
    """One standard error is forgiven; what comes after a loss is luck; the quick model alone is never chosen."""
    strict = [point(0.95, 0, 0), point(1.01, 0, 0)]
    assert choose([point(0.0, 0, 5), point(0.8, 4, 2), point(0.85, 2, 0), point(0.9, 1, 0), *strict]).threshold == 0.9
    assert choose([point(0.0, 0, 5), point(0.9, 9, 4), *strict]).threshold == 0.95
    assert choose([point(0.0, 0, 0), point(0.7, 0, 0), *strict]).threshold == 0.7
