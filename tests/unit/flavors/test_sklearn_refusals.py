"""Scikit-learn files that were refused without need, or without a word on what to do instead."""

from importlib import import_module
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC
from tests.unit.flavors.bundles import verified

from matinee.core.errors import ModelRejected
from matinee.core.prediction import Classifier
from matinee.flavors import convert_sklearn, load
from matinee.verify import Policy


def scores(classifier: Classifier, given: list[str]) -> "np.ndarray[Any, Any]":
    """Scores, [texts, labels], through the protocol."""
    encoded = classifier.encode(given)
    answers = [item.answer or classifier.finish(item, classifier.run(item.rows)) for item in encoded]
    return np.array([answer.scores for answer in answers])


def test_what_was_converted_to_skops_is_served_like_the_pickle(tmp_path: Path) -> None:
    """Also a function of NumPy's, which the check of skops files knew nothing of."""
    model = make_pipeline(CountVectorizer(), FunctionTransformer(np.log1p), LogisticRegression())
    model.fit(["good film", "bad film", "fine film", "dull film"], [1, 0, 1, 0])
    (tmp_path / "pickled").mkdir()
    joblib.dump(model, tmp_path / "pickled" / "model.joblib")
    (tmp_path / "converted").mkdir()
    convert_sklearn(verified(tmp_path / "pickled"), tmp_path / "converted" / "model.skops")
    classifier = load(verified(tmp_path / "converted"))
    given = ["good film", "a dull one", ""]
    np.testing.assert_allclose(scores(classifier, given), model.predict_proba(given), atol=1e-6)
    classifier.close()


def test_an_operator_may_allow_random_states_in_skops_as_in_pickles(tmp_path: Path) -> None:
    """The setting names it, whatever file it is in; without it, the refusal says how to do without."""
    state = np.random.RandomState(0)
    model = make_pipeline(CountVectorizer(), RandomForestClassifier(3, random_state=state))
    model.fit(["good film", "bad film", "fine film", "dull film"], ["yes", "no", "yes", "no"])
    skops.io.dump(model, tmp_path / "model.skops")
    with pytest.raises(ModelRejected, match="with a number, or nothing"):
        verified(tmp_path)
    classifier = load(verified(tmp_path, Policy(pickle_names=frozenset({"numpy.random.mtrand.RandomState"}))))
    np.testing.assert_allclose(scores(classifier, ["good film"]), model.predict_proba(["good film"]), atol=1e-6)
    classifier.close()


@pytest.mark.parametrize(
    ("name", "advice"),
    [("__main__.own_words", "MODEL_LOADER"), ("sklearn.svm._classes.SVC", "ALLOW_PICKLE_NAMES")],
)
def test_a_refused_name_comes_with_what_can_be_done(name: str, advice: str, tmp_path: Path) -> None:
    """Two names that course projects have: a tokenizer of the notebook's, and an estimator that is not on the list."""
    module, _, attribute = name.rpartition(".")
    (tmp_path / "model.pkl").write_bytes(f"c{module}\n{attribute}\n.".encode())
    with pytest.raises(ModelRejected) as refused:
        verified(tmp_path)
    (reason,) = refused.value.reasons
    assert name in reason
    assert advice in reason


@pytest.mark.parametrize(
    "saved",
    [
        {"vectorizer": CountVectorizer(), "model": LogisticRegression()},
        make_pipeline(CountVectorizer(), LogisticRegression()),
        LogisticRegression().fit([[0.0], [1.0]], [0, 1]),
    ],
    ids=["parts", "unfitted", "no vectorizer"],
)
def test_a_part_of_a_pipeline_is_refused_with_what_to_save(saved: Any, tmp_path: Path) -> None:
    """In one line, without the values that scikit-learn's own message goes on with."""
    joblib.dump(saved, tmp_path / "model.joblib")
    with pytest.raises(ModelRejected) as refused:
        load(verified(tmp_path))
    (reason,) = refused.value.reasons
    assert "make_pipeline(vectorizer, classifier).fit(texts, labels)" in reason
    assert "\n" not in reason


def test_a_function_that_prints_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operator allowed runs in the helper too, whose result goes through its standard output."""
    modules, folder = tmp_path / "modules", tmp_path / "model"
    modules.mkdir()
    folder.mkdir()
    (modules / "talkative.py").write_text(
        "print('loaded')\ndef lower(text):\n    print('!')\n    return text.lower()\n"
    )
    monkeypatch.syspath_prepend(modules)
    monkeypatch.setenv("PYTHONPATH", str(modules))
    model = make_pipeline(CountVectorizer(preprocessor=import_module("talkative").lower), LogisticRegression())
    model.fit(["good film", "bad film"], ["yes", "no"])
    joblib.dump(model, folder / "model.joblib")
    classifier = load(verified(folder, Policy(pickle_names=frozenset({"talkative.lower"}))))
    np.testing.assert_allclose(scores(classifier, ["A Good film"]), model.predict_proba(["A Good film"]), atol=1e-6)


def test_decisions_on_several_labels_at_once_are_scored_one_by_one(tmp_path: Path) -> None:
    """A score above one half is a label that the model gives; a softmax would leave room for one."""
    model = make_pipeline(CountVectorizer(), OneVsRestClassifier(LinearSVC()))
    model.fit(["good film", "bad film", "good dull", "bad dull"], np.array([[1, 0], [0, 0], [1, 1], [0, 1]]))
    joblib.dump(model, tmp_path / "model.joblib")
    given = ["good film", "good dull", "bad", "film"]
    np.testing.assert_array_equal(scores(load(verified(tmp_path)), given) > 0.5, model.predict(given) == 1)
