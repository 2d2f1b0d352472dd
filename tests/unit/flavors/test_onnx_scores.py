"""From what an ONNX graph gives to scores: logits, or probabilities already."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.flavors.bundles import FIXTURES, answers, verified

from matinee.core.errors import ModelRejected
from matinee.flavors import load
from matinee.flavors.graphs.graph import Graph
from matinee.verify.onnx_ends import gives_probabilities

WORDS = 400
TEXTS = ["A fine film.", "Two hours of my life that nobody will ever give back to me."]


def _write(folder: Path, ending: tuple[str, ...], outputs: int) -> Path:
    """A graph that averages a vector for each token, and ends in these operations."""
    with Graph(folder) as graph:
        ids, mask = (graph.input(name, ("batch", "seq")) for name in ("input_ids", "attention_mask"))
        used = graph.op("Unsqueeze", graph.op("Cast", mask, to=1), graph.integers(2))
        known = graph.op("Mul", graph.op("Gather", graph.weight(_table(outputs)), ids), used)
        total = graph.op("ReduceSum", known, graph.integers(1), keepdims=0)
        value = graph.op("Div", total, graph.op("ReduceSum", used, graph.integers(1), keepdims=0))
        for operation in ending:
            value = graph.op(operation, value)
        graph.save(value, "scores", ("batch", "labels"))
    shutil.copy(FIXTURES / "tiny-onnx" / "tokenizer.json", folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "x", "id2label": {"0": "bad", "1": "good"}}))
    return folder


def _table(outputs: int) -> "np.ndarray[Any, Any]":
    return np.random.default_rng(0).normal(size=(WORDS, outputs)).astype(np.float32) * 3


def _sigmoid(values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    shares: np.ndarray[Any, Any] = 1 / (1 + np.exp(-values))
    return shares


@pytest.mark.parametrize("ending", [(), ("Softmax",), ("Softmax", "Identity")])
def test_a_softmax_inside_is_not_followed_by_another(ending: tuple[str, ...], tmp_path: Path) -> None:
    """A second one would put all scores between 0.27 and 0.73."""
    classifier = load(verified(_write(tmp_path, ending, 2)))
    logits = np.array([_table(2)[row.rows[0].ids].mean(axis=0) for row in classifier.encode(TEXTS)])  # type: ignore[attr-defined]
    expected = _sigmoid(logits[:, 1] - logits[:, 0])
    np.testing.assert_allclose([answer.scores[1] for answer in answers(classifier, TEXTS)], expected, atol=0.02)


@pytest.mark.parametrize("ending", [(), ("Sigmoid",)])
def test_one_output_speaks_of_the_second_label(ending: tuple[str, ...], tmp_path: Path) -> None:
    """As its log-odds, or as its probability."""
    classifier = load(verified(_write(tmp_path, ending, 1)))
    logits = np.array([_table(1)[row.rows[0].ids].mean() for row in classifier.encode(TEXTS)])  # type: ignore[attr-defined]
    found = np.array([answer.scores for answer in answers(classifier, TEXTS)])
    np.testing.assert_allclose(found[:, 1], _sigmoid(logits), atol=0.02)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-6)


def test_a_sigmoid_for_each_of_several_labels_is_taken_as_it_is(tmp_path: Path) -> None:
    """Also where the configuration says that texts may have several labels, and would ask for a sigmoid."""
    folder = _write(tmp_path, ("Sigmoid",), 2)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "problem_type": "multi_label_classification"}))
    classifier = load(verified(folder))
    logits = np.array([_table(2)[row.rows[0].ids].mean(axis=0) for row in classifier.encode(TEXTS)])  # type: ignore[attr-defined]
    found = [answer.scores for answer in answers(classifier, TEXTS)]
    np.testing.assert_allclose(found, _sigmoid(logits), atol=0.02)


def test_calibration_is_for_logits(tmp_path: Path) -> None:
    """A temperature would have nothing to divide."""
    folder = _write(tmp_path, ("Softmax",), 2)
    manifest = {"schema": 1, "name": "x", "flavor": "onnx", "labels": ["bad", "good"], "text": {"max_tokens": 64}}
    more = {"options": {"scores": "given"}, "calibration": {"temperature": 2.0}}
    (folder / "matinee.json").write_text(json.dumps({**manifest, **more}))
    with pytest.raises(ModelRejected, match="calibration is for logits"):
        load(verified(folder))


def test_what_is_no_graph_gives_no_probabilities(tmp_path: Path) -> None:
    """Its own check says what is wrong with it."""
    (tmp_path / "model.onnx").write_bytes(b"\xff" * 64)
    assert not gives_probabilities(tmp_path / "model.onnx")
