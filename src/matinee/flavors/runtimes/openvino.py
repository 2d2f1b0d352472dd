"""OpenVINO: the default runtime on CPUs."""

import ctypes
import hashlib
import math
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

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
# Kernels made for one shape of batch are kept for the next like it, by each stream of a graph. OpenVINO would keep
# 5,000; 100 take 12 MB more than 64 and save no time that could be measured, 32 lose a seventh of the throughput.
_SHAPES = "64"
# Before the blob in a file of a compiled graph: SHA-256 of the rest, and the size of the groups; together a cache line.
_DIGEST_BYTES, _HEAD_BYTES = 32, 64

Content = NDArray[np.uint8]


class OpenVinoSession:
    """A request for each stream, and one with the threads of all for a batch that is alone.

    Two streams of one thread do more than one of two threads, which wait for each other; but a text that comes alone
    would leave the other thread idle, and take twice as long.
    """

    def __init__(self, compiled: Any, streams: int, wide: Any = None, weights: Any = None) -> None:
        self._weights = weights  # what the graphs read and do not hold
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
    """Compile, or take what an earlier start compiled; raises `ModelRejected`.

    What was compiled is mapped from its file, so that both copies of the graph share the weights.
    """
    core = openvino_core()
    config = {
        "INFERENCE_NUM_THREADS": str(plan.threads),
        "INFERENCE_PRECISION_HINT": "f32" if plan.precision == "f32" else _half(core),
        # Threads stay where the scheduler puts them: pinned ones of two processes would share one core.
        "ENABLE_CPU_PINNING": "NO",
        "CPU_RUNTIME_CACHE_CAPACITY": _SHAPES,
    }
    streams = [plan.streams] if plan.streams == 1 else [plan.streams, 1]
    configs = [config | {"NUM_STREAMS": str(each)} for each in streams]
    if (content := _kept(compiled)) is not None:
        with suppress(RuntimeError):  # of another build of OpenVINO
            return _session(core, content, configs, plan)
    try:
        content = _compile(core, graph, plan, configs[0])
        if compiled is not None:
            with suppress(OSError):  # a cache that cannot be written only costs time
                keep(compiled, content.data)
        if (mapped := _kept(compiled)) is not None:
            content = mapped
        _give_back()
        return _session(core, content, configs, plan)
    except RuntimeError as error:
        reason = str(error).strip().rpartition("\n")[2]
        raise ModelRejected([f"{graph.name} cannot be run by OpenVINO: {reason}"]) from None


def _session(core: Any, content: Content, configs: list[dict[str, str]], plan: Plan) -> Session:
    """From what was compiled to a session; raises `RuntimeError`."""
    group = {_GROUP: str(int.from_bytes(content[_DIGEST_BYTES:_HEAD_BYTES].tobytes(), "little"))}
    blob = openvino.Tensor(content[_HEAD_BYTES:], shared_memory=True)
    many, *wide = (core.import_model(blob, "CPU", config | group) for config in configs)
    return OpenVinoSession(many, plan.streams, next(iter(wide), None), weights=content)


def _compile(core: Any, graph: Path, plan: Plan, config: dict[str, str]) -> Content:
    """Digest, size of the groups, and what OpenVINO compiled, uint8 [bytes]; raises `RuntimeError`."""
    model = core.read_model(graph)
    require_inputs(graph, {port.get_any_name(): _sizes(port.get_partial_shape()) for port in model.inputs})
    group = _group(model) if plan.precision == "int8" else 0
    blob = core.compile_model(model, "CPU", config | {_GROUP: str(group)}).export_model().getvalue()
    content = group.to_bytes(_HEAD_BYTES - _DIGEST_BYTES, "little") + blob
    return np.frombuffer(bytearray(hashlib.sha256(content).digest() + content), dtype=np.uint8)


def _sizes(shape: Any) -> list[int | None]:
    return [size.get_length() if size.is_static else None for size in shape] if shape.rank.is_static else []


def _give_back() -> None:
    """Return what compiling needed besides to the system, some 40 MB, which nothing will need again."""
    with suppress(AttributeError, TypeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)


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


def _kept(path: Path | None) -> Content | None:
    """What an earlier start compiled, mapped; None when it is absent or damaged."""
    if path is None:
        return None
    try:
        content = np.memmap(path, dtype=np.uint8, mode="c")
    except (OSError, ValueError):  # ValueError: an empty file
        return None
    whole = hashlib.sha256(content[_DIGEST_BYTES:].data).digest() == content[:_DIGEST_BYTES].tobytes()
    return content if whole else None
