"""Keras models: read without TensorFlow, and answering what `model.predict` answers."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.flavors.bundles import FIXTURES, answers, verified

from matinee.core.errors import ModelRejected, TextTooLong
from matinee.core.prediction import Classifier
from matinee.flavors import LoadOptions, load
from matinee.flavors.keras_graph import export
from matinee.verify import Policy

KERAS = FIXTURES / "keras"
OPTIONS = LoadOptions(threads=1)
TWO = Policy(labels=("negative", "positive"))
THREE = Policy(labels=("bad", "fair", "good"))


def outputs(classifier: Classifier, texts: list[str]) -> list[list[float]]:
    """What the model gives for each text, all in one batch: one number for each label."""
    rows = [encoded.rows[0] for encoded in classifier.encode(texts)]
    found = classifier.run(rows)
    assert found.shape == (len(texts), len(classifier.labels))
    return [list(row) for row in found.tolist()]


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("vectorized", TWO),
        ("counted", THREE),
        ("recurrent", TWO),
        ("unmasked", TWO),
        ("older-file", TWO),
        ("saved-model", TWO),
    ],
)
def test_the_outputs_are_those_of_predict(name: str, policy: Policy) -> None:
    """Texts through the layer inside or the tokenizer beside; the archive, the older file, the SavedModel."""
    document = json.loads((KERAS / name / "outputs.json").read_text())
    classifier = load(verified(KERAS / name, policy), OPTIONS)
    found = np.array(outputs(classifier, document["texts"]))
    width = len(document["outputs"][0])  # a single output speaks of the second label
    np.testing.assert_allclose(found[:, -width:], document["outputs"], atol=1e-5)
    classifier.close()


def test_one_sigmoid_is_the_probability_of_positive() -> None:
    """Two labels without a setting."""
    wanted = json.loads((KERAS / "vectorized" / "outputs.json").read_text())
    classifier = load(verified(KERAS / "vectorized"), OPTIONS)
    assert classifier.labels == ("negative", "positive")
    (answer,) = answers(classifier, wanted["texts"][:1])
    assert answer.scores == pytest.approx((1 - wanted["outputs"][0][0], wanted["outputs"][0][0]), abs=1e-5)
    classifier.close()


def test_a_last_layer_without_activation_gives_logits() -> None:
    """They become probabilities."""
    wanted = json.loads((KERAS / "recurrent" / "outputs.json").read_text())
    classifier = load(verified(KERAS / "recurrent"), OPTIONS)
    (answer,) = answers(classifier, wanted["texts"][:1])
    assert answer.scores[1] == pytest.approx(1 / (1 + np.exp(-wanted["outputs"][0][0])), abs=1e-5)
    classifier.close()


def test_a_long_text_is_cut_as_in_training_unless_asked_otherwise() -> None:
    """Training saw the first twelve words; windows are for who asks."""
    classifier = load(verified(KERAS / "vectorized"), OPTIONS)
    text = "the film " * 20
    (cut,) = classifier.encode([text])
    assert (cut.tokens, cut.windows, cut.truncated) == (40, 1, True)
    (windowed,) = classifier.encode([text], "window")
    assert (windowed.windows, windowed.truncated) == (4, False)
    with pytest.raises(TextTooLong):
        classifier.encode([text], "error")
    classifier.close()


def test_the_graph_is_made_once(tmp_path: Path) -> None:
    """A second start reads it from the cache."""
    options = LoadOptions(threads=1, cache_dir=tmp_path)
    load(verified(KERAS / "vectorized"), options).close()
    (graph,) = (tmp_path / "graphs").iterdir()
    made = (graph / "model.xml").stat().st_mtime_ns
    load(verified(KERAS / "vectorized"), options).close()
    assert (graph / "model.xml").stat().st_mtime_ns == made


def test_labels_are_asked_for_when_the_model_does_not_say_them() -> None:
    """Three outputs without names."""
    with pytest.raises(ModelRejected, match="LABELS"):
        load(verified(KERAS / "counted"), OPTIONS)


def test_a_model_with_two_inputs_is_refused_for_that(tmp_path: Path) -> None:
    """No other backend would help."""
    import keras

    ends = [keras.Input((4,)), keras.Input((4,))]
    model = keras.Model(ends, keras.layers.Dense(1)(keras.layers.Add()(ends)))
    model.save(tmp_path / "model.keras")
    with pytest.raises(ModelRejected, match=r"2 inputs and 1 output; it must have one of each$"):
        export(tmp_path / "model.keras", tmp_path)


def test_a_model_on_numbers_needs_its_tokenizer(tmp_path: Path) -> None:
    """The error says what to save beside it."""
    shutil.copytree(KERAS / "recurrent", tmp_path / "model", ignore=shutil.ignore_patterns("tokenizer.json"))
    with pytest.raises(ModelRejected, match=r"tokenizer\.json"):
        load(verified(tmp_path / "model"), OPTIONS)


def _on_words(folder: Path, *layers: object) -> Any:
    """A model of Keras's own with random weights, and the tokenizer that it needs beside it."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((12,)), *layers])
    model.save(folder / "model.keras")
    shutil.copy(KERAS / "older-file" / "tokenizer.json", folder)
    return model


def test_flattened_words_are_answered_in_batches(tmp_path: Path) -> None:
    """Embedding, Flatten, Dense: the first example of many courses, exported for one row at a time."""
    from keras import layers, ops

    model = _on_words(
        tmp_path, layers.Embedding(80, 4), layers.Flatten(), layers.Dense(6), layers.Reshape((2, 3)), layers.Flatten(),
        layers.Dense(1, activation="sigmoid"),
    )  # fmt: skip
    classifier = load(verified(tmp_path), LoadOptions(precision="f32", threads=1))
    given = ["a great film", "terrible", "the film " * 9]
    rows = [encoded.rows[0].numbers for encoded in classifier.encode(given)]  # type: ignore[attr-defined]
    words, inner, bias, last, end = map(ops.convert_to_numpy, model.weights)
    logits = (words[np.stack(rows)].reshape(3, -1) @ inner + bias) @ last + end
    np.testing.assert_allclose(np.array(outputs(classifier, given))[:, 1:], 1 / (1 + np.exp(-logits)), atol=1e-6)
    classifier.close()


def test_a_hard_sigmoid_is_a_probability_as_well(tmp_path: Path) -> None:
    """It was taken for a log-odds, and put through a sigmoid."""
    from keras import layers, ops

    ending = (layers.GlobalAveragePooling1D(), layers.Dense(1, activation="hard_sigmoid"))
    model = _on_words(tmp_path, layers.Embedding(80, 4), *ending)
    classifier = load(verified(tmp_path), LoadOptions(precision="f32", threads=1))
    (encoded,) = classifier.encode(["a great film"])
    words, weights, bias = map(ops.convert_to_numpy, model.weights)
    logits = words[encoded.rows[0].numbers].mean(axis=0) @ weights + bias  # type: ignore[attr-defined]
    expected = np.clip(logits / 6 + 0.5, 0, 1)
    np.testing.assert_allclose(classifier.finish(encoded, classifier.run(encoded.rows)).scores[1], expected, atol=1e-6)
    classifier.close()


def test_a_text_layer_in_an_older_file_is_refused_with_the_form_that_is_read(tmp_path: Path) -> None:
    """Keras's own words are to install TensorFlow, which the other form does without."""
    import h5py
    from keras import layers

    _on_words(tmp_path, layers.Dense(1)).save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "a") as file:
        described = json.loads(file.attrs["model_config"])
        text: dict[str, Any] = {
            "name": "words",
            "standardize": "lower",
            "split": "whitespace",
            "output_mode": "int",
            "dtype": "string",
        }
        text |= dict.fromkeys(("max_tokens", "ngrams", "output_sequence_length", "vocabulary", "idf_weights"))
        text |= {"pad_to_max_tokens": False, "sparse": False, "ragged": False, "encoding": "utf-8"}
        layer = {"module": "keras.layers", "class_name": "TextVectorization", "config": text, "registered_name": None}
        described["config"]["layers"].insert(1, layer)
        file.attrs["model_config"] = json.dumps(described)
    with pytest.raises(ModelRejected, match=r"save the model as \.keras"):
        export(tmp_path / "model.h5", tmp_path)
