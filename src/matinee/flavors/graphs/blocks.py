"""The pieces that encoders are made of: linear maps, norms, activations, attention. Shapes are [batch, seq, hidden]."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matinee.core.errors import ModelRejected
from matinee.flavors.graphs.graph import Graph

# Added to the attention scores of padding: far below any score, and representable in float16 and bfloat16.
MASKED = -30_000.0


class NeedsPyTorch(ModelRejected):
    """The architecture is known, this variant of it only to the real library."""


class Blocks:
    """Adds pieces to a graph, with the tensors of a checkpoint under their PyTorch names."""

    def __init__(self, graph: Graph, tensors: Mapping[str, NDArray[Any]]) -> None:
        self.graph = graph
        self._tensors = tensors
        self._written: dict[tuple[str, float], str] = {}

    def has(self, name: str) -> bool:
        """Whether the checkpoint has a tensor of that name."""
        return name in self._tensors

    def tensor(self, name: str) -> NDArray[Any]:
        """One tensor as float32; raises `ModelRejected` when the checkpoint lacks it."""
        # Checkpoints from before 2019 call the two parts of a norm as TensorFlow does.
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        for candidate in (name, old):
            if candidate in self._tensors:
                return np.asarray(self._tensors[candidate], dtype=np.float32)
        raise ModelRejected([f"the weights have no tensor {name!r}, which this architecture needs"])

    def weight(self, name: str, *, scale: float = 1.0) -> str:
        """A tensor of the checkpoint as a constant; matrices are turned from [out, in] to [in, out]."""
        key = (name, scale)
        if key not in self._written:
            array = self.tensor(name) * np.float32(scale)
            self._written[key] = self.graph.matrix(array.T) if array.ndim == 2 else self.graph.weight(array)
        return self._written[key]

    def linear(self, states: str, name: str, *, scale: float = 1.0) -> str:
        """`states` times a matrix, plus a bias where there is one; the result is multiplied by `scale`."""
        product = self.graph.op("MatMul", states, self.weight(f"{name}.weight", scale=scale))
        if not self.has(f"{name}.bias"):
            return product
        return self.graph.op("Add", product, self.weight(f"{name}.bias", scale=scale))

    def constant_linear(self, states: str, matrix: NDArray[Any], bias: NDArray[Any] | None) -> str:
        """`states` times `matrix` [out, in], plus `bias`, both given as arrays."""
        product = self.graph.op("MatMul", states, self.graph.matrix(matrix.T))
        return product if bias is None else self.graph.op("Add", product, self.graph.weight(bias))

    def norm(self, states: str, name: str, epsilon: float, *, bias: bool = True) -> str:
        """Layer norm over the last axis."""
        parts = [self.weight(f"{name}.weight"), *([self.weight(f"{name}.bias")] if bias else [])]
        return self.graph.op("LayerNormalization", states, *parts, axis=-1, epsilon=epsilon)

    def activate(self, states: str, name: str) -> str:
        """An activation by its name in `transformers` (`ACT2FN`); raises `NeedsPyTorch` for one unknown here."""
        if name in ("gelu", "gelu_python"):
            return self.graph.op("Gelu", states)
        if name in ("gelu_new", "gelu_pytorch_tanh", "gelu_fast"):
            return self.graph.op("Gelu", states, approximate="tanh")
        if name in ("relu", "tanh", "sigmoid"):
            return self.graph.op(name.capitalize(), states)
        if name in ("silu", "swish"):
            return self.graph.op("Mul", states, self.graph.op("Sigmoid", states))
        raise NeedsPyTorch([f"config.json: the activation {name!r} is not known without PyTorch"])

    def first(self, states: str) -> str:
        """The first token alone: [batch, 1, hidden]."""
        g = self.graph
        return g.op("Slice", states, g.integers(0), g.integers(1), g.integers(1))

    def split_heads(self, states: str, heads: int, *order: int) -> str:
        """[batch, seq, heads x size] to [batch, seq, heads, size], transposed to `order`."""
        g = self.graph
        size = g.op("Reshape", states, g.integers(0, 0, heads, -1))
        return g.op("Transpose", size, perm=order)

    def mix(self, scores: str, values: str) -> str:
        """Softmax of `scores` [batch, heads, queries, seq] times `values` [batch, heads, seq, size], heads joined."""
        g = self.graph
        mixed = g.op("MatMul", g.op("Softmax", scores, axis=-1), values)
        return g.op("Reshape", g.op("Transpose", mixed, perm=(0, 2, 1, 3)), g.integers(0, 0, -1))

    def length(self, ids: str) -> str:
        """The sequence length of `ids` [batch, seq], as a vector of one number."""
        return self.graph.op("Shape", ids, start=1)

    def rows(self, table: NDArray[Any], length: str) -> str:
        """The first `length` rows of a constant table, such as one of positions."""
        g = self.graph
        return g.op("Slice", g.weight(table), g.integers(0), length, g.integers(0))

    def padding(self, mask: str) -> str:
        """What is added to the scores, [batch, 1, 1, seq], from the attention mask [batch, seq] of ones and zeros."""
        g = self.graph
        absent = g.op("Sub", g.number(1.0), g.op("Cast", mask, to=1))
        return g.op("Unsqueeze", g.op("Mul", absent, g.number(MASKED)), g.integers(1, 2))
