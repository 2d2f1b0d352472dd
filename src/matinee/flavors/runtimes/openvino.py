"""OpenVINO: the default runtime on CPUs."""

import hashlib
import math
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from matinee.core.errors import ModelRejected
from matinee.core.prediction import FloatArray
from matinee.flavors.runtimes import Plan, Session, require_inputs
from matinee.flavors.runtimes.core import openvino_core
from matinee.flavors.runtimes.keeping import keep
from matinee.flavors.tokenization import Ids

# Dynamic quantization of activations; 0 turns it off. Larger groups are hardly quicker (5 % from 128 to 384), smaller
# ones hardly more exact.
_LARGEST_GROUP = 128
_GROUP = "DYNAMIC_QUANTIZATION_GROUP_SIZE"
_DIGEST_BYTES, _GROUP_BYTES = 32, 8  # what stands before the blob in a file of a compiled graph


class OpenVinoSession:
    """One compiled graph and a request for each stream."""

    def __init__(self, compiled: Any, streams: int) -> None:
        self._compiled = compiled
        self._names = {name for port in compiled.inputs for name in port.get_names()}
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(streams):
            self._idle.put(compiled.create_infer_request())

    def run(self, ids: Ids, mask: Ids) -> FloatArray:
        """Logits, float32 [rows, labels]; waits for a free stream."""
        inputs = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self._names:
            inputs["token_type_ids"] = np.zeros_like(ids)
        request = self._idle.get()
        try:
            request.infer(inputs, share_inputs=True)
            return np.array(request.get_output_tensor(0).data, dtype=np.float32)
        finally:
            self._idle.put(request)

    def close(self) -> None:
        """Forget requests and graph: OpenVINO frees what nobody holds."""
        self._idle = SimpleQueue()
        self._compiled = None


def open_session(graph: Path, plan: Plan, compiled: Path | None) -> Session:
    """Compile, or take what an earlier start compiled; raises `ModelRejected`."""
    core = openvino_core()
    config = {
        "NUM_STREAMS": str(plan.streams),
        "INFERENCE_NUM_THREADS": str(plan.threads),
        "INFERENCE_PRECISION_HINT": "f32" if plan.precision == "f32" else _half(core),
        # Threads stay where the scheduler puts them: pinned ones of two processes would share one core.
        "ENABLE_CPU_PINNING": "NO",
    }
    if compiled is not None and (kept := _import(core, compiled, config)) is not None:
        return OpenVinoSession(kept, plan.streams)
    try:
        model = core.read_model(graph)
        require_inputs(graph, {port.get_any_name() for port in model.inputs})
        group = _group(model) if plan.precision == "int8" else 0
        result = core.compile_model(model, "CPU", config | {_GROUP: str(group)})
    except RuntimeError as error:
        raise ModelRejected([f"{graph.name} cannot be run by OpenVINO: {str(error).splitlines()[-1]}"]) from None
    if compiled is not None:
        head, blob = group.to_bytes(_GROUP_BYTES, "little"), result.export_model().getvalue()
        with suppress(OSError):  # a cache that cannot be written only costs time
            keep(compiled, _digest(head, blob) + head + blob)
    return OpenVinoSession(result, plan.streams)


def _half(core: Any) -> str:
    return "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


def _group(model: Any) -> int:
    """How many activations share one scale: as many as divide the inner dimension of every constant product."""
    sizes = [
        node.input(1).get_shape()[-1 if node.get_attributes()["transpose_b"] else -2]
        for node in model.get_ops()
        if node.get_type_name() == "MatMul" and node.input(1).get_partial_shape().is_static
    ]
    return math.gcd(_LARGEST_GROUP, *sizes)


def _import(core: Any, path: Path, config: dict[str, str]) -> Any:
    """What an earlier start compiled, or None when it is absent, damaged or of another build of OpenVINO."""
    try:
        with path.open("rb") as file:
            digest, group, blob = file.read(_DIGEST_BYTES), file.read(_GROUP_BYTES), file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if _digest(group, blob) != digest:
        return None
    try:
        return core.import_model(blob, "CPU", config | {_GROUP: str(int.from_bytes(group, "little"))})
    except RuntimeError:
        return None


def _digest(group: bytes, blob: bytes) -> bytes:
    digest = hashlib.sha256(group)
    digest.update(blob)
    return digest.digest()
