"""Fit the linear model: naive-Bayes-weighted logistic regression on word n-grams (Wang & Manning, 2012).

Every n-gram is scaled by its naive-Bayes log-ratio, then a logistic regression learns how far to trust each; only the
product is kept, quantized to one byte. No random numbers are involved: retraining gives the same bytes.

With a file of labels it also learns from reviews that nobody labelled: co-training (Blum & Mitchell, 1998), the teacher
being a model that reads in another way.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize

from matinee.core.manifest import Manifest
from matinee.flavors import LinearModel, fingerprint, save_linear, split_words
from matinee.train.bundles import write_bundle
from matinee.train.calibration import fit_temperature, softmax
from matinee.train.card import render_card
from matinee.train.dataset import split
from matinee.train.examples import examples
from matinee.train.lineage import lineage
from matinee.train.metrics import measure
from matinee.train.reviews import Dataset, Reviews
from matinee.train.taught import read_labels

LINEAR_FILE = "model.safetensors"
TAUGHT_COUNT = 4  # `LinearPlan.min_count` with a teacher's labels, where there are three times as many reviews
_PURPOSE = """\
Decides whether a film review is positive or negative, from which words and runs of up to three words it has: logistic
regression with naive-Bayes weights (Wang & Manning, "Baselines and Bigrams", 2012), one byte for each weight. It reads
texts of any length as a whole, and answers in a fraction of a millisecond. English only; it has seen nothing but film
reviews, and knows no irony."""


@dataclass(frozen=True)
class LinearPlan:
    """`min_count` reviews must have an n-gram; `limit` n-grams are kept; `penalty` is of the squared weights."""

    ngrams: int = 3
    min_count: int = 2
    limit: int = 1_500_000
    penalty: float = 4.0
    smoothing: float = 1.0


def train_linear(
    dataset: Dataset, out: Path, *, labels: Path | None = None, plan: LinearPlan = LinearPlan(), seed: int = 0
) -> Manifest:
    """Fit on the training films, calibrate on held-out ones, measure on the test reviews, and write the bundle.

    ``labels`` is a file with a teacher's labels for the unlabelled reviews; raises `NotTheLabels` if it is another.
    """
    parts = split(dataset, seed=seed)
    texts, targets = parts.fit.texts, np.eye(len(dataset.labels), dtype=np.float32)[parts.fit.labels]
    if labels is not None:
        more, taught = read_labels(labels, dataset, seed, parts.unlabelled)
        texts, targets, plan = texts + more, np.concatenate([targets, taught]), replace(plan, min_count=TAUGHT_COUNT)
    model = fit_linear(texts, targets, plan)
    logits = model.logits(parts.heldout.texts)
    temperature = round(fit_temperature(logits, parts.heldout.labels), 4)

    def figures(reviews: Reviews) -> dict[str, object]:
        scores = softmax(model.logits(reviews.texts) / temperature)
        return measure(scores, reviews.labels, reviews.texts).to_dict()

    manifest = Manifest(
        name=out.name,
        version="1",
        flavor="linear",
        labels=dataset.labels,
        calibration={"temperature": temperature, "fitted_on": f"{len(parts.heldout)} reviews of held-out films"},
        metrics={"heldout": figures(parts.heldout), "test": figures(dataset.test)},
        lineage=lineage(dataset.digest, seed, ("numpy", "scipy"), plan=asdict(plan), fitted_on=len(texts)),
        examples=examples(dataset.labels, lambda texts: softmax(model.logits(texts) / temperature)),
    )
    return write_bundle(
        out,
        manifest,
        lambda written: render_card(written, _PURPOSE),
        lambda folder: save_linear(model, folder / LINEAR_FILE),
    )


def fit_linear(texts: Sequence[str], targets: NDArray[np.float32], plan: LinearPlan) -> LinearModel:
    """Fit soft ``targets`` [texts, labels]: one column for two labels, otherwise one against the rest for each."""
    vocabulary, matrix = _matrix(texts, plan)
    columns = targets[:, 1:] if targets.shape[1] == 2 else targets
    fitted = [_fit_column(matrix, columns[:, i].astype(np.float64), plan) for i in range(columns.shape[1])]
    weights, bias = np.stack([w for w, _ in fitted], axis=1), np.array([b for _, b in fitted])
    kept = _strongest(weights, np.asarray(matrix.sum(axis=0)).ravel(), plan.limit)
    scales = np.abs(weights).max(axis=0) / 127
    quantized = np.rint(weights / scales).astype(np.int8)
    return LinearModel(
        vocabulary[kept], quantized[kept], scales.astype(np.float32), bias.astype(np.float32), plan.ngrams
    )


def _matrix(texts: Sequence[str], plan: LinearPlan) -> tuple[NDArray[np.uint32], sparse.csr_matrix]:
    """The ascending fingerprints that are common enough, and the 0/1 matrix [texts, fingerprints]."""
    rows = [fingerprint(split_words(text), plan.ngrams) for text in texts]
    everything = np.concatenate(rows)
    vocabulary, counts = np.unique(everything, return_counts=True)
    vocabulary = vocabulary[counts >= plan.min_count]
    places = np.searchsorted(vocabulary, everything)
    places[places == len(vocabulary)] = 0
    known = vocabulary[places] == everything
    lengths = np.array([len(row) for row in rows])
    owners = np.repeat(np.arange(len(rows)), lengths)[known]
    pointers = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(rows)))])
    ones = np.ones(int(known.sum()), dtype=np.float64)
    return vocabulary, sparse.csr_matrix((ones, places[known], pointers), shape=(len(rows), len(vocabulary)))


def _fit_column(
    matrix: sparse.csr_matrix, target: NDArray[np.float64], plan: LinearPlan
) -> tuple[NDArray[np.float64], float]:
    """Weights and bias of the log-odds of one label, ``target`` being its probability in each row."""
    inside, outside = matrix.T @ target + plan.smoothing, matrix.T @ (1.0 - target) + plan.smoothing
    ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
    scaled = matrix @ sparse.diags(ratio)
    transposed = scaled.T.tocsr()

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias = parameters[:-1], parameters[-1]
        logits = scaled @ weights + bias
        value = np.logaddexp(0.0, logits).sum() - target @ logits + 0.5 * plan.penalty * (weights @ weights)
        error = 1.0 / (1.0 + np.exp(-logits)) - target
        return float(value), np.append(transposed @ error + plan.penalty * weights, error.sum())

    start = np.zeros(matrix.shape[1] + 1)
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200, "maxcor": 10, "ftol": 1e-7})
    return fitted.x[:-1] * ratio, float(fitted.x[-1])


def _strongest(weights: NDArray[np.float64], counts: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    """Positions, ascending, of the ``limit`` n-grams that move the most reviews the most."""
    influence = np.abs(weights).max(axis=1) * np.sqrt(counts)
    order = np.argsort(-influence, kind="stable")[:limit]
    return np.sort(order[np.abs(weights[order]).max(axis=1) > 0])
