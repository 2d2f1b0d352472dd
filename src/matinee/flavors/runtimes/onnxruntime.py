"""ONNX Runtime: for machines without OpenVINO, for graphs that it does not know, and for NVIDIA GPUs."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime

from matinee.core.errors import ModelRejected
from matinee.core.prediction import FloatArray
from matinee.flavors.runtimes import Plan, Session, require_inputs
from matinee.flavors.tokenization import Ids

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntimeSession:
    """One session; it may be run from several threads at once."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._names = {node.name for node in session.get_inputs()}
        self._output = session.get_outputs()[0].name

    def run(self, ids: Ids, mask: Ids) -> FloatArray:
        """Logits, float32 [rows, labels]."""
        inputs = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self._names:
            inputs["token_type_ids"] = np.zeros_like(ids)
        return cast("FloatArray", self._session.run([self._output], inputs)[0].astype(np.float32, copy=False))

    def close(self) -> None:
        """Forget the session."""
        self._session = None


def open_session(graph: Path, plan: Plan, compiled: Path | None) -> Session:  # noqa: ARG001 - compiles in no time
    """Open the graph; raises `ModelRejected`."""
    provider = _PROVIDERS[plan.device]
    if provider not in onnxruntime.get_available_providers():
        raise ModelRejected([f"this ONNX Runtime cannot run on {plan.device}"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, plan.threads // plan.streams)
    options.inter_op_num_threads = 1
    # Idle threads sleep: spinning ones would take the other stream's, and the event loop's, time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # It would otherwise quantize activations whenever the weights are 8-bit, also where nobody asked for it.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "4" if plan.precision == "int8" else "1")
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=[provider])
    except Exception as error:  # noqa: BLE001 - its exceptions have no common base
        raise ModelRejected([f"{graph.name} cannot be run by ONNX Runtime ({type(error).__name__})"]) from None
    shapes = {node.name: node.shape or [] for node in session.get_inputs()}  # a size, or the name of one, or None
    require_inputs(
        graph, {name: [size if isinstance(size, int) else None for size in shape] for name, shape in shapes.items()}
    )
    return OnnxRuntimeSession(session)
