"""One model, in the form that suits ONNX Runtime best: what every peer serves.

The bundle's `model.onnx` holds int8 weights that ONNX Runtime expands again. Quantizing the activations as they come
("dynamic quantization", what its documentation recommends for transformers on a CPU) is quicker there, so both are
tried, and the peers get the quicker one.
"""

import json
import shutil
import subprocess
from pathlib import Path

from catalog import PEERS
from servers import HERE, environment

import matinee

QUANTIZE = """
import sys, onnxruntime
from onnxruntime.quantization import quantize_dynamic, QuantType
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
options.optimized_model_filepath = sys.argv[2] + ".plain"
onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
quantize_dynamic(sys.argv[2] + ".plain", sys.argv[2], weight_type=QuantType.QInt8, per_channel=True)
"""
SPEED = """
import json, sys, time
from model import Model
texts, model = json.load(sys.stdin), Model()
model(texts[:1])
started = time.perf_counter()
for text in texts * 2:
    model([text])
print(time.perf_counter() - started)
"""


def prepare(reference: str, folder: Path, texts: list[str]) -> dict[str, str]:
    """Lay out the files; returns the environment that names them to the servers."""
    bundled = Path(matinee.__file__).parent / "bundled"
    source = bundled / reference.removeprefix("bundled:") if reference.startswith("bundled:") else Path(reference)
    python = environment(PEERS[0])
    dynamic = folder / "dynamic"
    dynamic.mkdir(parents=True)
    shutil.copy(source / "tokenizer.json", dynamic)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "onnx"], check=True)
    subprocess.run([python, "-c", QUANTIZE, source / "model.onnx", dynamic / "model.onnx"], check=True)
    tokens = str(json.loads((source / "matinee.json").read_text())["text"]["max_tokens"])
    seconds = {}
    for candidate in (source, dynamic):
        env = {"MODEL_DIR": str(candidate), "MAX_TOKENS": tokens, "PYTHONPATH": str(HERE / "peers")}
        run = [python, "-c", SPEED]
        output = subprocess.run(run, env=env, input=json.dumps(texts), capture_output=True, text=True, check=True)
        seconds[candidate] = float(output.stdout)
    best = min(seconds, key=lambda candidate: seconds[candidate])
    print(f"peers serve {'the bundle' if best == source else 'the dynamically quantized file'}: {seconds}", flush=True)
    return {"MODEL_DIR": str(best), "MAX_TOKENS": tokens, "BUNDLE": reference}
