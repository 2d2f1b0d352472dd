"""Encoders that normalize after each sublayer: BERT, DistilBERT, RoBERTa, ELECTRA, ALBERT and what shares their shape.

Architecture: Vaswani et al. 2017, Devlin et al. 2018. The families differ in the names of their tensors, in their first
position and in their head, so a family is data. What does not change the logits is left out: the last layer computes
only the first token, the one that the head reads; the scale of the scores is in the query's matrix; the embedding of
the one token type is in the positions' table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matinee.flavors.graphs.blocks import Blocks, NeedsPyTorch

Head = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """Names of one layer's parts, below the layer's own prefix."""

    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    out: str = "attention.output.dense"
    norm1: str = "attention.output.LayerNorm"
    up: str = "intermediate.dense"
    down: str = "output.dense"
    norm2: str = "output.LayerNorm"


@dataclass(frozen=True, slots=True)
class Family:
    """Names and habits of one family; `head` lists linear maps with the activation after each.

    `layers` is the prefix of a layer, with `{}` for its number. With `after_padding`, positions
    count from the number after the padding token's, as in RoBERTa.
    """

    base: str
    head: Head
    layers: str = "encoder.layer.{}."
    layer: Layer = Layer()
    after_padding: bool = False
    types: bool = True
    projection: str = ""


_DISTILBERT = Layer(
    "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm",
    "ffn.lin1", "ffn.lin2", "output_layer_norm",
)  # fmt: skip
_ALBERT = Layer(
    "attention.query", "attention.key", "attention.value", "attention.dense", "attention.LayerNorm",
    "ffn", "ffn_output", "full_layer_layer_norm",
)  # fmt: skip
_ROBERTA = Family("roberta.", (("classifier.dense", "tanh"), ("classifier.out_proj", "")), after_padding=True)

FAMILIES: Mapping[str, Family] = {
    "bert": Family("bert.", (("bert.pooler.dense", "tanh"), ("classifier", ""))),
    "distilbert": Family(
        "distilbert.", (("pre_classifier", "relu"), ("classifier", "")),
        "transformer.layer.{}.", _DISTILBERT, types=False,
    ),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "electra": Family(
        "electra.", (("classifier.dense", "gelu"), ("classifier.out_proj", "")), projection="embeddings_project"
    ),
    "albert": Family(
        "albert.", (("albert.pooler", "tanh"), ("classifier", "")),
        "encoder.albert_layer_groups.0.albert_layers.0.", _ALBERT, projection="encoder.embedding_hidden_mapping_in",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers that the graph needs from `config.json`; DistilBERT has words of its own for them."""

    hidden: int
    layers: int
    heads: int
    activation: str
    epsilon: float

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Shape":
        """Read them; raises `NeedsPyTorch` for variants whose attention is another one."""
        if config.get("position_embedding_type", "absolute") != "absolute":
            raise NeedsPyTorch(["config.json: position_embedding_type other than absolute needs PyTorch"])
        if config.get("num_hidden_groups", 1) != 1 or config.get("inner_group_num", 1) != 1:
            raise NeedsPyTorch(["config.json: more than one group of ALBERT layers needs PyTorch"])
        if config["model_type"] == "distilbert":
            return cls(config["dim"], config["n_layers"], config["n_heads"], config.get("activation", "gelu"), 1e-12)
        return cls(
            config["hidden_size"],
            config["num_hidden_layers"],
            config["num_attention_heads"],
            config.get("hidden_act", "gelu"),
            config.get("layer_norm_eps", 1e-12),
        )


def build(blocks: Blocks, config: Mapping[str, Any], ids: str, mask: str) -> str:
    """Add the encoder and its head; returns the logits' name, [batch, labels]."""
    family = FAMILIES[config["model_type"]]
    shape = Shape.of(config)
    states = _embed(blocks, family, shape, ids, first=config["pad_token_id"] + 1 if family.after_padding else 0)
    padding = blocks.padding(mask)
    for number in range(shape.layers):
        states = _layer(blocks, family, shape, states, padding, number)
    return head(blocks, states, family.head)


def head(blocks: Blocks, first: str, steps: Head) -> str:
    """Linear maps and activations on the first token [batch, 1, hidden]; returns [batch, labels]."""
    for name, activation in steps:
        first = blocks.linear(first, name)
        if activation:
            first = blocks.activate(first, activation)
    return blocks.graph.op("Squeeze", first, blocks.graph.integers(1))


def _embed(blocks: Blocks, family: Family, shape: Shape, ids: str, *, first: int) -> str:
    """Words and positions, the latter from row `first` of their table."""
    prefix = f"{family.base}embeddings."
    words = blocks.graph.weight(blocks.tensor(f"{prefix}word_embeddings.weight"))
    table = blocks.tensor(f"{prefix}position_embeddings.weight")[first:]
    if family.types:
        table = table + blocks.tensor(f"{prefix}token_type_embeddings.weight")[0]
    positions = blocks.rows(table, blocks.length(ids))
    states = blocks.graph.op("Add", blocks.graph.op("Gather", words, ids), positions)
    states = blocks.norm(states, f"{prefix}LayerNorm", shape.epsilon)
    projection = family.base + family.projection
    return blocks.linear(states, projection) if blocks.has(f"{projection}.weight") else states


def _layer(blocks: Blocks, family: Family, shape: Shape, states: str, padding: str, number: int) -> str:
    """One layer; the last one answers for the first token alone."""
    names, prefix = family.layer, family.base + family.layers.format(number)
    asking = blocks.first(states) if number == shape.layers - 1 else states
    scale = (shape.hidden // shape.heads) ** -0.5
    query = blocks.split_heads(blocks.linear(asking, prefix + names.query, scale=scale), shape.heads, 0, 2, 1, 3)
    key = blocks.split_heads(blocks.linear(states, prefix + names.key), shape.heads, 0, 2, 3, 1)
    value = blocks.split_heads(blocks.linear(states, prefix + names.value), shape.heads, 0, 2, 1, 3)
    scores = blocks.graph.op("Add", blocks.graph.op("MatMul", query, key), padding)
    mixed = blocks.linear(blocks.mix(scores, value), prefix + names.out)
    states = blocks.norm(blocks.graph.op("Add", asking, mixed), prefix + names.norm1, shape.epsilon)
    inner = blocks.activate(blocks.linear(states, prefix + names.up), shape.activation)
    outer = blocks.linear(inner, prefix + names.down)
    return blocks.norm(blocks.graph.op("Add", states, outer), prefix + names.norm2, shape.epsilon)
