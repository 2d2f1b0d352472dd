"""Flavor `keras`: `.keras`, `.h5` and SavedModel, run by OpenVINO.

The model is turned into a graph once (Keras 3 on its OpenVINO backend), kept by digest. Texts are read by its own
`TextVectorization` layer, reproduced in Python, or by the `tokenizer.json` (`Tokenizer.to_json()`) beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from matinee.core.bundle import VerifiedBundle
from matinee.core.errors import ModelRejected, TextTooLong
from matinee.core.manifest import Manifest
from matinee.core.prediction import Answer, Capacity, Encoded, FloatArray, Overflow, Row
from matinee.flavors import LoadOptions
from matinee.flavors.calibration import softmax
from matinee.flavors.exported import exported
from matinee.flavors.keras_archive import Archive
from matinee.flavors.keras_graph import GRAPH_NAME, KerasSession, export
from matinee.flavors.keras_text import Numbers, Reader, WordIndex
from matinee.flavors.runtimes.plans import best_guess
from matinee.flavors.windows import cut, pool

TOKENIZER_NAME = "tokenizer.json"
BATCH_TOKENS = 16_384  # Keras models are small beside encoders: larger batches before the calls cost more than the work
_BINARY = ("negative", "positive")


@dataclass(frozen=True, slots=True, eq=False)
class KerasRow:
    """What the model is given for one window, one-dimensional."""

    numbers: Numbers
    cost: int


class KerasClassifier:
    """Texts read as the model's training read them, run by a session, turned into probabilities."""

    def __init__(self, manifest: Manifest, reader: Reader, session: KerasSession, capacity: Capacity) -> None:
        self.labels = _labels(manifest.labels, session.outputs)
        self.capacity = capacity
        self._reader = reader
        self._session = session
        self._gives_probabilities = session.ending in {"Sigmoid", "HardSigmoid", "Softmax", "SoftMax"}
        self._text = manifest.text

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:
        """Read texts; a model of fixed length reads of a longer one what training read, unless asked to window.

        Raises `TextTooLong` with `overflow="error"`.
        """
        # Without a manifest of its own, the model does what it did in training: it drops what is too much.
        how = overflow or (self._text.overflow if self._text.max_tokens else "truncate")
        return [self._encoded(self._reader.tokens(text), how) for text in texts]

    def _encoded(self, tokens: list[int], overflow: Overflow) -> Encoded:
        length = self._reader.length
        windows = [range(len(tokens))]
        if length and len(tokens) > length:
            if overflow == "error":
                raise TextTooLong("text", f"has {len(tokens)} words, and the model reads {length} at once")
            keep_end = getattr(self._reader, "keep_end", False)
            windows = [range(len(tokens) - length, len(tokens))] if keep_end else [range(length)]
            if overflow == "window":
                windows = cut(len(tokens), length, min(self._text.overlap, length // 2))
        rows = [self._row(tokens[window.start : window.stop]) for window in windows]
        read = windows[-1].stop - windows[0].start
        context = [len(window) for window in windows]
        return Encoded(cast("list[Row]", rows), len(tokens), len(rows), read < len(tokens), context=context)

    def _row(self, tokens: list[int]) -> KerasRow:
        numbers = self._reader.row(tokens)
        return KerasRow(numbers, max(1, len(numbers) // 16) if numbers.dtype == np.float32 else len(numbers))

    def run(self, rows: Sequence[Row]) -> FloatArray:
        """Probabilities or logits, as the model ends, float32 [rows, labels]; rows of one length run together."""
        given = [row.numbers for row in cast("Sequence[KerasRow]", rows)]
        outputs = np.empty((len(given), self._session.outputs), dtype=np.float32)
        for length in {len(numbers) for numbers in given}:
            places = [place for place, numbers in enumerate(given) if len(numbers) == length]
            batch: Numbers = np.stack([given[place] for place in places])  # type: ignore[assignment]
            outputs[places] = self._session.run(batch)
        if outputs.shape[1] > 1:
            return outputs
        # One output speaks of the second label: its probability, or the log-odds of it.
        other = 1 - outputs if self._gives_probabilities else np.zeros_like(outputs)
        return np.concatenate([other, outputs], axis=1)

    def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:
        """Pool the windows' outputs ([windows, labels]) into a probability for each label."""
        pooled = pool(outputs, encoded.context, self._text.pooling)
        return Answer(tuple(pooled.astype(float).tolist()) if self._gives_probabilities else softmax(pooled))

    def close(self) -> None:
        """Close the session."""
        self._session.close()


def load(bundle: VerifiedBundle, options: LoadOptions) -> KerasClassifier:
    """Open the model that the manifest's `options.file` names.

    Raises `ModelRejected`, and `MissingExtra` when the graph is to be made and Keras is not installed.
    """
    source = bundle.folder / str(bundle.manifest.options.get("file", "model.keras"))
    if not source.exists():
        raise ModelRejected([f"{source.name} is missing"])
    plan = best_guess(options)
    with exported(f"{bundle.digest} keras", options.cache_dir, lambda into: export(source, into)) as made:
        session = KerasSession(made / GRAPH_NAME, plan)
    reader = _reader(bundle, source, session)
    capacity = Capacity(options.batch_tokens or BATCH_TOKENS, parallel_batches=plan.streams)
    return KerasClassifier(bundle.manifest, reader, session, capacity)


def _reader(bundle: VerifiedBundle, source: Path, session: KerasSession) -> Reader:
    vectorization = Archive.read(source).vectorization() if source.suffix == ".keras" else None
    if vectorization is not None:
        return vectorization
    name = str(bundle.manifest.options.get("tokenizer", TOKENIZER_NAME))
    path = bundle.folder / name
    if not path.is_file():
        advice = "save Tokenizer.to_json() beside it as tokenizer.json, or a TextVectorization layer inside it"
        raise ModelRejected([f"the Keras model reads numbers, and nothing says which: {advice}"])
    return WordIndex(path.read_bytes(), session.length, bundle.manifest.options)


def _labels(named: tuple[str, ...], outputs: int) -> tuple[str, ...]:
    """One output is the probability of the second of two labels, as in every example of sentiment with Keras."""
    labels = named or (_BINARY if outputs == 1 else ())
    if len(labels) != max(2, outputs):
        raise ModelRejected([f"the model has {outputs} outputs and {len(labels)} labels: set LABELS, in their order"])
    return labels
