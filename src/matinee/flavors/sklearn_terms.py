"""From texts to the columns of a fitted vectorizer, exactly as scikit-learn's `CountVectorizer` cuts and counts.

Word n-grams are looked up without being joined: words become numbers, and an n-gram is the number of its first words
(a node) with that of its last, looked up in a sorted table for the whole batch at once. Characters, and patterns whose
matches may hold spaces, are looked up as strings.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_WHITE = re.compile(r"\s\s+")

Numbers = NDArray[np.int64]


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
class Occurrences:
    """Every term of a batch of texts: which text, which column (one behind the last for an unknown term)."""

    texts: Numbers
    columns: Numbers
    counts: Numbers


class Finder(Protocol):
    """Finds the terms of one vectorizer."""

    def find(self, texts: Sequence[str]) -> Occurrences:
        """All occurrences, in any order; `counts` are the terms of each text, known or not."""


def finder(words: Words, vocabulary: Mapping[str, int]) -> Finder:
    """The quicker way where the vocabulary allows it."""
    if words.analyzer == "word":
        cut = re.compile(words.pattern).findall
        if all(cut(term) == term.split(" ") for term in vocabulary):
            return _Nodes(words, vocabulary)
    return _Strings(words, vocabulary)


class _Strings:
    """Looks every term up as a string."""

    def __init__(self, words: Words, vocabulary: Mapping[str, int]) -> None:
        self._analyze = analyzer(words)
        self._look_up = vocabulary.get
        self._unknown = len(vocabulary)

    def find(self, texts: Sequence[str]) -> Occurrences:
        found = [list(map(self._look_up, terms, repeat(self._unknown))) for terms in map(self._analyze, texts)]
        counts = np.array([len(columns) for columns in found], dtype=np.int64)
        columns = np.fromiter(chain.from_iterable(found), dtype=np.int64, count=int(counts.sum()))
        return Occurrences(np.repeat(np.arange(len(texts)), counts), columns, counts)


class _Nodes:
    """Looks words up once, and n-grams as numbers.

    A node is a run of words that some term begins with; node 0 is none. `_levels[n]` is a sorted table for runs of
    n + 2 words: key (node of the first n + 1, times the number of words, plus the last word) and node.
    """

    def __init__(self, words: Words, vocabulary: Mapping[str, int]) -> None:
        self._words = words
        self._tokens = tokenizer(words)
        self._unknown = len(vocabulary)
        numbers: dict[str, int] = {}
        nodes: list[dict[tuple[int, int], int]] = [{} for _ in range(words.largest)]
        ends: dict[int, int] = {}
        count = 1
        for term, column in vocabulary.items():
            node = 0
            for level, token in enumerate(term.split(" ")):
                key = (node, numbers.setdefault(token, len(numbers) + 1))
                if key not in nodes[level]:
                    nodes[level][key] = count
                    count += 1
                node = nodes[level][key]
            ends[node] = column
        self._look_up, self._radix = numbers.get, len(numbers) + 1
        self._columns = np.full(count, self._unknown, dtype=np.int64)
        self._columns[list(ends)] = list(ends.values())
        self._first = np.zeros(self._radix, dtype=np.int64)
        for (_, number), node in nodes[0].items():
            self._first[number] = node
        self._levels = [self._table(level) for level in nodes[1:]]

    def _table(self, level: Mapping[tuple[int, int], int]) -> tuple[Numbers, Numbers]:
        keys = np.array([node * self._radix + number for node, number in level], dtype=np.int64)
        order = np.argsort(keys)
        return keys[order], np.array(list(level.values()), dtype=np.int64)[order]

    def find(self, texts: Sequence[str]) -> Occurrences:
        found = [list(map(self._look_up, tokens, repeat(0))) for tokens in map(self._tokens, texts)]
        lengths = np.array([len(numbers) for numbers in found], dtype=np.int64)
        numbers = np.fromiter(chain.from_iterable(found), dtype=np.int64, count=int(lengths.sum()))
        where = np.repeat(np.arange(len(texts)), lengths)
        nodes, size = self._first[numbers], 1
        pieces = [(where, nodes)] if self._words.smallest == 1 else []
        for keys, table in self._levels:
            nodes = self._longer(nodes, numbers[size:], keys, table)
            inside = where[: len(nodes)] == where[size:]
            size += 1
            if size >= self._words.smallest:
                pieces.append((where[: len(nodes)][inside], nodes[inside]))
        counts = sum(np.maximum(lengths - n + 1, 0) for n in range(self._words.smallest, self._words.largest + 1))
        columns = self._columns[np.concatenate([piece[1] for piece in pieces])]
        return Occurrences(np.concatenate([piece[0] for piece in pieces]), columns, np.asarray(counts))

    def _longer(self, nodes: Numbers, following: Numbers, keys: Numbers, table: Numbers) -> Numbers:
        """The node of each run made one word longer, 0 where no term begins with it."""
        wanted = nodes[: len(following)] * self._radix + following
        if not len(keys):
            return np.zeros(len(wanted), dtype=np.int64)
        places = np.searchsorted(keys, wanted)
        places[places == len(keys)] = 0
        known = (keys[places] == wanted) & (nodes[: len(following)] > 0) & (following > 0)
        return np.where(known, table[places], 0)


def analyzer(words: Words) -> Callable[[str], list[str]]:
    """The function from a text to its terms, repeated ones included, as `build_analyzer` would make it."""
    prepare = _preprocessor(words)
    sizes = range(words.smallest, words.largest + 1)
    if words.analyzer == "char":
        return lambda text: _char_ngrams(_WHITE.sub(" ", prepare(text)), sizes)
    if words.analyzer == "char_wb":
        return lambda text: _bounded_ngrams(_WHITE.sub(" ", prepare(text)), sizes)
    tokens = tokenizer(words)
    return tokens if words.largest == 1 else lambda text: _word_ngrams(tokens(text), sizes)


def tokenizer(words: Words) -> Callable[[str], list[str]]:
    """The function from a text to its words, less the stop words."""
    prepare, find = _preprocessor(words), re.compile(words.pattern).findall
    stop_words = frozenset(words.stop_words)
    if not stop_words:
        return lambda text: find(prepare(text))
    return lambda text: [token for token in find(prepare(text)) if token not in stop_words]


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
