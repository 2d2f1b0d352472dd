"""The fast path for linear text pipelines: scikit-learn's own vocabulary and weights, without its matrices.

A pipeline of vectorizers, linear steps (feature selection, scaling, SVD) and a linear classifier is a sum of weights,
divided by the length of the text's vector. `LinearText` computes just that, for many texts at once. It gives what
`predict_proba` gives (the difference is one of rounding), without scikit-learn, SciPy or unpickling in the serving
process. `sklearn_extract` makes the description that it is built from.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matinee.flavors.sklearn_terms import Numbers, Words, finder

DESCRIPTION, ARRAYS = "linear.json", "linear.npz"
_TEXT_SHIFT = 32  # a text's number and a column's share one integer, so that one sort counts all terms

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outputs:
    """From sums to probabilities: `members` groups of columns, each through `link`, averaged.

    `link` is `softmax`, or `sigmoid`: one column is the probability of the second label, several are one label
    against the rest and are made to add up to one.
    """

    link: str
    members: int
    labels: int


class LinearText:
    """The pipeline itself.

    `arrays` holds `weights`, float64 [columns of all vectorizers, outputs], `bias` [outputs] and `scales` [columns]
    (the idf). `vocabularies` map terms to columns of their own vectorizer, from 0 on without holes.
    """

    def __init__(
        self,
        words: Sequence[Words],
        vocabularies: Sequence[dict[str, int]],
        outputs: Outputs,
        arrays: Mapping[str, Doubles],
    ) -> None:
        self._words, self._vocabularies = list(words), list(vocabularies)
        self._outputs, self._arrays = outputs, dict(arrays)
        self._parts = [
            _Part(part, vocabulary, self._arrays) for part, vocabulary in zip(words, vocabularies, strict=True)
        ]

    def probabilities(self, texts: Sequence[str]) -> tuple[Doubles, Numbers]:
        """Probabilities, float64 [texts, labels], and how many terms each text has, int64 [texts]."""
        total = np.tile(self._arrays["bias"], (len(texts), 1))
        counts = np.zeros(len(texts), dtype=np.int64)
        for part in self._parts:
            summed, count = part.sums(texts)
            total += summed
            counts += count
        return _linked(total, self._outputs), counts

    def save(self, folder: Path) -> None:
        """Write `linear.json` and `linear.npz`."""
        np.savez(folder / ARRAYS, allow_pickle=False, **self._arrays)
        document = {
            "words": [asdict(part) for part in self._words],
            "terms": [list(vocabulary) for vocabulary in self._vocabularies],
            "columns": [list(vocabulary.values()) for vocabulary in self._vocabularies],
            "outputs": asdict(self._outputs),
        }
        (folder / DESCRIPTION).write_text(json.dumps(document), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "LinearText":
        """Read what `save` wrote."""
        document = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        words = [Words(**{**part, "stop_words": tuple(part["stop_words"])}) for part in document["words"]]
        vocabularies = [
            dict(zip(terms, columns, strict=True))
            for terms, columns in zip(document["terms"], document["columns"], strict=True)
        ]
        with (folder / ARRAYS).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return cls(words, vocabularies, Outputs(**document["outputs"]), arrays)


class _Part:
    """One vectorizer with its share of the weights, and a column of zeros behind them for unknown terms."""

    def __init__(self, words: Words, vocabulary: Mapping[str, int], arrays: Mapping[str, Doubles]) -> None:
        share = slice(words.start, words.start + len(vocabulary))
        self._words = words
        self._finder = finder(words, vocabulary)
        self._scales = np.append(arrays["scales"][share], 0.0)
        self._weights = [np.append(column, 0.0) for column in arrays["weights"][share].T]

    def sums(self, texts: Sequence[str]) -> tuple[Doubles, Numbers]:
        """The weighted sums over each text's terms, float64 [texts, outputs], and how many terms each has."""
        found = self._finder.find(texts)
        keys = np.sort((found.texts << _TEXT_SHIFT) + found.columns)
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        columns, where = keys[first] & (1 << _TEXT_SHIFT) - 1, keys[first] >> _TEXT_SHIFT
        values = np.diff(first, append=len(keys)).astype(np.float64)
        if self._words.binary:
            values[:] = 1.0
        if self._words.sublinear:
            values = np.log(values) + 1.0
        values *= self._scales[columns]
        lengths = self._lengths(where, values, len(texts))
        summed = [np.bincount(where, weights[columns] * values, len(texts)) / lengths for weights in self._weights]
        return np.stack(summed, axis=1), found.counts

    def _lengths(self, where: Numbers, values: Doubles, texts: int) -> Doubles:
        if self._words.norm == "l2":
            lengths = np.sqrt(np.bincount(where, values * values, texts))
        elif self._words.norm == "l1":
            lengths = np.bincount(where, np.abs(values), texts)
        else:
            lengths = np.ones(texts)
        return np.where(lengths > 0, lengths, 1.0)


def _linked(sums: Doubles, outputs: Outputs) -> Doubles:
    groups = sums.reshape(len(sums), outputs.members, -1)
    if outputs.link == "softmax":
        shares = np.exp(groups - groups.max(axis=2, keepdims=True))
    else:
        shares = _sigmoid(groups)
        if groups.shape[2] == 1:
            shares = np.concatenate([1.0 - shares, shares], axis=2)
    totals = shares.sum(axis=2, keepdims=True)
    even = np.full_like(shares, 1.0 / outputs.labels)
    mean: Doubles = np.where(totals > 0, shares / np.where(totals > 0, totals, 1.0), even).mean(axis=1)
    return mean


def _sigmoid(values: Doubles) -> Doubles:
    """1 / (1 + e^-x), without overflow."""
    small = np.exp(-np.abs(values))
    share: Doubles = np.where(values >= 0, 1.0, small) / (1.0 + small)
    return share
