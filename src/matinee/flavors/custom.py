"""Flavor `custom`: a class of the operator's own, named by `MODEL_LOADER=package.module:Class`.

The class is made without arguments and needs two methods; this is all that it takes to serve any framework:

    class Stars:
        labels = ("bad", "good")                  # or set by load(); the setting LABELS replaces them

        def load(self, path):                     # path: pathlib.Path of the folder with the model's files
            self.weights = ...

        def predict(self, texts):                 # a list of texts; probabilities, [texts, labels]
            return [[0.1, 0.9] for text in texts]

Two further methods are optional. With `encode(texts)` (one item for each text, called while another batch runs) and
`run(items)` (probabilities, [items, labels]) instead of `predict`, batches are made by the items' lengths. `close()` is
called when the model is replaced.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from matinee.core.bundle import VerifiedBundle
from matinee.core.errors import ModelRejected
from matinee.core.prediction import Answer, Capacity, Encoded, FloatArray, Overflow, Row
from matinee.flavors import LoadOptions

_CHARACTERS_PER_TOKEN = 5


@dataclass(frozen=True, slots=True)
class Item:
    """What the class's own `encode` made of a text, or the text itself."""

    value: Any
    cost: int


class CustomClassifier:
    """Puts the operator's class behind the protocol."""

    def __init__(self, model: Any, labels: tuple[str, ...], batch_tokens: int) -> None:
        self.labels = labels
        self.capacity = Capacity(batch_tokens=batch_tokens or 8192)
        self._model = model
        self._in_steps = hasattr(model, "encode") and hasattr(model, "run")

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:  # noqa: ARG002 - all is given
        """One row for each text; how much of it is read is the class's own business."""
        values = list(self._model.encode(list(texts))) if self._in_steps else list(texts)
        if len(values) != len(texts):
            raise ValueError(f"encode gave {len(values)} items for {len(texts)} texts")
        return [self._encoded(text, value) for text, value in zip(texts, values, strict=True)]

    def _encoded(self, text: str, value: Any) -> Encoded:
        words = len(text.split())
        cost = len(value) if self._in_steps and hasattr(value, "__len__") else len(text) // _CHARACTERS_PER_TOKEN
        return Encoded(rows=(Item(value, max(1, cost)),), tokens=words, windows=1, truncated=False)

    def run(self, rows: Sequence[Row]) -> FloatArray:
        """Probabilities, float32 [rows, labels]."""
        values = [row.value for row in rows if isinstance(row, Item)]
        given = self._model.run(values) if self._in_steps else self._model.predict(values)
        outputs = np.asarray(given, dtype=np.float32)
        if outputs.shape != (len(rows), len(self.labels)):
            raise ValueError(f"the class gave an array of {outputs.shape}, not ({len(rows)}, {len(self.labels)})")
        return outputs

    def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:  # noqa: ARG002 - one row is one text
        """The row's probabilities."""
        return Answer(tuple(outputs[0].tolist()))

    def close(self) -> None:
        """Tell the class, if it wants to know."""
        if hasattr(self._model, "close"):
            self._model.close()


def load(bundle: VerifiedBundle, options: LoadOptions) -> CustomClassifier:
    """Import the class that MODEL_LOADER names, make it, load the files; raises `ModelRejected`."""
    named = str(bundle.manifest.options.get("class", ""))
    model = _import(named)()
    missing = [name for name in ("load",) if not callable(getattr(model, name, None))]
    if not callable(getattr(model, "predict", None)) and not (hasattr(model, "encode") and hasattr(model, "run")):
        missing.append("predict")
    if missing:
        raise ModelRejected([f"MODEL_LOADER: {named} has no method {' and no method '.join(missing)}"])
    model.load(bundle.folder)
    labels = bundle.manifest.labels or tuple(str(label) for label in getattr(model, "labels", ()))
    if not labels:
        raise ModelRejected([f"MODEL_LOADER: {named} has no labels: give it `labels`, or set LABELS"])
    return CustomClassifier(model, labels, options.batch_tokens)


def _import(named: str) -> Any:
    module, _, attribute = named.partition(":")
    try:
        found = getattr(import_module(module), attribute, None)
    except ImportError as error:
        raise ModelRejected([f"MODEL_LOADER: {module} cannot be imported ({error})"]) from None
    if not callable(found):
        raise ModelRejected([f"MODEL_LOADER: {module} has no class {attribute!r}"])
    return found
