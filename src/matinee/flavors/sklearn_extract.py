"""From a fitted scikit-learn pipeline to `LinearText`, if it is linear all the way; runs where scikit-learn is.

The steps behind the vectorizers are folded into one matrix from the last to the first, so that a text's terms are
multiplied once.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from matinee.flavors.sklearn_linear import Doubles, LinearText, Outputs
from matinee.flavors.sklearn_terms import Words


class NotLinear(Exception):
    """The pipeline is not one that the fast path knows; the message names the step."""


def extract(model: Any) -> LinearText:
    """The fast form; raises `NotLinear`."""
    steps = list(_steps(model))
    vectorizers, steps = _vectorizers(steps)
    weights, bias, outputs = _head(steps.pop())
    for step in reversed(steps):
        weights, bias = _fold(step, weights, bias)
    words, vocabularies, scales, start = [], [], [], 0
    for vectorizer, weighting in vectorizers:
        words.append(_words(vectorizer, weighting, start))
        vocabularies.append({term: int(column) for term, column in vectorizer.vocabulary_.items()})
        width = len(vectorizer.vocabulary_)
        idf = getattr(weighting, "idf_", None) if weighting is not None and weighting.use_idf else None
        scales.append(np.ones(width) if idf is None else np.asarray(idf, dtype=np.float64))
        start += width
    if any(sorted(vocabulary.values()) != list(range(len(vocabulary))) for vocabulary in vocabularies):
        raise NotLinear("a vocabulary with holes")
    arrays = {"weights": np.ascontiguousarray(weights), "bias": bias, "scales": np.concatenate(scales)}
    if arrays["scales"].shape[0] != weights.shape[0]:
        raise NotLinear("the vocabulary and the weights differ in size")
    return LinearText(words, vocabularies, outputs, arrays)


def _steps(model: Any) -> Iterator[Any]:
    for _, step in getattr(model, "steps", [("", model)]):
        if type(step).__name__ == "Pipeline":
            yield from _steps(step)
        elif step is not None and step != "passthrough":
            yield step


def _vectorizers(steps: list[Any]) -> tuple[list[tuple[Any, Any]], list[Any]]:
    """Each vectorizer with its tf-idf weighting, and the steps behind."""
    kind = type(steps[0]).__name__
    if kind == "TfidfVectorizer":
        return [(steps[0], steps[0]._tfidf)], steps[1:]  # noqa: SLF001 - the fitted weighting has no other name
    if kind == "CountVectorizer":
        weighted = type(steps[1]).__name__ == "TfidfTransformer"
        return [(steps[0], steps[1] if weighted else None)], steps[2 if weighted else 1 :]
    if kind == "FeatureUnion" and not steps[0].transformer_weights:
        found = []
        for _, part in steps[0].transformer_list:
            vectorizers, rest = _vectorizers(list(_steps(part)))
            if rest:
                raise NotLinear("a FeatureUnion with further steps inside")
            found += vectorizers
        return found, steps[1:]
    raise NotLinear(kind)


def _words(vectorizer: Any, weighting: Any, start: int) -> Words:
    own = (vectorizer.tokenizer, vectorizer.preprocessor, vectorizer.analyzer, vectorizer.strip_accents)
    if any(callable(function) for function in own):
        raise NotLinear("a vectorizer with functions of its own")
    smallest, largest = vectorizer.ngram_range
    return Words(
        analyzer=vectorizer.analyzer,
        pattern=vectorizer.token_pattern or "",
        smallest=int(smallest),
        largest=int(largest),
        lowercase=bool(vectorizer.lowercase),
        accents=vectorizer.strip_accents or "",
        stop_words=tuple(sorted(vectorizer.get_stop_words() or ())),
        binary=bool(vectorizer.binary),
        sublinear=bool(weighting is not None and weighting.sublinear_tf),
        norm=(weighting.norm or "") if weighting is not None else "",
        start=start,
    )


def _fold(step: Any, weights: Doubles, bias: Doubles) -> tuple[Doubles, Doubles]:
    """Weights and bias as they are in front of `step`."""
    kind = type(step).__name__
    if kind in {"SelectKBest", "SelectPercentile", "SelectFromModel", "VarianceThreshold"}:
        kept = step.get_support()
        wide = np.zeros((len(kept), weights.shape[1]))
        wide[kept] = weights
        return wide, bias
    if kind == "TruncatedSVD":
        return step.components_.T.astype(np.float64) @ weights, bias
    if kind == "MaxAbsScaler":
        return weights / step.scale_[:, np.newaxis], bias
    if kind == "StandardScaler":
        scaled = weights if step.scale_ is None else weights / step.scale_[:, np.newaxis]
        return scaled, bias - step.mean_ @ scaled if step.with_mean else bias
    raise NotLinear(kind)


def _head(classifier: Any) -> tuple[Doubles, Doubles, Outputs]:
    kind = type(classifier).__name__
    if kind in {"MultinomialNB", "ComplementNB"}:
        return _bayes(classifier, kind)
    if kind == "CalibratedClassifierCV":
        return _calibrated(classifier)
    if kind not in {"LogisticRegression", "LogisticRegressionCV", "SGDClassifier", "LinearSVC", "RidgeClassifier",
                    "PassiveAggressiveClassifier", "Perceptron"}:  # fmt: skip
        raise NotLinear(kind)
    if getattr(classifier, "loss", "") == "modified_huber":
        raise NotLinear("SGDClassifier with modified_huber")
    weights, bias = _coefficients(classifier)
    return weights, bias, Outputs(_link(classifier, kind), 1, len(classifier.classes_))


def _coefficients(classifier: Any) -> tuple[Doubles, Doubles]:
    coefficients = classifier.coef_
    coefficients = coefficients.toarray() if hasattr(coefficients, "toarray") else np.atleast_2d(coefficients)
    bias = np.broadcast_to(np.asarray(classifier.intercept_, dtype=np.float64), (coefficients.shape[0],))
    return coefficients.T.astype(np.float64), bias.copy()


def _link(classifier: Any, kind: str) -> str:
    """What its `predict_proba` does; one that only decides gets the same shape, so that its order is kept."""
    if len(classifier.classes_) == 2 or (kind == "SGDClassifier" and hasattr(classifier, "predict_proba")):
        return "sigmoid"
    one_against_rest = (
        getattr(classifier, "multi_class", "") == "ovr" or getattr(classifier, "solver", "") == "liblinear"
    )
    return "sigmoid" if one_against_rest else "softmax"


def _bayes(classifier: Any, kind: str) -> tuple[Doubles, Doubles, Outputs]:
    weights = np.asarray(classifier.feature_log_prob_, dtype=np.float64).T
    labels = weights.shape[1]
    bias = np.asarray(classifier.class_log_prior_) if kind == "MultinomialNB" else np.zeros(labels)
    return weights, bias.astype(np.float64), Outputs("softmax", 1, labels)


def _calibrated(classifier: Any) -> tuple[Doubles, Doubles, Outputs]:
    """Platt's sigmoid of each fold's decision: its slope and offset go into the weights, the folds are averaged."""
    if classifier.method != "sigmoid":
        raise NotLinear("CalibratedClassifierCV with isotonic")
    weights, biases = [], []
    for fold in classifier.calibrated_classifiers_:
        inner = fold.estimator
        if not hasattr(inner, "coef_") or (hasattr(inner, "predict_proba") and not hasattr(inner, "decision_function")):
            raise NotLinear("CalibratedClassifierCV of a classifier that is not linear")
        coefficients, bias = _coefficients(inner)
        slopes = np.array([calibrator.a_ for calibrator in fold.calibrators])
        offsets = np.array([calibrator.b_ for calibrator in fold.calibrators])
        weights.append(-coefficients * slopes)
        biases.append(-bias * slopes - offsets)
    labels = len(classifier.classes_)
    return np.concatenate(weights, axis=1), np.concatenate(biases), Outputs("sigmoid", len(weights), labels)
