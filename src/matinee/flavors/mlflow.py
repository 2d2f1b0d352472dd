"""Flavor `mlflow`: a `python_function` model, which runs code of its own; allowed by ALLOW_PYTHON_FUNCTION only.

Models of MLflow that hold scikit-learn, transformers, Keras or ONNX files are not loaded here: verification looks
inside and names that flavor, so they need neither MLflow nor this permission.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from matinee.core.bundle import VerifiedBundle
from matinee.core.errors import ModelRejected
from matinee.core.prediction import FloatArray
from matinee.flavors import LoadOptions
from matinee.flavors.custom import CustomClassifier


class PythonFunction:
    """A `python_function` as a class with `predict`: texts in, probabilities out."""

    def __init__(self, model: Any, labels: tuple[str, ...]) -> None:
        self._model = model
        self._labels = labels

    def predict(self, texts: Sequence[str]) -> FloatArray:
        """Probabilities, float32 [texts, labels].

        The function may answer with an array or table of probabilities, or with one label for each text, which
        becomes a probability of 1.
        """
        answered = self._model.predict(list(texts))
        values = answered.to_numpy() if hasattr(answered, "to_numpy") else np.asarray(answered)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim == 1 and not np.issubdtype(values.dtype, np.floating):
            return self._one_hot(values)
        if values.ndim == 1 and len(self._labels) == 2:
            values = np.stack([1.0 - values, values], axis=1)
        return values.astype(np.float32)

    def _one_hot(self, answered: Any) -> FloatArray:
        places = {label: place for place, label in enumerate(self._labels)}
        places |= {str(place): place for place in range(len(self._labels))}
        outputs = np.zeros((len(answered), len(self._labels)), dtype=np.float32)
        for row, one in enumerate(answered):
            if str(one) not in places:
                raise ModelRejected([f"the python_function answers {str(one)[:80]!r}, which LABELS does not name"])
            outputs[row, places[str(one)]] = 1.0
        return outputs


def load(bundle: VerifiedBundle, options: LoadOptions) -> CustomClassifier:
    """Load it with MLflow; raises `ModelRejected` without labels."""
    import mlflow.pyfunc

    labels = bundle.manifest.labels
    if not labels:
        raise ModelRejected(["a python_function does not say its labels: set LABELS to their names, in order"])
    model = PythonFunction(mlflow.pyfunc.load_model(str(bundle.folder)), labels)
    return CustomClassifier(model, labels, options.batch_tokens)
