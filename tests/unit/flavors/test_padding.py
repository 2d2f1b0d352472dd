"""ONNX graphs that look at padding answer as without it; what looks past it goes on in batches."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.unit.flavors.bundles import FIXTURES, verified

from matinee.core.errors import ModelRejected
from matinee.flavors import LoadOptions, load
from matinee.flavors.graphs.graph import Graph
from matinee.flavors.onnx import GraphClassifier
from matinee.flavors.runtimes.unpadded import Unpadded

TEXTS = ["A fine film.", "Two hours of my life that nobody will ever give back to me.", "Fine."]
WORDS = 400


def _write(folder: Path, *, mean_of: str) -> Path:
    """A model that averages what it knows of each token: of all `positions`, or of the `tokens` alone."""
    weights = np.random.default_rng(0).normal(size=(WORDS, 2)).astype(np.float32)
    with Graph(folder) as graph:
        ids, mask = (graph.input(name, ("batch", "seq")) for name in ("input_ids", "attention_mask"))
        used = graph.op("Unsqueeze", graph.op("Cast", mask, to=1), graph.integers(2))
        known = graph.op("Gather", graph.weight(weights), ids)
        if mean_of == "tokens":
            total = graph.op("ReduceSum", graph.op("Mul", known, used), graph.integers(1), keepdims=0)
            logits = graph.op("Div", total, graph.op("ReduceSum", used, graph.integers(1), keepdims=0))
        else:
            nothing = graph.op("Mul", used, graph.number(0.0))
            logits = graph.op("ReduceMean", graph.op("Add", known, nothing), graph.integers(1), keepdims=0)
        graph.save(logits, "logits", ("batch", "labels"))
    shutil.copy(FIXTURES / "tiny-onnx" / "tokenizer.json", folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "x", "id2label": {"0": "bad", "1": "good"}}))
    return folder


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(("mean_of", "unpadded"), [("positions", True), ("tokens", False)])
def test_texts_of_many_lengths_are_answered_like_each_alone(
    runtime: str, mean_of: str, unpadded: bool, tmp_path: Path
) -> None:
    """A graph that mixes all positions, as FNet does, is run without padding, also for one text."""
    classifier = load(verified(_write(tmp_path, mean_of=mean_of)), LoadOptions(runtime=runtime, precision="f32"))
    assert isinstance(classifier, GraphClassifier)
    assert isinstance(classifier._session, Unpadded) == unpadded
    rows = [encoded.rows[0] for encoded in classifier.encode(TEXTS)]
    weights = np.random.default_rng(0).normal(size=(WORDS, 2)).astype(np.float32)
    expected = [weights[row.ids].mean(axis=0) for row in rows]  # type: ignore[attr-defined]
    np.testing.assert_allclose(classifier.run(rows), expected, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([classifier.run([row]) for row in rows]), expected, atol=1e-6)


def test_a_graph_that_fails_when_it_is_asked_is_refused(tmp_path: Path) -> None:
    """In one sentence, whichever text finds it out."""
    _write(tmp_path, mean_of="tokens")
    with Graph(tmp_path) as graph:
        ids, _ = (graph.input(name, ("batch", "seq")) for name in ("input_ids", "attention_mask"))
        few = graph.op("Gather", graph.weight(np.ones((2, 3), np.float32)), ids)
        graph.save(graph.op("Reshape", few, graph.integers(-1, 7919)), "logits", ("batch", "labels"))
    with pytest.raises(ModelRejected, match=r"^model refused: asked for an answer, the model raised \w+"):
        load(verified(tmp_path), LoadOptions(runtime="openvino"))
