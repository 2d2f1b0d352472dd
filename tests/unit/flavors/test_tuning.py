"""The fastest plan that answers like f32 is found, kept and used."""

from pathlib import Path

import pytest
from tests.unit.flavors.bundles import FIXTURES, verified
from tests.unit.flavors.test_linear import bundle as linear_bundle

from matinee.core.errors import ModelRejected
from matinee.flavors import LoadOptions, load, tune
from matinee.flavors.runtimes import Plan
from matinee.flavors.sample import SAMPLE
from matinee.flavors.tuning import Trial, _best

PLAN = Plan("openvino", "f32", 1, 1, 64)


def test_the_winner_is_kept_and_loaded(tmp_path: Path) -> None:
    """Every trial is reported; the next load takes the winner's plan."""
    bundle, options, heard = verified(FIXTURES / "tiny-onnx"), LoadOptions(cache_dir=tmp_path), list[Trial]()
    tuning = tune(bundle, options, ["a text of one's own"], heard.append)
    assert tuple(heard) == tuning.trials
    assert {trial.plan.precision for trial in heard} == {"f32", "bf16", "int8"}
    assert {trial.plan.runtime for trial in heard} == {"openvino", "onnxruntime"}
    assert tuning.chosen.same_answers
    assert tuning.texts == 1 + len(bundle.manifest.examples) + len(SAMPLE)
    classifier = load(bundle, options)
    assert classifier.capacity.batch_tokens == tuning.chosen.plan.batch_tokens
    assert classifier.capacity.parallel_batches == tuning.chosen.plan.streams
    classifier.close()


def test_speed_does_not_make_up_for_other_answers() -> None:
    """Too many flips, or scores too far apart, and a plan is out however fast."""
    slow, flips = Trial(PLAN, 10.0, 0.0, 0.0), Trial(PLAN, 99.0, 0.002, 0.0)
    apart, quick = Trial(PLAN, 98.0, 0.0, 0.006), Trial(PLAN, 20.0, 0.001, 0.005)
    assert _best([slow, flips, apart, quick]) is quick


def test_a_model_without_choices_says_so(tmp_path: Path) -> None:
    """A linear model has no precision to choose."""
    with pytest.raises(ModelRejected, match="flavor linear has nothing to tune"):
        tune(linear_bundle(tmp_path), LoadOptions())


def test_the_sample_is_like_reviews() -> None:
    """Different texts, of lengths that vary tenfold."""
    assert len(set(SAMPLE)) == len(SAMPLE)
    lengths = sorted(len(text) for text in SAMPLE)
    assert lengths[-1] > 10 * lengths[0]
