"""How should the encoder's weights be stored? float32, weight-only int8, dynamic int8 and static QDQ, side by side.

    python -m benchmarks.weights --work WORK --data DATA [--reviews 400] [--threads 2]

WORK is the folder of `matinee train transformer`. Its last stage is exported in each form, and each reads the first
window of the same held-out reviews in ONNX Runtime and OpenVINO. The ranges of the static form are taken from 16 of the
batches that are measured, which can only flatter it. Needs the extra `train` and onnxruntime.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matinee.train.calibration import softmax

WINDOW = 384
BUDGET = 1024
Inputs = dict[str, NDArray[np.int64]]
Run = Callable[[Inputs], NDArray[np.float32]]


@dataclass(frozen=True)
class Sample:
    """Batches of similar length, and the labels in the same order."""

    batches: list[Inputs]
    labels: NDArray[np.int64]


def sample(work: Path, data: str, count: int) -> tuple[Any, Sample]:
    """The trained encoder, and the first windows of `count` held-out reviews."""
    import torch

    from matinee.train.base import load_base
    from matinee.train.batches import Batch, group_by_length, pack
    from matinee.train.dataset import read_dataset, split
    from matinee.train.transformer import special_tokens, tokenize

    heldout = split(read_dataset(data, work)).heldout
    heldout = heldout.take(np.random.default_rng(0).permutation(len(heldout))[:count])
    encoder, words = load_base("minilm", 2)
    encoder.load_state_dict(torch.load(work / "second.pt", weights_only=True))
    special, tokens = special_tokens(words), tokenize(words, heldout.texts)
    sizes = np.minimum([len(row) for row in tokens], WINDOW - 2).astype(np.int64)
    groups = group_by_length(np.argsort(sizes, kind="stable"), sizes, BUDGET)
    batches = []
    for rows in groups:
        batch = Batch(rows, np.zeros_like(rows), sizes[rows])
        ids, mask = pack(tokens, batch, first=special.first, last=special.last, limit=512)
        batches.append({"input_ids": ids, "attention_mask": mask})
    return encoder, Sample(batches, heldout.labels[np.concatenate(groups)])


class Reader:
    """Hands the calibration batches out, as ONNX Runtime asks for them."""

    def __init__(self, batches: list[Inputs]) -> None:
        self.batches = iter(batches)

    def get_next(self) -> Inputs | None:
        """One batch, or None at the end."""
        return next(self.batches, None)


def forms(encoder: Any, calibration: list[Inputs], folder: Path) -> Iterator[tuple[str, Path]]:
    """Write the graph in each form."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from matinee.train.export import to_onnx

    plain, prepared = folder / "float32.onnx", folder / "prepared.onnx"
    onnx.save(to_onnx(encoder, quantize=False), plain)
    yield "float32", plain
    onnx.save(to_onnx(encoder), folder / "weights.onnx")
    yield "weight-only int8", folder / "weights.onnx"
    quantize_dynamic(plain, folder / "dynamic.onnx", weight_type=QuantType.QInt8, per_channel=True)
    yield "dynamic int8", folder / "dynamic.onnx"
    quant_pre_process(plain, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared, folder / "static.onnx", Reader(calibration), per_channel=True, op_types_to_quantize=["MatMul"]
    )
    yield "static QDQ int8", folder / "static.onnx"


def runtimes(path: Path, threads: int) -> Iterator[tuple[str, Run]]:
    """The graph in each runtime and precision."""
    import onnxruntime
    import openvino

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options)
    yield "ONNX Runtime", partial(_onnxruntime, session)
    for hint in ("f32", "bf16"):
        config = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(path, "CPU", config)
        yield f"OpenVINO {hint}", partial(_openvino, compiled)


def _onnxruntime(session: Any, inputs: Inputs) -> NDArray[np.float32]:
    logits: NDArray[np.float32] = session.run(None, inputs)[0]
    return logits


def _openvino(compiled: Any, inputs: Inputs) -> NDArray[np.float32]:
    logits: NDArray[np.float32] = compiled(inputs)["logits"].copy()
    return logits


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--reviews", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    encoder, chosen = sample(arguments.work, arguments.data, arguments.reviews)
    print("| form | MB | runtime | accuracy | mean change of probability | flips | reviews/s |")
    print("|---|---|---|---|---|---|---|")
    reference: NDArray[np.float64] | None = None
    with TemporaryDirectory() as name:
        for form, path in forms(encoder, chosen.batches[:: max(1, len(chosen.batches) // 16)], Path(name)):
            for runtime, run in runtimes(path, arguments.threads):
                run(chosen.batches[0])
                began = time.perf_counter()
                scores = softmax(np.concatenate([run(batch) for batch in chosen.batches]))
                rate = len(scores) / (time.perf_counter() - began)
                reference = scores if reference is None else reference
                right = (scores.argmax(axis=1) == chosen.labels).mean()
                flips = (scores.argmax(axis=1) != reference.argmax(axis=1)).mean()
                change = np.abs(scores - reference).mean()
                size = path.stat().st_size / 1e6
                print(
                    f"| {form} | {size:.1f} | {runtime} | {right:.2%} | {change:.4f} | {flips:.2%} | {rate:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
