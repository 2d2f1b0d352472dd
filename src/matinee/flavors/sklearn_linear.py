"""The fast path for linear text pipelines: scikit-learn's own vocabulary and weights, without its matrices.

A pipeline of vectorizers, linear steps (feature selection, scaling, SVD) and a linear classifier is a sum of weights,
divided by the length of the text's vector. `LinearText` computes just that: it looks each n-gram up in the fitted
vocabulary and adds. It gives what `predict_proba` gives (the difference is one of rounding), without scikit-learn,
SciPy or unpickling in the serving process. `sklearn_extract` makes the description that it is built from.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DESCRIPTION, ARRAYS = "linear.json", "linear.npz"
_WHITE = re.compile(r"\s\s+")

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Words:
    """How one vectorizer cuts a text and weights what it finds; the names are scikit-learn's own.

    `analyzer` is `word`, `char` or `char_wb`; `norm` is `l2`, `l1` or empty; `start` is its first column.
    """

    analyzer: str
    pattern: str
    smallest: int
    largest: int
    lowercase: bool
    accents: str
    stop_words: tuple[str, ...]
    binary: bool
    sublinear: bool
    norm: str
    start: int


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
    """The pipeline itself. `weights` is float64 [columns of all vectorizers, outputs], `scales` their idf."""

    def __init__(
        self,
        words: Sequence[Words],
        vocabularies: Sequence[dict[str, int]],
        outputs: Outputs,
        arrays: dict[str, Doubles],
    ) -> None:
        self._parts = [
            _Part(part, vocabulary, arrays["scales"], arrays["weights"])
            for part, vocabulary in zip(words, vocabularies, strict=True)
        ]
        self._words, self._vocabularies = list(words), list(vocabularies)
        self._outputs, self._arrays = outputs, arrays

    def probabilities(self, text: str) -> tuple[Doubles, int]:
        """Probabilities of the labels, float64 [labels], and how many terms were read."""
        total, terms = self._arrays["bias"], 0
        for part in self._parts:
            summed, count = part.sums(text)
            total = total + summed
            terms += count
        return _linked(total, self._outputs), terms

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
        with np.load(folder / ARRAYS, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return cls(words, vocabularies, Outputs(**document["outputs"]), arrays)


class _Part:
    """One vectorizer with its share of the weights."""

    def __init__(self, words: Words, vocabulary: dict[str, int], scales: Doubles, weights: Doubles) -> None:
        self._words = words
        self._look_up = {term: column + words.start for term, column in vocabulary.items()}.get
        self._scales, self._weights = scales, weights
        self._analyze = analyzer(words)

    def sums(self, text: str) -> tuple[Doubles, int]:
        """The weighted sum over the text's terms, float64 [outputs], and how many terms there are."""
        terms = self._analyze(text)
        found = [column for column in map(self._look_up, terms) if column is not None]
        if not found:
            return np.zeros(self._weights.shape[1]), len(terms)
        columns, counts = np.unique(np.array(found, dtype=np.intp), return_counts=True)
        values = np.ones(len(columns)) if self._words.binary else counts.astype(np.float64)
        if self._words.sublinear:
            values = np.log(values) + 1.0
        values *= self._scales[columns]
        return self._weights[columns].T @ values / self._length(values), len(terms)

    def _length(self, values: Doubles) -> float:
        if self._words.norm == "l2":
            return float(np.sqrt(values @ values)) or 1.0
        return (float(np.abs(values).sum()) or 1.0) if self._words.norm == "l1" else 1.0


def analyzer(words: Words) -> Callable[[str], list[str]]:
    """The function from a text to its terms, repeated ones included, as `build_analyzer` would make it."""
    prepare = _preprocessor(words)
    sizes = range(words.smallest, words.largest + 1)
    if words.analyzer == "char":
        return lambda text: _char_ngrams(_WHITE.sub(" ", prepare(text)), sizes)
    if words.analyzer == "char_wb":
        return lambda text: _bounded_ngrams(_WHITE.sub(" ", prepare(text)), sizes)
    find = re.compile(words.pattern).findall
    stop_words = frozenset(words.stop_words)

    def analyze(text: str) -> list[str]:
        tokens: list[str] = find(prepare(text))
        if stop_words:
            tokens = [token for token in tokens if token not in stop_words]
        return tokens if words.largest == 1 else _word_ngrams(tokens, sizes)

    return analyze


def _preprocessor(words: Words) -> Callable[[str], str]:
    strip = {"ascii": _strip_to_ascii, "unicode": _strip_combining}.get(words.accents)
    if strip is None:
        return str.lower if words.lowercase else str
    return (lambda text: strip(text.lower())) if words.lowercase else strip


def _strip_to_ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ASCII", "ignore").decode("ASCII")


def _strip_combining(text: str) -> str:
    if text.isascii():
        return text
    return "".join(mark for mark in unicodedata.normalize("NFKD", text) if not unicodedata.combining(mark))


def _word_ngrams(tokens: list[str], sizes: range) -> list[str]:
    shifted = [tokens[start:] for start in range(sizes[-1])]
    runs = (map(" ".join, zip(*shifted[:size], strict=False)) if size > 1 else tokens for size in sizes)
    return list(chain.from_iterable(runs))


def _char_ngrams(text: str, sizes: range) -> list[str]:
    return [text[start : start + size] for size in sizes for start in range(len(text) - size + 1)]


def _bounded_ngrams(text: str, sizes: range) -> list[str]:
    """Character n-grams within words, each padded by a space; a word shorter than n counts once, then no longer n."""
    grams: list[str] = []
    for word in text.split():
        padded = f" {word} "
        for size in sizes:
            grams.append(padded[:size])
            grams.extend(padded[start : start + size] for start in range(1, len(padded) - size + 1))
            if len(padded) <= size:
                break
    return grams


def _linked(sums: Doubles, outputs: Outputs) -> Doubles:
    groups = sums.reshape(outputs.members, -1)
    if outputs.link == "softmax":
        shares = np.exp(groups - groups.max(axis=1, keepdims=True))
    else:
        shares = _sigmoid(groups)
        if groups.shape[1] == 1:
            shares = np.concatenate([1.0 - shares, shares], axis=1)
    totals = shares.sum(axis=1, keepdims=True)
    even = np.full_like(shares, 1.0 / outputs.labels)
    mean: Doubles = np.where(totals > 0, shares / np.where(totals > 0, totals, 1.0), even).mean(axis=0)
    return mean


def _sigmoid(values: Doubles) -> Doubles:
    """1 / (1 + e^-x), without overflow."""
    small = np.exp(-np.abs(values))
    share: Doubles = np.where(values >= 0, 1.0, small) / (1.0 + small)
    return share
