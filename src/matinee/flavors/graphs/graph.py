"""An ONNX graph under construction: operators are called by name, tensors are streamed into a file beside it."""

from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from matinee.flavors.graphs import wire

MODEL_NAME = "model.onnx"
WEIGHTS_NAME = "model.weights"
_ALIGNMENT = 4096  # a whole page, so that runtimes can map each tensor


class Graph:
    """Collects nodes; weights go to disk at once, so that a model of any size needs the memory of one tensor.

    Used as a context manager that closes the weights file. Values are known by their names, which are strings. With
    `int8`, linear maps keep their matrices in 8 bits.
    """

    def __init__(self, folder: Path, *, int8: bool = False) -> None:
        self._int8 = int8
        self._folder = folder
        self._weights: IO[bytes] = (folder / WEIGHTS_NAME).open("wb")
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._inputs: list[bytes] = []
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._weights.close()

    def input(self, name: str, dimensions: tuple[str | int, ...]) -> str:
        """Declare an int64 input; named dimensions vary."""
        self._inputs.append(wire.value(name, wire.INT64, dimensions))
        return name

    def matrix(self, matrix: NDArray[Any]) -> str:
        """A matrix [in, out] of a linear map: as it is, or in int8 with one scale for each output."""
        if not self._int8:
            return self.weight(matrix)
        scales = np.maximum(np.abs(matrix).max(axis=0), 1e-8).astype(np.float32) / np.float32(127)
        integers = self._stored(np.rint(matrix / scales).astype(np.int8), wire.INT8)
        zeros = self._stored(np.zeros(len(scales), np.int8), wire.INT8)
        return self.op("DequantizeLinear", integers, self.weight(scales), zeros, axis=1)

    def weight(self, array: NDArray[Any]) -> str:
        """Any tensor, as float32."""
        return self._stored(np.asarray(array, dtype="<f4"), wire.FLOAT)

    def _stored(self, array: NDArray[Any], element: int) -> str:
        """Write a tensor into the weights file."""
        content = np.ascontiguousarray(array)
        self._weights.seek(-self._weights.tell() % _ALIGNMENT, 1)
        offset = self._weights.tell()
        self._weights.write(content.data.cast("B") if content.size else b"")
        name = self._name("weight")
        place = wire.Place(WEIGHTS_NAME, offset, content.nbytes)
        self._constants.append(wire.external_tensor(name, element, content.shape, place))
        return name

    def integers(self, *numbers: int) -> str:
        """A constant vector, such as a shape or axes."""
        name = self._name("integers")
        content = np.array(numbers, dtype="<i8").tobytes()
        self._constants.append(wire.tensor(name, wire.INT64, (len(numbers),), content))
        return name

    def number(self, number: float) -> str:
        """A constant scalar."""
        name = self._name("number")
        self._constants.append(wire.tensor(name, wire.FLOAT, (), np.array(number, dtype="<f4").tobytes()))
        return name

    def scalar(self, number: int) -> str:
        """A constant whole number without dimensions."""
        name = self._name("scalar")
        self._constants.append(wire.tensor(name, wire.INT64, (), np.array(number, dtype="<i8").tobytes()))
        return name

    def op(self, operator: str, *inputs: str, **attributes: wire.Attribute) -> str:
        """Add a node of one output and return that output's name."""
        output = self._name(operator)
        self._nodes.append(wire.node(operator, inputs, [output], attributes))
        return output

    def split(self, value: str, axis: int) -> tuple[str, str]:
        """The two halves of a value along one axis."""
        halves = (self._name("left"), self._name("right"))
        self._nodes.append(wire.node("Split", [value], halves, {"axis": axis, "num_outputs": 2}))
        return halves

    def save(self, value: str, name: str, dimensions: tuple[str | int, ...]) -> Path:
        """Make `value` the one output, called `name`, and write the model file; returns its path."""
        self._nodes.append(wire.node("Identity", [value], [name], {}))
        self._weights.flush()
        path = self._folder / MODEL_NAME
        outputs = [wire.value(name, wire.FLOAT, dimensions)]
        path.write_bytes(wire.model(self._nodes, self._constants, self._inputs, outputs))
        return path

    def _name(self, operator: str) -> str:
        self._count += 1
        return f"{operator}_{self._count}"
