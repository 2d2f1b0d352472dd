"""DeBERTa and DeBERTa-v2/v3: attention with separate terms for content and for relative position.

He et al., "DeBERTa: Decoding-enhanced BERT with Disentangled Attention", 2021, and "DeBERTaV3", 2023. The projections
of the position table do not depend on the text, so they are computed here, once; a term by distance [queries, 2n - 1]
becomes one by key [queries, n] by a skewed view (Huang et al., "Music Transformer", 2018, section 3.4.1), which
copies far less than gathering by index does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matinee.flavors.graphs.blocks import Blocks, NeedsPyTorch
from matinee.flavors.graphs.postnorm import head

Array = NDArray[Any]
Linear = tuple[Array, Array | None]


@dataclass(frozen=True, slots=True)
class Projections:
    """One layer's matrices [out, in] with biases, and its projected positions [distances, hidden], where used."""

    query: Linear
    key: Linear
    value: Linear
    position_key: Array | None
    position_query: Array | None


def build(blocks: Blocks, config: Mapping[str, Any], ids: str, mask: str) -> str:
    """Add the encoder and its head; returns the logits' name, [batch, labels]."""
    _check(config)
    states = _embed(blocks, config, ids)
    positions = _positions(blocks, config)
    padding = blocks.padding(mask)
    length = blocks.length(ids)
    for number in range(config["num_hidden_layers"]):
        prefix = f"deberta.encoder.layer.{number}."
        projections = _projections(blocks, config, prefix, positions)
        attention = _Attention(blocks, config["num_attention_heads"], projections, length)
        mixed = blocks.linear(attention.mix(states, padding), f"{prefix}attention.output.dense")
        if number == config["num_hidden_layers"] - 1:
            states, mixed = blocks.first(states), blocks.first(mixed)
        states = _feed_forward(blocks, config, prefix, blocks.graph.op("Add", states, mixed))
    pooler = config.get("pooler_hidden_act", "gelu")
    return head(blocks, blocks.first(states), (("pooler.dense", pooler), ("classifier", "")))


def _check(config: Mapping[str, Any]) -> None:
    unusual = [
        name for name in ("conv_kernel_size", "talking_head") if config.get(name)
    ] + ([] if config.get("relative_attention") else ["relative_attention: false"])  # fmt: skip
    if unusual:
        raise NeedsPyTorch([f"config.json: {name} needs PyTorch" for name in unusual])


def _embed(blocks: Blocks, config: Mapping[str, Any], ids: str) -> str:
    prefix, graph = "deberta.embeddings.", blocks.graph
    states = graph.op("Gather", graph.weight(blocks.tensor(f"{prefix}word_embeddings.weight")), ids)
    if config.get("position_biased_input", True):
        table = blocks.tensor(f"{prefix}position_embeddings.weight")
        states = graph.op("Add", states, blocks.rows(table, blocks.length(ids)))
    if config.get("type_vocab_size", 0):
        types = blocks.tensor(f"{prefix}token_type_embeddings.weight")
        states = graph.op("Add", states, graph.weight(types[0]))
    if blocks.has(f"{prefix}embed_proj.weight"):
        states = blocks.linear(states, f"{prefix}embed_proj")
    return blocks.norm(states, f"{prefix}LayerNorm", config["layer_norm_eps"])


def _feed_forward(blocks: Blocks, config: Mapping[str, Any], prefix: str, states: str) -> str:
    epsilon = config["layer_norm_eps"]
    states = blocks.norm(states, f"{prefix}attention.output.LayerNorm", epsilon)
    inner = blocks.activate(blocks.linear(states, f"{prefix}intermediate.dense"), config["hidden_act"])
    outer = blocks.linear(inner, f"{prefix}output.dense")
    return blocks.norm(blocks.graph.op("Add", states, outer), f"{prefix}output.LayerNorm", epsilon)


def _positions(blocks: Blocks, config: Mapping[str, Any]) -> Array:
    """The embedding of every distance query - key from 1 - n to n - 1, n the most tokens: [2n - 1, hidden]."""
    table = blocks.tensor("deberta.encoder.rel_embeddings.weight")
    if "layer_norm" in str(config.get("norm_rel_ebd", "none")).lower():
        table = table - table.mean(-1, keepdims=True)
        table = table / np.sqrt((table**2).mean(-1, keepdims=True) + np.float32(config["layer_norm_eps"]))
        name = "deberta.encoder.LayerNorm"
        table = table * blocks.tensor(f"{name}.weight") + blocks.tensor(f"{name}.bias")
    tokens = config["max_position_embeddings"]
    distances = np.arange(1 - tokens, tokens)
    reach = config["max_relative_positions"] if config.get("max_relative_positions", -1) > 0 else tokens
    buckets = config.get("position_buckets", -1)
    if buckets > 0:
        distances, reach = bucketed(distances, buckets, reach), buckets
    rows: Array = table[np.clip(distances + reach, 0, 2 * reach - 1)]
    return rows


def bucketed(distances: NDArray[np.int64], buckets: int, reach: int) -> NDArray[np.int64]:
    """Distances up to half of `buckets` as they are, larger ones on a log scale (`make_log_bucket_position`)."""
    middle = buckets // 2
    size = np.maximum(np.abs(distances), middle).astype(np.float32)
    scale = np.log(np.float32((reach - 1) / middle))
    far = np.ceil(np.log(size / np.float32(middle)) / scale * np.float32(middle - 1)).astype(np.int64) + middle
    return np.where(np.abs(distances) <= middle, distances, far * np.sign(distances))


def _projections(blocks: Blocks, config: Mapping[str, Any], prefix: str, positions: Array) -> Projections:
    """Read one layer; the scores' scale is put into everything on the query's side."""
    name = f"{prefix}attention.self."
    kinds = config.get("pos_att_type") or []
    size = config["hidden_size"] // config["num_attention_heads"]
    scale = np.float32((size * (1 + sum(kind in kinds for kind in ("c2p", "p2c")))) ** -0.5)
    (matrix, bias), key, value = _maps(blocks, config, name)
    position_key, position_query = (name + part for part in _position_names(config))
    return Projections(
        (matrix * scale, None if bias is None else bias * scale),
        key,
        value,
        _project(blocks, position_key, positions) if "c2p" in kinds else None,
        _project(blocks, position_query, positions) * scale if "p2c" in kinds else None,
    )


def _position_names(config: Mapping[str, Any]) -> tuple[str, str]:
    """What projects positions to keys and to queries."""
    if config["model_type"] == "deberta":
        return ("pos_proj", "pos_q_proj")
    return ("key_proj", "query_proj") if config.get("share_att_key", False) else ("pos_key_proj", "pos_query_proj")


def _maps(blocks: Blocks, config: Mapping[str, Any], name: str) -> list[Linear]:
    """Query, key and value; the first version keeps them in one matrix, head by head."""
    if config["model_type"] != "deberta":
        return [_linear(blocks, f"{name}{part}") for part in ("query_proj", "key_proj", "value_proj")]
    hidden = config["hidden_size"]
    together = blocks.tensor(f"{name}in_proj.weight").reshape(config["num_attention_heads"], 3, -1, hidden)
    biases = (blocks.tensor(f"{name}q_bias"), None, blocks.tensor(f"{name}v_bias"))
    return [(together[:, part].reshape(hidden, hidden), bias) for part, bias in enumerate(biases)]


def _linear(blocks: Blocks, name: str) -> Linear:
    return blocks.tensor(f"{name}.weight"), blocks.tensor(f"{name}.bias") if blocks.has(f"{name}.bias") else None


def _project(blocks: Blocks, name: str, positions: Array) -> Array:
    matrix, bias = _linear(blocks, name)
    projected: Array = positions @ matrix.T
    return projected if bias is None else projected + bias


@dataclass(frozen=True, slots=True)
class _Attention:
    """Disentangled attention of one layer; `length` is a vector of one number, the tokens in a row."""

    blocks: Blocks
    heads: int
    projections: Projections
    length: str

    def mix(self, states: str, padding: str) -> str:
        """Mixed values [batch, seq, hidden], heads joined."""
        blocks, graph, parts = self.blocks, self.blocks.graph, self.projections
        query = blocks.split_heads(blocks.constant_linear(states, *parts.query), self.heads, 0, 2, 1, 3)
        key = blocks.split_heads(blocks.constant_linear(states, *parts.key), self.heads, 0, 2, 1, 3)
        value = blocks.split_heads(blocks.constant_linear(states, *parts.value), self.heads, 0, 2, 1, 3)
        scores = graph.op("MatMul", query, graph.op("Transpose", key, perm=(0, 1, 3, 2)))
        if parts.position_key is not None:
            # Columns run from the largest distance to the smallest, so that key 0 comes first.
            scores = graph.op("Add", scores, self._by_distance(query, parts.position_key[::-1]))
        if parts.position_query is not None:
            term = self._by_distance(key, parts.position_query)
            scores = graph.op("Add", scores, graph.op("Transpose", term, perm=(0, 1, 3, 2)))
        return blocks.mix(graph.op("Add", scores, padding), value)

    def _by_distance(self, states: str, positions: Array) -> str:
        """`states` [batch, heads, n, size] times the positions of columns i - row + n - 1, for i below n."""
        graph = self.blocks.graph
        most = (len(positions) + 1) // 2
        table = positions.reshape(len(positions), self.heads, -1).transpose(1, 2, 0)
        start = graph.op("Sub", graph.integers(most), self.length)
        stop = graph.op("Add", graph.integers(most - 1), self.length)
        near = graph.op("Slice", graph.weight(table), start, stop, graph.integers(2))
        return self._skew(graph.op("MatMul", states, near))

    def _skew(self, term: str) -> str:
        """Row r, column i of the result is column i - r + n - 1 of `term`: [..., n, 2n - 1] to [..., n, n].

        Padded to 2n columns, that element lies at r(2n - 1) + i + n - 1 of the flat rows.
        """
        graph, length = self.blocks.graph, self.length
        one, last = graph.integers(1), graph.integers(-1)
        padded = graph.op("Pad", term, graph.integers(0, 0, 0, 0, 0, 0, 0, 1))
        flat = graph.op("Reshape", padded, graph.integers(0, 0, -1))
        start = graph.op("Sub", length, one)
        width = graph.op("Add", length, start)
        stop = graph.op("Add", start, graph.op("Mul", length, width))
        shape = graph.op("Concat", graph.integers(0, 0), length, width, axis=0)
        rows = graph.op("Reshape", graph.op("Slice", flat, start, stop, last), shape)
        return graph.op("Slice", rows, graph.integers(0), length, last)
