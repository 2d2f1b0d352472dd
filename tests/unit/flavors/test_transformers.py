"""Encoders saved by `transformers`: read without PyTorch, and answering what PyTorch answers."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.flavors.bundles import FIXTURES, answers, expected, logits, verified

from matinee.core.errors import MissingExtra, ModelRejected
from matinee.flavors import LoadOptions, load
from matinee.verify import Policy

FAMILIES = ("bert", "distilbert", "roberta", "electra", "albert", "deberta", "deberta-v2", "modernbert")
EXACT = LoadOptions(precision="f32", threads=1)


def copy(family: str, folder: Path, **changes: Any) -> Path:
    """A fixture with other words in its configuration; None removes one."""
    target = folder / family
    shutil.copytree(FIXTURES / "transformers" / family, target)
    config = {**json.loads((target / "config.json").read_text()), **changes}
    (target / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    return target


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_logits_are_those_of_the_real_class(family: str, runtime: str) -> None:
    """From text to logits, with the tokenizer's files of either kind, in float32, float16, bfloat16 and in shards."""
    texts, wanted = expected(FIXTURES / "transformers" / family)
    options = LoadOptions(precision="f32", threads=1, runtime=runtime)
    classifier = load(verified(FIXTURES / "transformers" / family), options)
    assert classifier.labels == ("negative", "positive")
    np.testing.assert_allclose(logits(classifier, texts), wanted, atol=1e-4)
    classifier.close()


@pytest.mark.parametrize("family", ["bert", "deberta-v2", "modernbert"])
def test_a_row_does_not_depend_on_its_neighbours(family: str) -> None:
    """Short and long texts in one padded batch get what each gets alone."""
    texts, wanted = expected(FIXTURES / "transformers" / family)
    classifier = load(verified(FIXTURES / "transformers" / family), EXACT)
    rows = [encoded.rows[0] for encoded in classifier.encode(texts, "truncate")]
    np.testing.assert_allclose(classifier.run(rows), wanted, atol=1e-4)
    classifier.close()


def test_8_bit_weights_change_little() -> None:
    """`precision=int8` asks for 8-bit matrices: near the exact logits, and not the same."""
    texts, wanted = expected(FIXTURES / "transformers" / "bert")
    options = LoadOptions(precision="int8", threads=1, runtime="onnxruntime")
    classifier = load(verified(FIXTURES / "transformers" / "bert"), options)
    difference = np.abs(np.array(logits(classifier, texts)) - wanted).max()
    assert 1e-4 < difference < 0.5
    classifier.close()


def test_a_text_beyond_the_window_is_read_in_windows() -> None:
    """The window comes from the configuration's positions."""
    classifier = load(verified(FIXTURES / "transformers" / "bert"), EXACT)
    encoded = classifier.encode(["the film " * 60])[0]
    assert encoded.tokens == 120
    assert encoded.windows > 1
    assert max(row.cost for row in encoded.rows) == 64
    classifier.close()


def test_labels_that_do_not_exclude_each_other_get_a_probability_each(tmp_path: Path) -> None:
    """`problem_type: multi_label_classification` means sigmoid."""
    texts, wanted = expected(FIXTURES / "transformers" / "distilbert")
    classifier = load(verified(copy("distilbert", tmp_path, problem_type="multi_label_classification")), EXACT)
    scores = [answer.scores for answer in answers(classifier, texts[:3])]
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-np.array(wanted[:3]))), atol=1e-4)
    classifier.close()


def test_the_graph_is_made_once(tmp_path: Path) -> None:
    """A second start reads the cache; its answers are the same."""
    texts, wanted = expected(FIXTURES / "transformers" / "bert")
    options = LoadOptions(precision="f32", threads=1, cache_dir=tmp_path)
    bundle = verified(FIXTURES / "transformers" / "bert")
    load(bundle, options).close()
    (graph,) = (tmp_path / "graphs").iterdir()
    made = (graph / "model.onnx").stat().st_mtime_ns
    classifier = load(bundle, options)
    np.testing.assert_allclose(logits(classifier, texts[:2]), wanted[:2], atol=1e-4)
    assert [path.name for path in (tmp_path / "graphs").iterdir()] == [graph.name]
    assert (graph / "model.onnx").stat().st_mtime_ns == made
    classifier.close()


def test_the_cache_keeps_the_last_used_graphs(tmp_path: Path) -> None:
    """A new version a day does not fill the disk."""
    for number in range(6):
        folder = tmp_path / f"version-{number}"
        shutil.copytree(FIXTURES / "transformers" / "albert", folder)
        load(verified(folder), LoadOptions(precision="f32", threads=1, cache_dir=tmp_path / "cache")).close()
    assert len(list((tmp_path / "cache" / "graphs").iterdir())) == 4


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"problem_type": "regression"}, "regression"),
        ({"id2label": {"0": "score"}, "label2id": {"score": 0}}, "regression"),
        ({"num_hidden_layers": 3}, "encoder.layer.2"),
        ({"num_attention_heads": None}, "num_attention_heads"),
    ],
)
def test_what_is_no_classifier_is_refused_with_the_reason(changes: dict[str, Any], word: str, tmp_path: Path) -> None:
    """Regression, missing tensors, missing numbers."""
    with pytest.raises(ModelRejected, match=word):
        load(verified(copy("bert", tmp_path, **changes)), EXACT)


@pytest.mark.parametrize(
    ("family", "changes", "word"),
    [
        ("distilbert", {"n_heads": -1}, "n_heads"),
        ("distilbert", {"n_heads": 2.5}, "n_heads"),
        ("distilbert", {"n_layers": "2"}, "n_layers"),
        ("distilbert", {"n_layers": float("inf")}, "n_layers"),
        ("modernbert", {"global_attn_every_n_layers": 0}, "global_attn_every_n_layers"),
        ("deberta-v2", {"position_buckets": -7}, "do not make an encoder"),
        ("roberta", {"pad_token_id": "1"}, "pad_token_id"),
    ],
)
def test_impossible_numbers_are_refused_with_the_reason(
    family: str, changes: dict[str, Any], word: str, tmp_path: Path
) -> None:
    """Heads that would be rounded, layers that cannot be counted, and what only shows when the graph is made."""
    with pytest.raises(ModelRejected, match=word):
        load(verified(copy(family, tmp_path, **changes)), EXACT)


@pytest.mark.parametrize("changes", [{"model_type": "funnel"}, {"hidden_act": "mish"}])
def test_an_architecture_that_only_pytorch_knows_names_the_extra(changes: dict[str, Any], tmp_path: Path) -> None:
    """Without PyTorch the error says what to install."""
    with pytest.raises(MissingExtra, match=r"matinee\[transformers\]"):
        load(verified(copy("bert", tmp_path, **changes)), EXACT)


def test_no_tokenizer_is_an_error_that_names_the_file_to_add(tmp_path: Path) -> None:
    """Nothing is guessed for a vocabulary that is not the common one."""
    folder = copy("bert", tmp_path)
    (folder / "vocab.txt").unlink()
    with pytest.raises(ModelRejected, match=r"tokenizer\.json"):
        load(verified(folder), EXACT)


def test_a_vocabulary_without_its_special_tokens_is_refused(tmp_path: Path) -> None:
    """The file may belong to another model."""
    folder = copy("bert", tmp_path)
    (folder / "vocab.txt").write_text("the\nfilm\n")
    with pytest.raises(ModelRejected, match=r"vocab\.txt lacks"):
        load(verified(folder), EXACT)


def test_two_labels_of_one_name_are_refused_with_the_setting_that_helps(tmp_path: Path) -> None:
    """An answer could show only one of them; LABELS tells them apart."""
    folder = Path(shutil.copytree(FIXTURES / "transformers" / "distilbert", tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "id2label": {"0": "good", "1": "good"}}))
    with pytest.raises(ModelRejected, match="one name, good: set LABELS"):
        load(verified(folder), EXACT)
    load(verified(folder, Policy(labels=("bad", "good"))), EXACT).close()
