"""ModernBERT: norms before the sublayers, rotary positions, gated feed-forward, attention that is mostly local.

Warner et al., "Smarter, Better, Faster, Longer", 2024. Layers with `sliding_attention` see `local_attention // 2`
tokens to either side; the others see all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from matinee.flavors.graphs.blocks import MASKED, Blocks, NeedsPyTorch

LOCAL, GLOBAL = "sliding_attention", "full_attention"


@dataclass(frozen=True, slots=True)
class Sight:
    """What a kind of layer sees: the mask added to its scores, and its rotary tables (cosine, sine) [seq, size]."""

    mask: str
    cosine: str
    sine: str


def build(blocks: Blocks, config: Mapping[str, Any], ids: str, mask: str) -> str:
    """Add the encoder and its head; returns the logits' name, [batch, labels]."""
    graph, epsilon, bias = blocks.graph, config.get("norm_eps", 1e-5), config.get("norm_bias", False)
    kinds = layer_kinds(config)
    sights = {kind: _sight(blocks, config, kind, ids, mask) for kind in dict.fromkeys(kinds)}
    words = graph.weight(blocks.tensor("model.embeddings.tok_embeddings.weight"))
    states = blocks.norm(graph.op("Gather", words, ids), "model.embeddings.norm", epsilon, bias=bias)
    for number, kind in enumerate(kinds):
        prefix = f"model.layers.{number}."
        normed = blocks.norm(states, f"{prefix}attn_norm", epsilon, bias=bias) if number else states
        states = graph.op("Add", states, _attend(blocks, config, f"{prefix}attn.", normed, sights[kind]))
        if number == len(kinds) - 1 and config.get("classifier_pooling", "cls") == "cls":
            states = blocks.first(states)
        normed = blocks.norm(states, f"{prefix}mlp_norm", epsilon, bias=bias)
        states = graph.op("Add", states, _gated(blocks, config, f"{prefix}mlp.", normed))
    states = blocks.norm(states, "model.final_norm", epsilon, bias=bias)
    return _head(blocks, config, _pool(blocks, config, states, mask))


def layer_kinds(config: Mapping[str, Any]) -> list[str]:
    """The kind of each layer; older configurations name every how-many-th layer is global."""
    if "layer_types" in config:
        return list(config["layer_types"])
    every = config.get("global_attn_every_n_layers", 3)
    return [LOCAL if number % every else GLOBAL for number in range(config["num_hidden_layers"])]


def _theta(config: Mapping[str, Any], kind: str) -> float:
    if rope := config.get("rope_parameters"):
        if rope[kind].get("rope_type", "default") != "default":
            raise NeedsPyTorch(["config.json: rope_parameters other than the default type need PyTorch"])
        return float(rope[kind]["rope_theta"])
    names = {LOCAL: ("local_rope_theta", 10_000.0), GLOBAL: ("global_rope_theta", 160_000.0)}
    return float(config.get(*names[kind]))


def _sight(blocks: Blocks, config: Mapping[str, Any], kind: str, ids: str, mask: str) -> Sight:
    size, most = config["hidden_size"] // config["num_attention_heads"], config["max_position_embeddings"]
    frequencies = _theta(config, kind) ** -(np.arange(0, size, 2, dtype=np.float32) / np.float32(size))
    angles = np.outer(np.arange(most, dtype=np.float32), np.tile(frequencies.astype(np.float32), 2))
    length, padding = blocks.length(ids), blocks.padding(mask)
    if kind == LOCAL:
        padding = _near(blocks, length, padding, config.get("local_attention", 128) // 2)
    return Sight(padding, blocks.rows(np.cos(angles), length), blocks.rows(np.sin(angles), length))


def _near(blocks: Blocks, length: str, padding: str, reach: int) -> str:
    """Mask what is more than `reach` tokens away: [batch, 1, 1, seq] to [batch, 1, seq, seq]."""
    graph = blocks.graph
    scalar = graph.op("Squeeze", length)
    numbers = graph.op("Cast", graph.op("Range", graph.scalar(0), scalar, graph.scalar(1)), to=1)
    column = graph.op("Unsqueeze", numbers, graph.integers(1))
    away = graph.op("Abs", graph.op("Sub", column, numbers))
    far = graph.op("Greater", away, graph.number(float(reach)))
    return graph.op("Where", far, graph.number(MASKED), padding)


def _attend(blocks: Blocks, config: Mapping[str, Any], prefix: str, states: str, sight: Sight) -> str:
    graph, heads = blocks.graph, config["num_attention_heads"]
    scale = float((config["hidden_size"] // heads) ** -0.5)
    matrix = blocks.tensor(f"{prefix}Wqkv.weight")
    bias = blocks.tensor(f"{prefix}Wqkv.bias") if blocks.has(f"{prefix}Wqkv.bias") else None
    biases = [None] * 3 if bias is None else np.split(bias, 3)
    query, key, value = (
        blocks.split_heads(blocks.constant_linear(states, part, part_bias), heads, 0, 2, 1, 3)
        for part, part_bias in zip(np.split(matrix, 3), biases, strict=True)
    )
    query, key = (_rotate(blocks, part, sight) for part in (query, key))
    scores = graph.op("MatMul", query, graph.op("Transpose", key, perm=(0, 1, 3, 2)))
    scores = graph.op("Add", graph.op("Mul", scores, graph.number(scale)), sight.mask)
    return blocks.linear(blocks.mix(scores, value), f"{prefix}Wo")


def _rotate(blocks: Blocks, states: str, sight: Sight) -> str:
    """Rotary position embedding (Su et al. 2021), halves rotated into each other: [batch, heads, seq, size]."""
    graph = blocks.graph
    left, right = graph.split(states, axis=-1)
    turned = graph.op("Concat", graph.op("Neg", right), left, axis=-1)
    return graph.op("Add", graph.op("Mul", states, sight.cosine), graph.op("Mul", turned, sight.sine))


def _gated(blocks: Blocks, config: Mapping[str, Any], prefix: str, states: str) -> str:
    entry, gate = blocks.graph.split(blocks.linear(states, f"{prefix}Wi"), axis=-1)
    entry = blocks.activate(entry, config.get("hidden_activation", "gelu"))
    return blocks.linear(blocks.graph.op("Mul", entry, gate), f"{prefix}Wo")


def _pool(blocks: Blocks, config: Mapping[str, Any], states: str, mask: str) -> str:
    """The first token, or the mean of all: [batch, 1, hidden]."""
    graph = blocks.graph
    if config.get("classifier_pooling", "cls") == "cls":
        return blocks.first(states)
    weights = graph.op("Unsqueeze", graph.op("Cast", mask, to=1), graph.integers(2))
    total = graph.op("ReduceSum", graph.op("Mul", states, weights), graph.integers(1))
    return graph.op("Div", total, graph.op("ReduceSum", weights, graph.integers(1)))


def _head(blocks: Blocks, config: Mapping[str, Any], pooled: str) -> str:
    pooled = blocks.activate(blocks.linear(pooled, "head.dense"), config.get("classifier_activation", "gelu"))
    pooled = blocks.norm(pooled, "head.norm", config.get("norm_eps", 1e-5), bias=config.get("norm_bias", False))
    return blocks.graph.op("Squeeze", blocks.linear(pooled, "classifier"), blocks.graph.integers(1))
