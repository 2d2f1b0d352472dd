"""From an `Encoder` to an ONNX graph that OpenVINO and ONNX Runtime both run: weights in int8, arithmetic in float.

Weights are symmetric int8 with one scale for each output channel (for each row of the word table), followed by
`DequantizeLinear`: a quarter of the size, and each runtime keeps or unpacks them as it likes. The graph is written node
by node: it says what the encoder computes and nothing else, and equal weights give equal bytes.

Inputs `input_ids` and `attention_mask`, int64 [batch, seq]; output `logits`, float32 [batch, labels].
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from matinee.train.encoder import Encoder, Layer

_OPSET = 17  # the first with LayerNormalization
_IR = 8  # of the same age
_MASKED = -30_000.0  # small enough to vanish in a softmax, large enough for half precision


def to_onnx(encoder: Encoder, *, quantize: bool = True) -> onnx.ModelProto:
    """Return the graph of ``encoder``; ``quantize=False`` keeps float32 weights, to compare with."""
    graph = _Graph(quantize=quantize)
    shape = encoder.shape
    states = _embed(graph, encoder)
    mask = graph.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    mask = graph.node("Mul", graph.node("Sub", graph.value(1.0), mask), graph.value(_MASKED))
    mask = graph.node("Unsqueeze", mask, graph.ints(1, 2))
    for index, layer in enumerate(encoder.layers):
        last = index == len(encoder.layers) - 1
        states = _layer(graph, layer, states, mask, first_only=last)
    first = graph.node("Squeeze", states, graph.ints(1))
    graph.nodes.append(
        helper.make_node(
            "Gemm", [first, *_tensors(graph, encoder.head.weight, encoder.head.bias)], ["logits"], transB=1
        )
    )
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "seq"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", shape.num_labels])]
    proto = helper.make_graph(graph.nodes, "matinee", inputs, outputs, graph.initializers)
    model = helper.make_model(
        proto, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="matinee", ir_version=8
    )
    onnx.checker.check_model(model)
    return model


@dataclass
class _Graph:
    """Collects nodes and tensors and gives them names."""

    quantize: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    _values: dict[Any, str] = field(default_factory=dict)

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(self.nodes)}"
        names = [name] if outputs == 1 else [f"{name}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=name, **attributes))
        return name

    def tensor(self, array: NDArray[Any]) -> str:
        name = f"tensor_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def value(self, number: float) -> str:
        key = ("float", number)
        if key not in self._values:
            self._values[key] = self.tensor(np.array(number, dtype=np.float32))
        return self._values[key]

    def ints(self, *numbers: int) -> str:
        if numbers not in self._values:
            self._values[numbers] = self.tensor(np.array(numbers, dtype=np.int64))
        return self._values[numbers]

    def linear(self, states: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        """``weight`` [out, in] as PyTorch keeps it."""
        return self.node("Add", self.node("MatMul", states, self.weight(weight.T)), self.tensor(bias))

    def weight(self, matrix: NDArray[np.float32]) -> str:
        """``matrix`` [in, out], quantized with one scale for each output."""
        if not self.quantize:
            return self.tensor(matrix)
        integers, scales = quantize_rows(matrix.T)
        zeros = self.tensor(np.zeros(len(scales), dtype=np.int8))
        return self.node("DequantizeLinear", self.tensor(integers.T), self.tensor(scales), zeros, axis=1)


def quantize_rows(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 with one scale for each row: int8 [rows, columns] and float32 [rows]."""
    scales = np.maximum(np.abs(matrix).max(axis=1), 1e-8).astype(np.float32) / np.float32(127)
    return np.rint(matrix / scales[:, None]).astype(np.int8), scales


def _embed(graph: _Graph, encoder: Encoder) -> str:
    words, positions = _arrays(encoder.words.weight, encoder.positions.weight)
    if graph.quantize:
        integers, scales = quantize_rows(words)
        rows = graph.node("Cast", graph.node("Gather", graph.tensor(integers), "input_ids"), to=TensorProto.FLOAT)
        embedded = graph.node("Mul", rows, graph.node("Gather", graph.tensor(scales[:, None]), "input_ids"))
    else:
        embedded = graph.node("Gather", graph.tensor(words), "input_ids")
    length = graph.node("Gather", graph.node("Shape", "input_ids"), graph.ints(1))
    used = graph.node("Slice", graph.tensor(positions), graph.ints(0), length, graph.ints(0))
    return _normalize(graph, graph.node("Add", embedded, used), encoder.norm)


def _layer(graph: _Graph, layer: Layer, states: str, mask: str, *, first_only: bool) -> str:
    hidden = layer.out.weight.shape[0]
    size = hidden // layer.heads
    weight, bias = _arrays(layer.qkv.weight, layer.qkv.bias)
    # The softmax's scale goes into the queries' weights.
    factor = np.repeat(np.array([size**-0.5, 1.0, 1.0], dtype=np.float32), hidden)
    weight, bias = weight * factor[:, None], bias * factor
    residual = graph.node("Slice", states, graph.ints(0), graph.ints(1), graph.ints(1)) if first_only else states
    heads = []
    for part, source in enumerate((residual, states, states)):
        rows = slice(part * hidden, (part + 1) * hidden)
        split = graph.node(
            "Reshape", graph.linear(source, weight[rows], bias[rows]), graph.ints(0, 0, layer.heads, size)
        )
        heads.append(graph.node("Transpose", split, perm=[0, 2, 3, 1] if part == 1 else [0, 2, 1, 3]))
    scores = graph.node("Add", graph.node("MatMul", heads[0], heads[1]), mask)
    mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), heads[2])
    mixed = graph.node("Reshape", graph.node("Transpose", mixed, perm=[0, 2, 1, 3]), graph.ints(0, 0, hidden))
    added = graph.node("Add", graph.linear(mixed, *_arrays(layer.out.weight, layer.out.bias)), residual)
    residual = _normalize(graph, added, layer.norm1)
    inner = _gelu(graph, graph.linear(residual, *_arrays(layer.up.weight, layer.up.bias)))
    added = graph.node("Add", graph.linear(inner, *_arrays(layer.down.weight, layer.down.bias)), residual)
    return _normalize(graph, added, layer.norm2)


def _gelu(graph: _Graph, states: str) -> str:
    """Exact GELU in the spelling that both runtimes fuse into one kernel."""
    error = graph.node("Erf", graph.node("Div", states, graph.value(float(np.sqrt(2.0)))))
    return graph.node("Mul", graph.node("Mul", states, graph.node("Add", error, graph.value(1.0))), graph.value(0.5))


def _normalize(graph: _Graph, states: str, norm: Any) -> str:
    return graph.node("LayerNormalization", states, *_tensors(graph, norm.weight, norm.bias), axis=-1, epsilon=norm.eps)


def _arrays(*tensors: Any) -> list[NDArray[np.float32]]:
    return [tensor.detach().float().cpu().numpy() for tensor in tensors]


def _tensors(graph: _Graph, *tensors: Any) -> list[str]:
    return [graph.tensor(array) for array in _arrays(*tensors)]
