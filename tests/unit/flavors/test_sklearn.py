"""Scikit-learn pipelines: read in a confined process, and answered as scikit-learn would."""

import json
import logging
import os
import random
import shutil
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC
from tests.fakes.bundles import CORPUS, copied
from tests.unit.flavors.bundles import verified

from matinee.core.errors import MissingExtra, ModelRejected
from matinee.core.prediction import Classifier
from matinee.flavors import LoadOptions, convert_sklearn, load
from matinee.flavors.sklearn import BatchClassifier, LinearClassifier
from matinee.flavors.sklearn_extract import NotLinear, extract
from matinee.flavors.sklearn_linear import LinearText
from matinee.flavors.sklearn_reading import Scored, quietly_read
from matinee.verify import Policy

BENIGN = CORPUS / "benign"
PIPELINES = sorted(path.name for path in BENIGN.iterdir() if (path / "model.joblib").exists())
# What the fast path does not know, and scikit-learn itself answers.
GENERAL = {"bernoulli-nb", "forest", "hashing-sgd", "isotonic", "vote"}
WORDS = ["a", "good", "film", "bad", "and", "fine", "awful", "fun", "dull", "GREAT", "poor,", "né", "🎬", "x", "\x00"]


def texts() -> list[str]:
    """Forty texts of known and unknown words, the empty one among them."""
    chooser = random.Random(1)  # noqa: S311 - the same texts each time
    return ["", *(" ".join(chooser.choices(WORDS, k=chooser.randint(1, 40))) for _ in range(40))]


def scores(classifier: Classifier, given: list[str]) -> "np.ndarray[Any, Any]":
    """Scores, [texts, labels], through the protocol."""
    encoded = classifier.encode(given)
    answers = [item.answer or classifier.finish(item, classifier.run(item.rows)) for item in encoded]
    return np.array([answer.scores for answer in answers])


def read(case: str) -> Any:
    """The model of a case, by the names that verification lists."""
    bundle = verified(BENIGN / case)
    model, _ = quietly_read(
        bundle.folder / str(bundle.manifest.options["file"]), bundle.manifest.options["pickle_names"]
    )
    return model


@pytest.mark.parametrize("case", PIPELINES)
def test_every_benign_pipeline_is_read_and_answers(case: str) -> None:
    """By its listed names alone; linear ones give on the fast path what scikit-learn gives."""
    model = read(case)
    exact = Scored(model).probabilities(texts())
    if case in GENERAL:
        with pytest.raises(NotLinear):
            extract(model)
        return
    fast = extract(model)
    own, _ = fast.probabilities(texts())
    assert np.abs(own - exact).max() <= 1e-6


@pytest.mark.parametrize(
    "settings",
    [
        {"ngram_range": (1, 3)},
        {"ngram_range": (2, 2)},
        {"ngram_range": (3, 4)},
        {"ngram_range": (2, 3), "max_features": 5},
        {"ngram_range": (1, 2), "stop_words": ["and", "a"], "token_pattern": r"\S+"},
        {"ngram_range": (1, 2), "token_pattern": r"\w+ \w+|\w+"},
        {"ngram_range": (2, 5), "analyzer": "char_wb", "strip_accents": "ascii"},
        {"lowercase": False, "binary": True, "norm": None, "use_idf": False},
    ],
)
def test_every_way_of_cutting_is_followed(settings: dict[str, Any]) -> None:
    """N-grams of any sizes, words with spaces inside, stop words, characters: the terms are scikit-learn's."""
    model = make_pipeline(TfidfVectorizer(**settings), LogisticRegression())
    model.fit([text for text in texts() if text], [number % 2 for number in range(40)])
    given = ["", "good", "film good bad", *texts()]
    own, counts = extract(model).probabilities(given)
    analyze = model[0].build_analyzer()
    assert np.abs(own - model.predict_proba(given)).max() <= 1e-6
    assert counts.tolist() == [len(analyze(text)) for text in given]


def test_the_answers_are_those_of_scikit_learn() -> None:
    """The very numbers of `predict_proba`, not only of our own reading."""
    reference = joblib.load(BENIGN / "logistic" / "model.joblib").predict_proba(texts())
    assert np.abs(Scored(read("logistic")).probabilities(texts()) - reference).max() == 0


@pytest.mark.parametrize("case", ["skops-words", "skops-forest", "pickle-0", "pickle-2", "pickle-5", "mlflow-sklearn"])
def test_other_files_of_the_same_models_are_read(case: str) -> None:
    """skops, plain pickles of old and new protocols, MLflow's folder."""
    assert Scored(read(case)).probabilities(texts()).shape == (41, 2)


def test_the_fast_form_survives_being_written(tmp_path: Path) -> None:
    """Plain arrays and JSON, and the same answers."""
    fast = extract(read("union"))
    fast.save(tmp_path)
    again = LinearText.load(tmp_path)
    assert np.array_equal(fast.probabilities(texts())[0], again.probabilities(texts())[0])


def test_a_linear_pipeline_is_served_on_the_fast_path(caplog: pytest.LogCaptureFixture) -> None:
    """Through the helper process, and numeric classes are named with a word on how to change that."""
    with caplog.at_level(logging.WARNING):
        classifier = load(verified(BENIGN / "logistic"))
    assert isinstance(classifier, LinearClassifier)
    assert classifier.labels == ("negative", "positive")
    assert "set LABELS" in caplog.text
    reference = joblib.load(BENIGN / "logistic" / "model.joblib").predict_proba(texts())
    assert np.abs(scores(classifier, texts()) - reference).max() <= 1e-6


def test_any_other_pipeline_is_asked_in_batches() -> None:
    """A forest, with labels of the operator's own."""
    classifier = load(verified(BENIGN / "forest", Policy(labels=("thumbs down", "thumbs up"))))
    assert isinstance(classifier, BatchClassifier)
    assert classifier.labels == ("thumbs down", "thumbs up")
    rows = [row for encoded in classifier.encode(texts()) for row in encoded.rows]
    reference = joblib.load(BENIGN / "forest" / "model.joblib").predict_proba(texts())
    assert np.abs(classifier.run(rows) - reference).max() <= 1e-6


def test_classes_that_are_words_are_the_labels(tmp_path: Path) -> None:
    """And the fast form is kept, so that the next start neither asks the helper nor reads the pickle."""
    folder = copied("benign/words", tmp_path)
    bundle, options = verified(folder), LoadOptions(cache_dir=tmp_path / "cache")
    first = load(bundle, options)
    assert first.labels == ("bad", "good")
    (folder / "model.joblib").write_bytes(b"gone")
    again = load(bundle, options)
    assert np.array_equal(scores(first, texts()), scores(again, texts()))


@pytest.mark.parametrize("name", ["about.json", "linear.json", "linear.npz"])
def test_a_damaged_fast_form_is_made_anew(name: str, tmp_path: Path) -> None:
    """A machine that lost its power may have left half of it."""
    bundle, options = verified(copied("benign/words", tmp_path)), LoadOptions(cache_dir=tmp_path / "cache")
    first = load(bundle, options)
    (kept,) = (tmp_path / "cache" / "sklearn").iterdir()
    whole = (kept / name).read_bytes()
    (kept / name).write_bytes(whole[: len(whole) // 2])
    assert np.array_equal(scores(first, texts()), scores(load(bundle, options), texts()))
    assert (kept / name).stat().st_size == len(whole)


def test_the_fast_forms_of_the_last_versions_are_kept(tmp_path: Path) -> None:
    """A server that follows its reference for months does not fill the disk."""
    cache = tmp_path / "cache" / "sklearn"
    for number in range(20):
        (cache / f"old-{number}").mkdir(parents=True)
        os.utime(cache / f"old-{number}", (number, number))
    load(verified(copied("benign/words", tmp_path)), LoadOptions(cache_dir=tmp_path / "cache")).close()
    old = {folder.name for folder in cache.iterdir() if folder.name.startswith("old-")}
    assert old == {f"old-{number}" for number in range(5, 20)}
    assert len(list(cache.iterdir())) == 16


def test_too_few_labels_name_the_setting() -> None:
    """LABELS has to be as long as the model has classes."""
    with pytest.raises(ModelRejected, match="3 classes, and LABELS"):
        load(verified(BENIGN / "stars", Policy(labels=("bad", "good"))))


def test_a_classifier_without_vectorizer_is_refused(tmp_path: Path) -> None:
    """The reason says what to save instead."""
    joblib.dump(read("logistic")[-1], tmp_path / "model.joblib")
    with pytest.raises(ModelRejected, match="save what make_pipeline"):
        load(verified(tmp_path))


@pytest.mark.parametrize(
    "classifier",
    [
        CalibratedClassifierCV(LogisticRegression(), method="temperature", cv=2),
        OneVsOneClassifier(LinearSVC()),
    ],
)
def test_less_usual_classifiers_are_read(tmp_path: Path, classifier: Any) -> None:
    """As joblib writes them, by the list of names; the answers are scikit-learn's."""
    model = fitted(classifier, classes=3)
    joblib.dump(model, tmp_path / "model.joblib")
    chosen = scores(load(verified(tmp_path)), texts()).argmax(axis=1)
    np.testing.assert_array_equal(model.classes_[chosen], model.predict(texts()))


def test_a_classifier_that_only_says_labels_is_refused_by_name(tmp_path: Path) -> None:
    """A vote by majority has neither probabilities nor decisions."""
    joblib.dump(fitted(VotingClassifier([("a", LogisticRegression())], voting="hard")), tmp_path / "model.joblib")
    with pytest.raises(ModelRejected, match="its VotingClassifier has no predict_proba"):
        load(verified(tmp_path))


def fitted(classifier: Any, classes: int = 2) -> Any:
    """A text pipeline that ends in this classifier."""
    return make_pipeline(TfidfVectorizer(), classifier).fit(texts(), [number % classes for number in range(41)])


def test_a_process_that_dies_is_a_reason(tmp_path: Path) -> None:
    """Reading an unreadable file ends the helper, not the server."""
    folder = copied("benign/logistic", tmp_path)
    bundle = verified(folder)
    (folder / "model.joblib").write_bytes(b"\x80\x04K")
    with pytest.raises(ModelRejected, match=r"model\.joblib: reading it raised"):
        load(bundle)


def test_without_scikit_learn_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The helper finds no joblib, and says what to install rather than what it lacked."""
    (tmp_path / "joblib.py").write_text("raise ModuleNotFoundError(\"No module named 'joblib'\")\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(MissingExtra, match=r"matinee\[sklearn\]"):
        load(verified(BENIGN / "logistic"))


def test_reading_goes_by_what_verification_listed(tmp_path: Path) -> None:
    """A file that was exchanged after verification gets no further than the names of the first."""
    folder = copied("benign/logistic", tmp_path)
    bundle = verified(folder)
    shutil.copy(CORPUS / "hostile" / "os-system-joblib" / "model.joblib", folder)
    with pytest.raises(ModelRejected, match="which verification did not list"):
        load(bundle)


def test_converted_to_arrays_it_needs_no_scikit_learn(tmp_path: Path) -> None:
    """A folder with a manifest, loaded without a helper, with equal answers."""
    convert_sklearn(verified(BENIGN / "calibrated"), tmp_path / "out")
    document = json.loads((tmp_path / "out" / "matinee.json").read_text())
    assert sorted(document["files"]) == ["linear.json", "linear.npz"]
    reference = joblib.load(BENIGN / "calibrated" / "model.joblib").predict_proba(texts())
    assert np.abs(scores(load(verified(tmp_path / "out")), texts()) - reference).max() <= 1e-6


def test_what_is_not_linear_is_converted_to_skops_only(tmp_path: Path) -> None:
    """The refusal says so and leaves nothing behind."""
    bundle = verified(BENIGN / "forest")
    with pytest.raises(ModelRejected, match=r"convert it to \.skops"):
        convert_sklearn(bundle, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    convert_sklearn(bundle, tmp_path / "out.skops")
    assert verified_names(tmp_path) >= {"sklearn.pipeline.Pipeline", "sklearn.tree._tree.Tree"}


def verified_names(folder: Path) -> set[str]:
    """The names in a folder's model."""
    return set(verified(folder).manifest.options["pickle_names"])


def _searched(scoring: str) -> Any:
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression())
    return GridSearchCV(pipeline, {"logisticregression__C": [1.0, 2.0]}, cv=2, scoring=scoring)


@pytest.mark.parametrize(
    "model",
    [
        *map(_searched, ("accuracy", "f1", "roc_auc", "neg_log_loss", "average_precision", "matthews_corrcoef")),
        make_pipeline(CountVectorizer(), FunctionTransformer(np.log1p), LogisticRegression()),
        make_pipeline(CountVectorizer(), FunctionTransformer(), LogisticRegression()),
    ],
    ids=repr,
)
def test_a_search_with_a_score_and_a_function_of_numpy_are_served(model: Any, tmp_path: Path) -> None:
    """What the search was scored with is not needed any more, and each number's logarithm runs no one's code."""
    model.fit(["good film", "bad film", "fine film", "dull film"] * 2, [1, 0] * 4)
    joblib.dump(model, tmp_path / "model.joblib")
    classifier = load(verified(tmp_path))
    given = ["good film", "a dull one", ""]
    np.testing.assert_allclose(scores(classifier, given), model.predict_proba(given), atol=1e-6)
    classifier.close()


@pytest.mark.parametrize("changed", [{"func": list}, {"func": np.log1p, "kw_args": {"where": False}}])
def test_a_transformer_with_another_function_is_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    """Even one whose name is on the list, or with arguments of the file's own."""
    model = make_pipeline(CountVectorizer(), FunctionTransformer(np.log1p), LogisticRegression())
    model.fit(["good film", "bad film"], [1, 0])
    vars(model[1]).update(changed)
    joblib.dump(model, tmp_path / "model.joblib")
    with pytest.raises(ModelRejected, match="no function of NumPy's for each number"):
        load(verified(tmp_path))
