"""From texts to the numbers that a Keras model reads, as Keras does it, without TensorFlow.

`Vectorization` is the layer `TextVectorization` that a model has inside, `WordIndex` the `Tokenizer` of Keras 2 whose
`to_json` lies beside a model on ids.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from matinee.core.errors import ModelRejected

Numbers = NDArray[np.float32] | NDArray[np.int64]

# tf.strings.lower and tf.strings.split look at bytes, and know ASCII only; so do the methods of bytes.
_PUNCTUATION = b"!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"
_PAD, _UNKNOWN = 0, 1


class Reader(Protocol):
    """How a model reads texts; `length` is how many ids it takes at once, 0 for any number."""

    length: int

    def tokens(self, text: str) -> list[int]:
        """The ids of the text's words."""

    def row(self, tokens: Sequence[int]) -> Numbers:
        """What the model is given for at most `length` ids, one-dimensional."""


class Vectorization:
    """The layer `TextVectorization`: output modes `int`, `multi_hot` and `count`."""

    def __init__(self, config: Mapping[str, Any], words: Sequence[str]) -> None:
        _check(config)
        self.length = int(config.get("output_sequence_length") or 0) if config["output_mode"] == "int" else 0
        self._config = config
        self._words = {word.encode(): number for number, word in enumerate(words)}
        self._unknown = self._words.get(b"[UNK]", _UNKNOWN)
        self._size = len(words)
        if config["output_mode"] != "int" and config.get("pad_to_max_tokens") and config.get("max_tokens"):
            self._size = int(config["max_tokens"])

    def tokens(self, text: str) -> list[int]:
        """Standardize, split, and look the words up."""
        return [self._words.get(word, self._unknown) for word in self._grams(self._split(self._standardize(text)))]

    def row(self, tokens: Sequence[int]) -> Numbers:
        """Ids, padded at the end to a fixed length where there is one; or a bag of words."""
        if self._config["output_mode"] == "int":
            return np.array([*tokens, *_padding(tokens, self.length)], dtype=np.int64)
        counts = np.bincount(np.array(tokens, dtype=np.int64), minlength=self._size).astype(np.float32)
        return counts if self._config["output_mode"] == "count" else np.minimum(counts, np.float32(1))

    def _standardize(self, text: str) -> bytes:
        content, how = text.encode("utf-8", "replace"), self._config["standardize"] or ""
        if how.startswith("lower"):
            content = content.lower()
        return content.translate(None, _PUNCTUATION) if how.endswith("strip_punctuation") else content

    def _split(self, content: bytes) -> list[bytes]:
        if self._config["split"] == "character":
            return [character.encode() for character in content.decode()]
        return content.split() if self._config["split"] == "whitespace" else [content]

    def _grams(self, words: list[bytes]) -> list[bytes]:
        """The words themselves, and runs of them, shorter ones first; a number means every width up to it."""
        ngrams = self._config.get("ngrams")
        if ngrams is None:
            return words
        widths = range(1, ngrams + 1) if isinstance(ngrams, int) else ngrams
        return [b" ".join(words[at : at + width]) for width in widths for at in range(len(words) - width + 1)]


def _check(config: Mapping[str, Any]) -> None:
    known: dict[str, tuple[object, ...]] = {
        "output_mode": ("int", "multi_hot", "count"),
        "standardize": (None, "lower_and_strip_punctuation", "lower", "strip_punctuation"),
        "split": (None, "whitespace", "character"),
        "encoding": (None, "utf-8"),
        "ragged": (None, False),
    }
    wrong = [key for key, values in known.items() if config.get(key) not in values]
    if wrong:
        raise ModelRejected(
            [f"TextVectorization.{key} is {str(config[key])[:40]!r}, which is not read" for key in wrong]
        )


class WordIndex:
    """`keras.preprocessing.text.Tokenizer` with `pad_sequences`, from `Tokenizer.to_json()`.

    `options` may say how training padded: `length` in ids (the model's own where it has one), `padding` and
    `truncating`, each `pre` (as Keras does unless told otherwise) or `post`.
    """

    def __init__(self, content: bytes, length: int, options: Mapping[str, Any]) -> None:
        config = _tokenizer_config(content)
        self.length = length or int(options.get("length", 0))
        self.keep_end = options.get("truncating", "pre") == "pre"
        self._pad_front = options.get("padding", "pre") == "pre"
        self._index: dict[str, int] = json.loads(config["word_index"])
        self._limit = int(config.get("num_words") or 0) or len(self._index) + 1
        self._unknown = self._index.get(str(config.get("oov_token")))
        self._lower, self._characters = bool(config.get("lower", True)), bool(config.get("char_level", False))
        self._separator = str(config.get("split", " "))
        self._filters = str.maketrans(dict.fromkeys(str(config.get("filters", "")), self._separator))

    def tokens(self, text: str) -> list[int]:
        """Known words among the most frequent; others count only when the tokenizer has a word for the unknown."""
        text = text.lower() if self._lower else text
        words = list(text) if self._characters else text.translate(self._filters).split(self._separator)
        found = (self._index.get(word) for word in words if word)
        ids = (number if number is not None and number < self._limit else self._unknown for number in found)
        return [number for number in ids if number is not None]

    def row(self, tokens: Sequence[int]) -> Numbers:
        """Ids, padded with zeros to the model's length."""
        padding = _padding(tokens, self.length)
        return np.array([*padding, *tokens] if self._pad_front else [*tokens, *padding], dtype=np.int64)


def _padding(tokens: Sequence[int], length: int) -> list[int]:
    """Zeros up to `length`; one where there would be nothing at all."""
    return [_PAD] * (max(length, 1) - len(tokens))


def _tokenizer_config(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
        document = json.loads(document) if isinstance(document, str) else document  # json.dump(tokenizer.to_json())
        if document["class_name"] == "Tokenizer" and "word_index" in document["config"]:
            return dict(document["config"])
    except (ValueError, KeyError, TypeError):
        pass
    raise ModelRejected(["tokenizer.json is not what Tokenizer.to_json() of Keras writes"])
