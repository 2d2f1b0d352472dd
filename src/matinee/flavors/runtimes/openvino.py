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
# Kernels made for one shape of batch are kept for the next like it. OpenVINO keeps 5,000, which takes 20 MB more; with
# 32 a seventh of the throughput is lost.
_SHAPES = "100"
_DIGEST_BYTES, _GROUP_BYTES = 32, 8  # what stands before the blob in a file of a compiled graph


class OpenVinoSession:
    """A request for each stream, and one with the threads of all for a batch that is alone.

    Two streams of one thread do more than one of two threads, which wait for each other; but a text that comes alone
    would leave the other thread idle, and take twice as long.
    """

    def __init__(self, compiled: Any, streams: int, wide: Any = None) -> None:
        self._names = {name for port in compiled.inputs for name in port.get_names()}
        self._streams = streams
        self._wide: Any = wide.create_infer_request() if wide is not None else None
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(streams):
            self._idle.put(compiled.create_infer_request())

    def run(self, ids: Ids, mask: Ids) -> FloatArray:
        """Logits, float32 [rows, labels]; waits for a free stream."""
        inputs = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self._names:
            inputs["token_type_ids"] = np.zeros_like(ids)
        stream = self._idle.get()
        # Only one can find all others idle: whoever comes next finds this one taken.
        alone = self._idle.qsize() == self._streams - 1
        request = self._wide if alone and self._wide is not None else stream
        try:
            request.infer(inputs, share_inputs=True)
            return np.array(request.get_output_tensor(0).data, dtype=np.float32)
        finally:
            self._idle.put(stream)

    def close(self) -> None:
        """Forget requests and graph: OpenVINO frees what nobody holds."""
        self._idle, self._wide = SimpleQueue(), None


def open_session(graph: Path, plan: Plan, compiled: Path | None) -> Session:
    """Compile, or take what an earlier start compiled; raises `ModelRejected`."""
    core = openvino_core()
    config = {
        "NUM_STREAMS": str(plan.streams),
        "INFERENCE_NUM_THREADS": str(plan.threads),
        "INFERENCE_PRECISION_HINT": "f32" if plan.precision == "f32" else _half(core),
        # Threads stay where the scheduler puts them: pinned ones of two processes would share one core.
        "ENABLE_CPU_PINNING": "NO",
        "CPU_RUNTIME_CACHE_CAPACITY": _SHAPES,
    }
    many = _compiled(core, graph, plan, config, compiled)
    wide = _compiled(core, graph, plan, config | {"NUM_STREAMS": "1"}, compiled) if plan.streams > 1 else None
    return OpenVinoSession(many, plan.streams, wide)


def _compiled(core: Any, graph: Path, plan: Plan, config: dict[str, str], kept: Path | None) -> Any:
    if kept is not None and (model := _import(core, kept, config)) is not None:
        return model
    try:
        model = core.read_model(graph)
        require_inputs(graph, {port.get_any_name() for port in model.inputs})
        group = _group(model) if plan.precision == "int8" else 0
        result = core.compile_model(model, "CPU", config | {_GROUP: str(group)})
    except RuntimeError as error:
        raise ModelRejected([f"{graph.name} cannot be run by OpenVINO: {str(error).splitlines()[-1]}"]) from None
    if kept is not None:
        head, blob = group.to_bytes(_GROUP_BYTES, "little"), result.export_model().getvalue()
        with suppress(OSError):  # a cache that cannot be written only costs time
            keep(kept, _digest(head, blob) + head + blob)
    return result


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
