"""From a Keras model to an OpenVINO graph, and how that graph is run."""

import os
import tempfile
from math import prod
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino

from matinee.core.errors import MissingExtra, ModelRejected
from matinee.core.prediction import FloatArray
from matinee.flavors.keras_archive import Archive
from matinee.flavors.keras_text import Numbers
from matinee.flavors.runtimes import Plan
from matinee.flavors.runtimes.core import openvino_core

GRAPH_NAME = "model.xml"
_STATES = {"LSTMSequence": (1, 2), "GRUSequence": (1,), "RNNSequence": (1,)}  # inputs with the state to start from
_FAILURES = (ValueError, TypeError, KeyError, IndexError, AttributeError, OSError, RuntimeError, NotImplementedError)


def export(source: Path, into: Path) -> None:
    """Write the graph of a `.keras`, an `.h5` or a SavedModel into the folder `into`.

    Keras runs on OpenVINO for that, unless KERAS_BACKEND names another backend. Raises `ModelRejected`, and
    `MissingExtra` without Keras.
    """
    if source.is_dir():
        openvino.save_model(_read_saved_model(source), into / GRAPH_NAME, compress_to_fp16=False)
        return
    archive = Archive.read(source) if source.suffix == ".keras" else None
    with tempfile.TemporaryDirectory(prefix="matinee-") as folder:
        if archive is not None and archive.text_layer is not None:
            source = Path(folder) / "rest.keras"
            archive.write_rest(source)
        try:
            model = _load(source)
            _require_one_each(model)
            model.export(str(into / GRAPH_NAME), format="openvino", verbose=False)
        except ModuleNotFoundError as error:
            raise MissingExtra("a Keras model", "keras") from error
        except ImportError as error:  # of TensorFlow, by a text layer in an older file
            advice = "save the model as .keras, where text layers are read"
            raise ModelRejected(
                [f"the Keras model cannot be turned into a graph ({_shown(error)}): {advice}"]
            ) from None
        except _FAILURES as error:
            advice = "install tensorflow and set KERAS_BACKEND=tensorflow"
            raise ModelRejected(
                [f"the Keras model cannot be turned into a graph ({_shown(error)}): {advice}"]
            ) from None


def _load(path: Path) -> Any:
    """The model, by Keras, in safe mode: nothing that carries code is deserialized."""
    os.environ.setdefault("KERAS_BACKEND", "openvino")
    import keras

    return keras.saving.load_model(path, compile=False, safe_mode=True)


def _require_one_each(model: Any) -> None:
    """Raises `ModelRejected` for a model whose layers are known and which takes or gives several things."""
    inputs, outputs = (len(getattr(model, side, None) or [0]) for side in ("inputs", "outputs"))
    if (inputs, outputs) != (1, 1):
        shown = " and ".join(f"{n} {word}{'s' * (n > 1)}" for n, word in ((inputs, "input"), (outputs, "output")))
        raise ModelRejected([f"the Keras model has {shown}; it must have one of each"])


def _read_saved_model(folder: Path) -> Any:
    """OpenVINO reads SavedModels itself, without TensorFlow and without running anything in them."""
    try:
        return openvino_core().read_model(folder)
    except RuntimeError as error:
        advice = "save the model as .keras instead, where text layers are read"
        raise ModelRejected([f"the SavedModel cannot be turned into a graph ({_shown(error)}): {advice}"]) from None


def _shown(error: Exception) -> str:
    """What kind of failure, with its last line where there is one; never a path."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "/" not in line]
    return f"{type(error).__name__}: {lines[-1][:120]}" if lines else type(error).__name__


class KerasSession:
    """The compiled graph with one input, and a request for each stream.

    `length` is the input's second dimension (0: any), `outputs` the number of outputs, `ending` the operation that
    the graph ends in: `Sigmoid`, `HardSigmoid`, `Softmax`, or another one for logits.
    """

    def __init__(self, graph: Path, plan: Plan) -> None:
        core = openvino_core()
        model = core.read_model(graph)
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise ModelRejected(["the Keras model must have one input and one output"])
        _free_batch(model)
        self.ending = _ending(model)
        shape = model.input(0).get_partial_shape()
        self.length = shape[1].get_length() if len(shape) == 2 and shape[1].is_static else 0
        self._type = model.input(0).get_element_type().to_dtype()
        config = {
            "NUM_STREAMS": str(plan.streams),
            "INFERENCE_NUM_THREADS": str(plan.threads),
            "INFERENCE_PRECISION_HINT": "bf16" if plan.precision == "bf16" else "f32",
            "ENABLE_CPU_PINNING": "NO",
        }
        try:
            self._compiled: Any = core.compile_model(model, "CPU", config)
        except RuntimeError as error:
            raise ModelRejected([f"the Keras model cannot be run by OpenVINO ({_shown(error)})"]) from None
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(plan.streams):
            self._idle.put(self._compiled.create_infer_request())
        width = self._compiled.output(0).get_partial_shape()
        self.outputs = width[1].get_length() if len(width) == 2 and width[1].is_static else 1

    def run(self, rows: Numbers) -> FloatArray:
        """Outputs, float32 [rows, outputs], of `rows` [rows, length]; waits for a free stream."""
        request = self._idle.get()
        try:
            request.infer([rows.astype(self._type)], share_inputs=True)
            result = np.array(request.get_output_tensor(0).data, dtype=np.float32)
        finally:
            self._idle.put(request)
        return result.reshape(len(rows), -1)

    def close(self) -> None:
        """Forget requests and graph."""
        self._idle = SimpleQueue()
        self._compiled = None


def _free_batch(model: Any) -> None:
    """Undo what Keras 3.15 exports for one row only: the states of LSTM and GRU, and the shapes of Flatten."""
    _free_states(model)
    model.validate_nodes_and_infer_types()
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Reshape" and _keeps_rows_apart(node):
            wanted = node.input_value(1).get_node().get_vector().astype(np.int64)
            shape = openvino.opset13.constant(np.array([-1, *wanted[1:]]))
            node.input(1).replace_source_output(shape.output(0))
            model.validate_nodes_and_infer_types()  # the shapes behind it follow from this one
    if model.output(0).get_partial_shape()[0].is_static:
        raise ModelRejected(["the Keras model's graph answers one text at a time: its batch has a fixed size"])


def _keeps_rows_apart(node: Any) -> bool:
    """Whether a Reshape is written for one row, and gives each of several rows as many numbers as it has."""
    given, shape = node.input_value(0).get_partial_shape(), node.input_value(1).get_node()
    if shape.get_type_name() != "Constant" or len(given) == 0 or given[0].is_static:
        return False
    if any(size.is_dynamic for size in list(given)[1:]):
        return False
    first, *rest = (int(size) for size in shape.get_vector())
    return first == 1 and prod(rest) == prod(size.get_length() for size in list(given)[1:])


def _free_states(model: Any) -> None:
    """Start recurrent layers from a state for each row."""
    ops = openvino.opset13
    for node in model.get_ops():
        if node.get_type_name() not in _STATES:
            continue
        rows = ops.gather(ops.shape_of(node.input_value(0), "i64"), ops.constant([0]), ops.constant(0))
        for place in _STATES[node.get_type_name()]:
            shape = node.input_value(place).get_partial_shape()
            if shape[0].is_dynamic or shape[0].get_length() != 1:
                continue
            each = ops.constant([shape[1].get_length(), shape[2].get_length()], dtype=np.int64)
            state = ops.broadcast(node.input_value(place), ops.concat([rows, each], 0))
            node.input(place).replace_source_output(state.output(0))


def _ending(model: Any) -> str:
    """The last operation that changes values."""
    node = model.output(0).get_node().input_value(0).get_node()
    while node.get_type_name() in {"Convert", "Reshape", "Squeeze", "Unsqueeze", "Identity"}:
        node = node.input_value(0).get_node()
    return str(node.get_type_name())
