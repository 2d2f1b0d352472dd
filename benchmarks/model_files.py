"""One model, in the form that suits ONNX Runtime best: what every peer serves.

The bundle's `model.onnx` holds int8 weights that ONNX Runtime expands again. Quantizing the activations as they come
("dynamic quantization", what its documentation recommends for transformers on a CPU) is quicker there: the weights are
expanded to float32, from which ONNX Runtime's own tool quantizes. Both files are tried, in turns, and the peers get the
quicker one, unless they are to serve the bundle's own.
"""

import json
import shutil
import subprocess
from math import inf
from pathlib import Path

from catalog import PEERS
from servers import HERE, environment

import matinee

QUANTIZE = """
import sys, onnx
from onnx import numpy_helper
from onnxruntime.quantization import quantize_dynamic, QuantType
model = onnx.load(sys.argv[1])
stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
rest = []
for node in model.graph.node:
    if node.op_type == "DequantizeLinear" and all(name in stored for name in node.input):
        weights, scale, zero = (stored[name].astype("float32") for name in node.input)
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        shape = [-1 if dimension == axis % weights.ndim else 1 for dimension in range(weights.ndim)]
        whole = (weights - zero.reshape(shape)) * scale.reshape(shape) if scale.size > 1 else (weights - zero) * scale
        model.graph.initializer.append(numpy_helper.from_array(whole.astype("float32"), node.output[0]))
    else:
        rest.append(node)
del model.graph.node[:]
model.graph.node.extend(rest)
onnx.save(model, sys.argv[2] + ".plain")
quantize_dynamic(sys.argv[2] + ".plain", sys.argv[2], weight_type=QuantType.QInt8, per_channel=True)
"""
SPEED = """
import json, sys, time
from model import Model
texts, model = json.load(sys.stdin), Model()
model(texts[:1])
started = time.perf_counter()
for text in texts:
    model([text])
print(time.perf_counter() - started)
"""


def prepare(reference: str, folder: Path, texts: list[str], *, same: bool = False) -> dict[str, str]:
    """Lay out the files; returns the environment that names them to the servers. `same`: everybody reads one file."""
    bundled = Path(matinee.__file__).parent / "bundled"
    source = bundled / reference.removeprefix("bundled:") if reference.startswith("bundled:") else Path(reference)
    manifest = json.loads((source / "matinee.json").read_text())
    tokens = str(manifest["text"]["max_tokens"])
    best = source if same else _quicker(source, folder / "dynamic", tokens, texts)
    calibration = {key.upper(): str(manifest["calibration"].get(key, 1.0)) for key in ("exponent", "temperature")}
    return {"MODEL_DIR": str(best), "MAX_TOKENS": tokens, "BUNDLE": reference, **calibration}


def _quicker(source: Path, dynamic: Path, tokens: str, texts: list[str]) -> Path:
    python = environment(PEERS[0])
    dynamic.mkdir(parents=True)
    shutil.copy(source / "tokenizer.json", dynamic)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "onnx"], check=True)
    subprocess.run([python, "-c", QUANTIZE, source / "model.onnx", dynamic / "model.onnx"], check=True)
    seconds: dict[Path, float] = {}
    for candidate in (source, dynamic) * 3:
        env = {"MODEL_DIR": str(candidate), "MAX_TOKENS": tokens, "PYTHONPATH": str(HERE / "peers")}
        run = [python, "-c", SPEED]
        output = subprocess.run(run, env=env, input=json.dumps(texts), capture_output=True, text=True, check=True)
        seconds[candidate] = min(seconds.get(candidate, inf), float(output.stdout))
    best = min(seconds, key=lambda candidate: seconds[candidate])
    print(f"peers serve {'the bundle' if best == source else 'the dynamically quantized file'}: {seconds}", flush=True)
    return best
