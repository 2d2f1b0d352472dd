"""Two models as one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from tests.fakes.classifier import ObedientClassifier, score

from matinee.core.errors import ModelRejected
from matinee.core.manifest import Manifest
from matinee.core.prediction import Answer, Capacity
from matinee.flavors import compose
from matinee.flavors.cascade import Cascade

SURE, UNSURE = "good good good", "good bad"


def cascade(options: Mapping[str, Any]) -> Cascade:
    """A cascade of two obedient classifiers."""
    manifest = Manifest("pair", "cascade", ("negative", "positive"), options=options)
    return Cascade(manifest, ObedientClassifier(quick=True), ObedientClassifier())


def answers(classifier: Cascade, texts: list[str]) -> list[Answer]:
    """As the engine would get them."""
    return [each.answer or classifier.finish(each, classifier.run(each.rows)) for each in classifier.encode(texts)]


def test_the_quick_member_answers_when_it_is_sure() -> None:
    """Above the threshold there is nothing to run; below it, both have a say; the answer names the stages."""
    sure, unsure = answers(cascade({"threshold": 0.9}), [SURE, UNSURE])
    assert sure.scores == score(SURE.split())
    assert (sure.stages, unsure.stages) == (("quick",), ("quick", "full"))
    assert unsure.scores == pytest.approx((0.5, 0.5))


def test_fused_scores_are_weighted_log_scores_with_bias_and_temperature() -> None:
    """The formula of the module, worked out by hand."""
    options = {"threshold": 1.1, "weights": {"quick": 0.3, "full": 0.8}, "bias": [0.1, -0.2], "temperature": 1.5}
    (answer,) = answers(cascade(options), ["good"])
    logits = (1.1 * np.log(score(["good"])) + [0.1, -0.2]) / 1.5
    assert answer.scores == pytest.approx(tuple(np.exp(logits) / np.exp(logits).sum()))


def test_it_is_fed_like_its_full_member_and_answers_quickly() -> None:
    """The full member's batches; `quick`, since most texts need no thread."""
    assert cascade({}).capacity == Capacity(batch_tokens=256, quick=True)


def test_closing_closes_both() -> None:
    """Neither is forgotten."""
    quick, full = ObedientClassifier(quick=True), ObedientClassifier()
    Cascade(Manifest("pair", "cascade", quick.labels), quick, full).close()
    assert (quick.closed, full.closed) == (True, True)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"threshold": "high"}, "options.threshold must be a number"),
        ({"weights": {"quick": None}}, "options.weights.quick must be a number"),
        ({"bias": [1.0]}, "options.bias hold one number for each label"),
        ({"weights": [1, 1]}, "options.weights must be an object"),
        ({"bias": ["a", 0]}, "options.bias must be a number"),
        ({"temperature": 0}, "temperature must be a number above 0"),
    ],
)
def test_wrong_options_are_refused(options: Mapping[str, Any], reason: str) -> None:
    """A manifest that does not parse ends in a sentence that names the key."""
    with pytest.raises(ModelRejected, match=reason):
        cascade(options)


def test_members_must_fit_together() -> None:
    """Other labels, or a first member that is not quick."""
    from tests.unit.flavors.bundles import FIXTURES, verified

    bundle = verified(FIXTURES / "tiny-onnx")
    other = ObedientClassifier(quick=True)
    other.labels = ("bad", "good")
    with pytest.raises(ModelRejected, match="different labels"):
        compose(bundle, other, ObedientClassifier())
    with pytest.raises(ModelRejected, match="quick member"):
        compose(bundle, ObedientClassifier(), ObedientClassifier())
