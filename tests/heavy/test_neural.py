"""The neural flavors against the real libraries, loaded with the same files in the same process."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.flavors.bundles import FIXTURES, expected, logits, verified

from matinee.core.errors import ModelRejected
from matinee.flavors import LoadOptions, graphs, load
from matinee.flavors.encoders import read_config
from matinee.flavors.graphs.safetensors import open_folder
from matinee.flavors.transformers import TorchSession
from matinee.verify import Policy

pytestmark = pytest.mark.heavy
FAMILIES = ("bert", "distilbert", "roberta", "electra", "albert", "deberta", "deberta-v2", "modernbert")
EXACT = LoadOptions(precision="f32", threads=1)
TEXTS = (
    "Not a bad film, and not a good one.",
    "I can't say — really — that “Amélie” isn't 100% worth it… 🎬 电影",
    "word " * 200,
)


def real_logits(folder: Path, texts: tuple[str, ...]) -> list[list[float]]:
    """What `transformers` and PyTorch say."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    single = folder / "tokenizer.json"
    tokenizer: Any = (
        PreTrainedTokenizerFast(tokenizer_file=str(single))
        if single.exists()
        else AutoTokenizer.from_pretrained(folder)
    )
    results = []
    for text in texts:
        encoded = tokenizer(text, return_tensors="pt", truncation=True, max_length=64)
        with torch.inference_mode():
            output = model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"])
        results.append(output.logits[0].tolist())
    return results


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_equal_those_of_pytorch(family: str) -> None:
    """Texts that the fixtures were not made with, short of 1e-4."""
    folder = FIXTURES / "transformers" / family
    classifier = load(verified(folder), EXACT)
    np.testing.assert_allclose(logits(classifier, list(TEXTS)), real_logits(folder, TEXTS), atol=1e-4)
    classifier.close()


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_graph_is_valid_onnx(family: str, int8: bool, tmp_path: Path) -> None:
    """By the checker of the ONNX project, shapes included."""
    import onnx

    folder = FIXTURES / "transformers" / family
    path = graphs.export(read_config(folder), open_folder(folder), tmp_path, int8=int8)
    onnx.checker.check_model(str(path), full_check=True)


def test_a_variant_without_a_graph_runs_on_pytorch(tmp_path: Path) -> None:
    """With PyTorch installed, the answer is the library's own."""
    folder = tmp_path / "bert"
    shutil.copytree(FIXTURES / "transformers" / "bert", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_act": "mish"}))
    classifier = load(verified(folder), EXACT)
    assert isinstance(classifier._session._session, TorchSession)  # type: ignore[attr-defined]
    np.testing.assert_allclose(logits(classifier, list(TEXTS)), real_logits(folder, TEXTS), atol=1e-5)
    classifier.close()


def test_a_checkpoint_without_its_head_is_refused(tmp_path: Path) -> None:
    """The library makes up what is missing, anew at each start: every answer would be made up as well."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "electra"
    shutil.copytree(FIXTURES / "transformers" / "electra", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_act": "mish"}))
    weights = load_file(folder / "model.safetensors")
    kept = {name: array for name, array in weights.items() if not name.startswith("classifier")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelRejected, match=r"no tensor 'classifier\.dense\.bias'"):
        load(verified(folder), EXACT)


def test_a_model_that_needs_another_library_is_refused_in_its_words(tmp_path: Path) -> None:
    """An ImportError of the library's own tells which."""
    folder = tmp_path / "bert"
    shutil.copytree(FIXTURES / "transformers" / "bert", folder)
    config = json.loads((folder / "config.json").read_text())
    quantized = {**config, "hidden_act": "mish", "quantization_config": {"quant_method": "gptq", "bits": 4}}
    (folder / "config.json").write_text(json.dumps(quantized))
    with pytest.raises(ModelRejected, match=r"transformers cannot load the model \(ImportError: .*optimum"):
        load(verified(folder), EXACT)


def test_texts_of_many_lengths_at_once_are_answered_like_each_alone(tmp_path: Path) -> None:
    """MobileBERT puts each token's neighbours into it: beside padding the last one got another."""
    import torch
    from transformers import MobileBertConfig, MobileBertForSequenceClassification

    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    narrow = {"embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16}
    vocabulary = json.loads((FIXTURES / "transformers" / "bert" / "config.json").read_text())["vocab_size"]
    config = MobileBertConfig(vocab_size=vocabulary, max_position_embeddings=64, num_labels=2, **small, **narrow)
    model = MobileBertForSequenceClassification(config)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, 0, 0.25)  # also the row of the padding token, which is zero at first
    model.save_pretrained(tmp_path)
    shutil.copy(FIXTURES / "transformers" / "bert" / "vocab.txt", tmp_path)
    classifier = load(verified(tmp_path), EXACT)
    rows = [encoded.rows[0] for encoded in classifier.encode(list(TEXTS), "truncate")]
    np.testing.assert_allclose(classifier.run(rows), real_logits(tmp_path, TEXTS), atol=1e-4)
    classifier.close()


@pytest.mark.parametrize("family", ["DistilBert", "Bert", "Roberta"])
def test_logits_equal_those_of_tensorflow(family: str) -> None:
    """The real class reads the same `tf_model.h5`; the fixtures' logits are still its."""
    import transformers

    folder = FIXTURES / "tensorflow" / family.lower()
    texts, recorded = expected(folder)
    model = getattr(transformers, f"TF{family}ForSequenceClassification").from_pretrained(folder)
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    real = []
    for text in texts:
        encoded = tokenizer(text, return_tensors="tf", truncation=True, max_length=64)
        inputs = {key: encoded[key] for key in ("input_ids", "attention_mask")}
        real.append(model(inputs).logits[0].numpy().tolist())
    np.testing.assert_allclose(real, recorded, atol=1e-4)
    classifier = load(verified(folder), EXACT)
    np.testing.assert_allclose(logits(classifier, texts), real, atol=1e-4)
    classifier.close()


@pytest.mark.parametrize("name", ["vectorized", "counted"])
def test_texts_are_read_as_keras_reads_them(name: str) -> None:
    """Against `predict` on TensorFlow, on texts with every kind of space, mark and letter."""
    assert os.environ.get("KERAS_BACKEND") == "tensorflow", "tests/heavy/run.sh sets it"
    import keras
    import tensorflow

    texts = [*TEXTS, "a\u2003b\u00a0c\x0bd", "ÀÉ straße İ", "don't-stop_now #1!", "\n\n", "the film"]
    model = keras.saving.load_model(FIXTURES / "keras" / name / "model.keras")
    wanted = model.predict(tensorflow.constant([[text] for text in texts]), verbose=0)
    labels = ("a", "b", "c")[: max(2, wanted.shape[1])]
    classifier = load(verified(FIXTURES / "keras" / name, Policy(labels=labels)), LoadOptions(threads=1))
    rows = [encoded.rows[0] for encoded in classifier.encode(texts)]
    np.testing.assert_allclose(classifier.run(rows)[:, -wanted.shape[1] :], wanted, atol=1e-5)
    classifier.close()
