"""MLflow's `python_function`, once it is allowed: whatever it answers becomes probabilities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from matinee.core.errors import ModelRejected
from matinee.flavors.mlflow import PythonFunction

LABELS = ("bad", "good")


class Table:
    """As a pandas table, as far as it is needed."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def to_numpy(self) -> Any:
        return np.asarray(self.values)


class Function:
    """A python_function that always gives the same answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def predict(self, texts: Sequence[str]) -> Any:
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [
        [[0.25, 0.75], [1.0, 0.0]],
        Table([[0.25, 0.75], [1.0, 0.0]]),
        [0.75, 0.0],
        Table([[0.75], [0.0]]),
    ],
)
def test_probabilities_are_taken_as_they_are(answer: Any) -> None:
    """As an array or a table; one column is the probability of the second label."""
    assert PythonFunction(Function(answer), LABELS).predict(["a", "b"]).tolist() == [[0.25, 0.75], [1.0, 0.0]]


@pytest.mark.parametrize("answer", [["good", "bad"], [1, 0], Table([["good"], ["bad"]])])
def test_labels_become_certainties(answer: Any) -> None:
    """By name or by number."""
    assert PythonFunction(Function(answer), LABELS).predict(["a", "b"]).tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_an_unknown_label_names_the_setting() -> None:
    """LABELS has to know every answer."""
    with pytest.raises(ModelRejected, match="LABELS does not name"):
        PythonFunction(Function(["ugly"]), LABELS).predict(["a"])
