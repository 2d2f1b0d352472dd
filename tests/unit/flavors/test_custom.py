"""A class of the operator's own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.unit.flavors.bundles import verified

from matinee.core.errors import ModelRejected
from matinee.flavors import load
from matinee.flavors.custom import CustomClassifier
from matinee.verify import Policy


class Length:
    """Says whether a text is long: the least that a class of one's own has to be."""

    labels: tuple[str, ...] = ("short", "long")

    def load(self, path: Path) -> None:
        self.limit = int((path / "limit.txt").read_text())

    def predict(self, texts: Sequence[str]) -> list[list[float]]:
        return [[0.0, 1.0] if len(text) > self.limit else [1.0, 0.0] for text in texts]


class InSteps(Length):
    """Encodes first, so that batches are made by length; and wants to know when it is over."""

    closed = False

    def encode(self, texts: Sequence[str]) -> list[list[str]]:
        return [text.split() for text in texts]

    def run(self, items: Sequence[list[str]]) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
        return np.array([[1.0, 0.0] if len(item) < 3 else [0.25, 0.75] for item in items])

    def close(self) -> None:
        InSteps.closed = True


class Unlabelled(Length):
    """Forgot its labels."""

    labels = ()


class Crooked(Length):
    """Gives three probabilities for two labels."""

    def predict(self, texts: Sequence[str]) -> list[list[float]]:
        return [[0.1, 0.2, 0.7] for _ in texts]


class Lost(Length):
    """Gives no numbers."""

    def predict(self, texts: Sequence[str]) -> list[list[float]]:
        return [[float("nan"), 1.0] for _ in texts]


class Crashing(Length):
    """Raises when asked."""

    def predict(self, texts: Sequence[str]) -> list[list[float]]:
        raise ValueError("somewhere/in/a/library.cpp:75:\nthe shapes [2,7] and [1,8] differ")


class Nothing:
    """Has no methods at all."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Its files."""
    (tmp_path / "limit.txt").write_text("20")
    return tmp_path


def opened(folder: Path, name: str, *labels: str) -> CustomClassifier:
    """The class called `name` of this module, loaded."""
    classifier = load(verified(folder, Policy(loader=f"{__name__}:{name}", labels=labels)))
    assert isinstance(classifier, CustomClassifier)
    return classifier


def test_two_methods_are_enough(folder: Path) -> None:
    """`load` gets the folder, `predict` the texts."""
    classifier = opened(folder, "Length")
    encoded = classifier.encode(["brief", "a text that is longer than the limit"])
    outputs = classifier.run([row for item in encoded for row in item.rows])
    assert outputs.tolist() == [[1, 0], [0, 1]]
    assert classifier.finish(encoded[0], outputs[:1]).scores == (1.0, 0.0)
    assert [item.tokens for item in encoded] == [1, 8]


def test_steps_are_taken_where_they_are_offered(folder: Path) -> None:
    """The cost of a row is the length of what the class encoded."""
    classifier = opened(folder, "InSteps")
    encoded = classifier.encode(["one two", "one two three four"])
    assert [item.rows[0].cost for item in encoded] == [2, 4]
    assert classifier.run(encoded[1].rows).tolist() == [[0.25, 0.75]]
    classifier.close()
    assert InSteps.closed


def test_the_setting_names_the_labels(folder: Path) -> None:
    """LABELS replaces the class's own."""
    assert opened(folder, "Unlabelled", "kurz", "lang").labels == ("kurz", "lang")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Unlabelled", "set LABELS"),
        ("Crooked", r"array of \(3, 3\), not \(3, 2\)|array of \(2, 3\), not \(2, 2\)"),
        ("Lost", "not numbers from 0 to 1"),
        ("Crashing", r"the model raised ValueError: the shapes \[2,7\] and \[1,8\] differ"),
        ("Nothing", "no method load and no method predict"),
        ("Absent", "has no class 'Absent'"),
    ],
)
def test_what_does_not_answer_is_refused(folder: Path, name: str, reason: str) -> None:
    """Before it is said to be loaded, with the reason."""
    with pytest.raises(ModelRejected, match=reason):
        opened(folder, name)


def test_a_module_that_is_not_there_is_named(folder: Path) -> None:
    """So is the setting."""
    with pytest.raises(ModelRejected, match="MODEL_LOADER: no_such_module cannot be imported"):
        load(verified(folder, Policy(loader="no_such_module:Class")))


def test_the_tutorial_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its module and its file, word by word, give what it shows: a wonderful film is positive, a dull one is not."""
    page = (Path(__file__).parents[3] / "docs" / "tutorial" / "custom-model.md").read_text(encoding="utf-8")
    (tmp_path / "my_words.py").write_text(page.split("```python\n")[1].split("```")[0])
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "weights.json").write_text(page.split("echo '")[1].split("'")[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    classifier = load(verified(tmp_path / "words", Policy(loader="my_words:Words")))
    encoded = classifier.encode(["a wonderful film", "rather dull"])
    outputs = classifier.run([row for item in encoded for row in item.rows])
    assert classifier.labels == ("negative", "positive")
    assert outputs.argmax(axis=1).tolist() == [1, 0]
