"""Flavor `linear`: word n-grams and their weights. NumPy only; a review takes a fraction of a millisecond.

The bundle holds `model.safetensors` (see `linear_features`). It reads texts of any length.
"""

from collections.abc import Sequence

import numpy as np

from matinee.core.bundle import VerifiedBundle
from matinee.core.errors import ModelRejected
from matinee.core.prediction import Answer, Capacity, Encoded, FloatArray, Overflow, Row
from matinee.flavors import LoadOptions
from matinee.flavors.calibration import softmax, temperature
from matinee.flavors.linear_features import LinearModel, fingerprint, fingerprint_many, load_linear, split_words
from matinee.flavors.linear_lookup import Lookup

MODEL_NAME = "model.safetensors"


class LinearClassifier:
    """Answers while it encodes; there are no rows to run."""

    capacity = Capacity(quick=True)

    def __init__(self, model: LinearModel, labels: tuple[str, ...], temperature: float) -> None:
        self.labels = labels
        # For one text and a few labels, numbers of Python's own are quicker than arrays, and add up to the same.
        self._scales, self._bias = model.scales.tolist(), model.bias.tolist()
        self._ngrams = model.ngrams
        self._lookup: Lookup | None = Lookup(model)
        self._temperature = temperature

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:  # noqa: ARG002 - all is read
        """Answer; `tokens` counts words and marks."""
        if self._lookup is None:
            raise RuntimeError("the classifier is closed")
        words = [split_words(text) for text in texts]
        if len(texts) == 1:  # the same, with a few steps less
            totals = [self._lookup.total(fingerprint(words[0], self._ngrams)).tolist()]
        else:
            found, owner = fingerprint_many(words, self._ngrams)
            totals = self._lookup.totals(found, owner, len(texts)).tolist()
        return [self._encoded(len(read), total) for read, total in zip(words, totals, strict=True)]

    def _encoded(self, tokens: int, totals: Sequence[int]) -> Encoded:
        columns = [total * scale + bias for total, scale, bias in zip(totals, self._scales, self._bias, strict=True)]
        logits = (columns[0] / -2, columns[0] / 2) if len(columns) == 1 else columns
        answer = Answer(softmax(logits, self._temperature))
        return Encoded(rows=(), tokens=tokens, windows=1, truncated=False, answer=answer)

    def run(self, rows: Sequence[Row]) -> FloatArray:
        """There is nothing to run."""
        return np.empty((len(rows), len(self.labels)), dtype=np.float32)

    def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:  # noqa: ARG002 - the protocol's
        """The answer is there already."""
        if encoded.answer is None:
            raise ValueError("this text was encoded by another classifier")
        return encoded.answer

    def close(self) -> None:
        """Forget the weights."""
        self._lookup = None


def load(bundle: VerifiedBundle, options: LoadOptions) -> LinearClassifier:  # noqa: ARG001 - nothing to choose
    """Map the file; raises `ModelRejected`."""
    manifest = bundle.manifest
    path = bundle.folder / MODEL_NAME
    try:
        model = load_linear(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelRejected([f"{MODEL_NAME}: {error}"]) from None
    if model.labels != len(manifest.labels):
        raise ModelRejected(
            [f"{MODEL_NAME} has weights for {model.labels} labels, the manifest {len(manifest.labels)}"]
        )
    return LinearClassifier(model, manifest.labels, temperature(manifest.calibration))
