"""Training the encoder, with a base of two layers that is made here: resuming, exporting, and a bundle that answers."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.train.corpus import dataset

pytestmark = pytest.mark.heavy
TOKENIZER = Path(__file__).parents[1] / "fixtures" / "tiny-onnx" / "tokenizer.json"
SIZES = {"vocab_size": 200, "max_position_embeddings": 64}


def make_base(folder: Path, kind: str) -> Path:
    """A BERT or DistilBERT of two layers with random weights, saved as the Hub has them."""
    import torch
    from transformers import (
        BertConfig,
        BertModel,
        DistilBertConfig,
        DistilBertModel,
        PreTrainedTokenizerFast,
    )

    torch.manual_seed(0)
    model: Any
    if kind == "bert":
        shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
        model = BertModel(BertConfig(**SIZES, **shape))
    else:
        model = DistilBertModel(DistilBertConfig(**SIZES, dim=32, n_layers=2, n_heads=4, hidden_dim=64))
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_file=str(TOKENIZER), pad_token="[PAD]").save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_the_encoder_computes_what_transformers_computes(kind: str, tmp_path: Path) -> None:
    """With the head set to the identity, the logits are the first token's last hidden state."""
    import torch
    from transformers import AutoModel

    from matinee.train.base import load_base

    base = make_base(tmp_path, kind)
    encoder, _ = load_base(str(base), 32)
    ids = torch.randint(5, 150, (3, 20))
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    with torch.no_grad():
        encoder.head.weight.copy_(torch.eye(32))
        theirs = AutoModel.from_pretrained(base).eval()(ids, attention_mask=mask).last_hidden_state[:, 0]
        assert torch.allclose(encoder(ids, mask), theirs, atol=1e-5)


@pytest.mark.parametrize(("quantize", "tolerance"), [(False, 1e-4), (True, 0.05)])
def test_both_runtimes_compute_the_exported_graph(quantize: bool, tolerance: float, tmp_path: Path) -> None:
    """One file, ONNX Runtime and OpenVINO; int8 weights cost little."""
    import onnx
    import onnxruntime
    import openvino
    import torch

    from matinee.train.base import load_base
    from matinee.train.export import to_onnx

    encoder, _ = load_base(str(make_base(tmp_path, "bert")), 3)
    ids, mask = torch.randint(5, 150, (4, 33)), torch.ones(4, 33, dtype=torch.long)
    mask[2, 5:] = 0
    with torch.no_grad():
        expected = encoder(ids, mask).numpy()
    path = tmp_path / "model.onnx"
    onnx.save(to_onnx(encoder, quantize=quantize), path)
    assert onnx.load(path) == to_onnx(encoder, quantize=quantize)
    inputs = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
    session = onnxruntime.InferenceSession(path)
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert np.abs(session.run(None, inputs)[0] - expected).max() < tolerance
    assert np.abs(compiled(inputs)["logits"] - expected).max() < tolerance


def test_a_killed_stage_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """Stopped after five steps and started again, training ends where an undisturbed run ends, to the bit."""
    import torch

    from matinee.train.base import load_base
    from matinee.train.fitting import Stage, Trainer
    from matinee.train.transformer import smooth, special_tokens, tokenize

    class Killed(Trainer):
        steps = 0

        def _step(self, *arguments: Any) -> float:
            self.steps += 1
            if self.steps > 5:
                raise KeyboardInterrupt
            return super()._step(*arguments)

    base, data = make_base(tmp_path / "base", "bert"), dataset(80).train
    stage = Stage("s", window=40, learning_rate=1e-3, epochs=2, budget=256, frozen=1)
    results = []
    for kill in (False, True):
        torch.manual_seed(0)
        encoder, words = load_base(str(base), 2)
        torch.manual_seed(0)
        torch.nn.init.normal_(encoder.head.weight, std=0.02)
        tokens, targets = tokenize(words, data.texts), smooth(data.labels, 2)
        checkpoint = tmp_path / f"{kill}.pt"
        frozen = encoder.words.weight.detach().clone()
        if kill:
            with pytest.raises(KeyboardInterrupt):
                Killed(encoder, stage, special_tokens(words), checkpoint, every=0.0).run(tokens, targets, 1)
            assert checkpoint.exists()
            encoder, _ = load_base(str(base), 2)
        trained = Trainer(encoder, stage, special_tokens(words), checkpoint).run(tokens, targets, 1)
        assert torch.equal(trained.words.weight, frozen)
        results.append([parameter.detach() for parameter in trained.parameters()])
    assert all(torch.equal(whole, resumed) for whole, resumed in zip(*results, strict=True))


def test_self_training_ends_in_a_bundle_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linear teacher, four stages, windows chosen, calibrated, measured; and the bundle opens."""
    from matinee.cli.train import _open
    from matinee.train.answers import answer, scores_of
    from matinee.train.fitting import Stage
    from matinee.train.linear import train_linear
    from matinee.train.transformer import Plan, train_transformer
    from matinee.train.transformer_bundle import write_transformer

    monkeypatch.setenv("CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("matinee.train.transformer_bundle._CUTS", ((32, 8), (64, 16)))
    data = dataset(400)
    train_linear(data, tmp_path / "linear")
    quick = Stage("first", window=64, learning_rate=2e-3, epochs=4, budget=1024)
    plan = Plan(
        base=str(make_base(tmp_path / "base", "bert")),
        work=tmp_path / "work",
        teacher=tmp_path / "linear",
        first=quick,
        second=replace(quick, name="second"),
        third=replace(quick, name="third", learning_rate=2e-4),
        fourth=replace(quick, name="fourth", learning_rate=2e-4),
        unlabelled=100,
    )
    trained = train_transformer(data, plan)
    manifest = write_transformer(trained, data, plan, tmp_path / "bundle", _open)
    assert json.loads((tmp_path / "bundle" / "matinee.json").read_text(encoding="utf-8"))["flavor"] == "onnx"
    assert manifest.metrics["test"]["accuracy"] > 0.8
    opened = _open(str(tmp_path / "bundle"))
    answers = answer(opened.classifier, data.test.texts[:40], "again")
    right = scores_of(answers).argmax(axis=1) == data.test.labels[:40]
    assert right.mean() > 0.7
    assert "(chosen)" in (tmp_path / "bundle" / "card.md").read_text(encoding="utf-8")
