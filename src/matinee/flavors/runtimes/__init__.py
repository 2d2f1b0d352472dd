"""Run one graph as fast as this machine can: with which runtime, in which precision, on how many threads?

`open_session` opens an ONNX file as a `Plan` says. `plans.best_guess` makes a plan from the CPU's features, `tuning`
finds the best one by measuring. A graph takes `input_ids`, `attention_mask` and maybe `token_type_ids`, int64
[rows, seq], and gives logits, float32 [rows, labels], as its first output.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from matinee.core.errors import ModelRejected
from matinee.core.plugins import Builtin, Table
from matinee.core.prediction import FloatArray
from matinee.flavors.tokenization import Ids


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run a graph.

    `precision` is `f32`, `bf16`, or `int8`: 8-bit weights as the graph has them, activations quantized as they come
    (Dynamic quantization), everything else in bf16 where the CPU has it. `streams` batches run at once, `threads`
    threads in all.
    """

    runtime: str
    precision: str
    streams: int
    threads: int
    batch_tokens: int
    device: str = "cpu"


class Session(Protocol):
    """An open graph; `run` may be called from as many threads as the plan has streams."""

    def run(self, ids: Ids, mask: Ids) -> FloatArray:
        """Logits, float32 [rows, labels]."""

    def close(self) -> None:
        """Give memory and threads back."""


Opener = Callable[[Path, Plan, Path | None], Session]

RUNTIMES: Table[Opener] = Table(
    "matinee.runtimes",
    {
        "openvino": Builtin("matinee.flavors.runtimes.openvino:open_session"),
        "onnxruntime": Builtin("matinee.flavors.runtimes.onnxruntime:open_session", extra="onnxruntime"),
    },
)


def open_session(graph: Path, plan: Plan, compiled: Path | None = None) -> Session:
    """Open `graph`; what was compiled for this machine is kept in the file `compiled`, if given.

    Raises `ModelRejected` when the graph cannot be run, `MissingExtra` when the runtime is not installed.
    """
    return RUNTIMES.get(plan.runtime)(graph, plan, compiled)


def require_inputs(graph: Path, inputs: Mapping[str, Sequence[int | None]]) -> None:
    """Raises `ModelRejected` for a graph that takes other inputs than an encoder's, or only some batches of them.

    `inputs` are names and shapes, None for a dimension that may have any size.
    """
    needed, known = {"input_ids", "attention_mask"}, {"input_ids", "attention_mask", "token_type_ids"}
    if not needed <= set(inputs) <= known:
        shown = ", ".join(sorted(inputs))[:200]
        raise ModelRejected(
            [f"{graph.name} takes {shown}: it must take input_ids and attention_mask, and may take token_type_ids"]
        )
    if fixed := [shape for shape in inputs.values() if any(size is not None for size in shape)]:
        shown = " x ".join("any" if size is None else str(size) for size in fixed[0])
        raise ModelRejected(
            [f"{graph.name} takes texts x tokens of {shown} only: export it with dynamic axes for both dimensions"]
        )
