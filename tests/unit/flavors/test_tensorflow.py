"""TensorFlow checkpoints of `transformers` classes: read without TensorFlow, and answering what it answers."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.unit.flavors.bundles import FIXTURES, expected, logits, verified

from matinee.core.errors import ModelRejected
from matinee.flavors import LoadOptions, load
from matinee.flavors.hdf5 import torch_name
from matinee.flavors.vocabulary import UNCASED_WORDS, find_tokenizer

EXACT = LoadOptions(precision="f32", threads=1)


@pytest.mark.parametrize("family", ["distilbert", "bert", "roberta"])
def test_the_logits_are_those_of_the_real_class(family: str) -> None:
    """`TF…ForSequenceClassification.save_pretrained`, as the original project's training left it."""
    texts, wanted = expected(FIXTURES / "tensorflow" / family)
    bundle = verified(FIXTURES / "tensorflow" / family)
    assert bundle.manifest.flavor == "tensorflow"
    classifier = load(bundle, EXACT)
    assert classifier.labels == ("negative", "positive")
    np.testing.assert_allclose(logits(classifier, texts), wanted, atol=1e-4)
    classifier.close()


def test_names_of_variables_become_those_of_pytorch() -> None:
    """Layers are numbered, and a matrix is a weight."""
    name = "tf_bert_for_sequence_classification/bert/encoder/layer_._11/output/LayerNorm/gamma:0"
    assert torch_name(name) == "bert.encoder.layer.11.output.LayerNorm.weight"


def test_the_common_uncased_vocabulary_is_taken_and_said(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Training that saved the model alone leaves no tokenizer; 30,522 words can only be bert-base-uncased's."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", ",", "film", "##s", "!"]
    words += [f"[unused{number}]" for number in range(UNCASED_WORDS - len(words))]
    vocabulary = {word: number for number, word in enumerate(words)}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))
    config = {"model_type": "distilbert", "vocab_size": UNCASED_WORDS}
    with caplog.at_level(logging.WARNING):
        tokenizer = find_tokenizer(tmp_path / "model", config, tmp_path / "tokenizer.json")
    assert tokenizer.encode("Hello, films!").ids == [2, 5, 6, 7, 8, 9, 3]
    assert "bert-base-uncased" in caplog.text


def test_without_a_tokenizer_the_error_says_what_to_add(tmp_path: Path) -> None:
    """Another vocabulary cannot be guessed."""
    folder = tmp_path / "distilbert"
    shutil.copytree(FIXTURES / "tensorflow" / "distilbert", folder)
    (folder / "vocab.txt").unlink()
    with pytest.raises(ModelRejected, match=r"vocab\.txt"):
        load(verified(folder), EXACT)


def test_an_architecture_without_a_graph_says_how_to_convert(tmp_path: Path) -> None:
    """There is no way around the real library for these."""
    folder = tmp_path / "distilbert"
    shutil.copytree(FIXTURES / "tensorflow" / "distilbert", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "funnel"}))
    with pytest.raises(ModelRejected, match="safetensors"):
        load(verified(folder), EXACT)
