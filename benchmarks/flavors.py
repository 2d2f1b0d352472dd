"""Each flavor against its library called directly, on real reviews: side by side, in turns.

    pip install torch "transformers<5" tensorflow-cpu tf-keras pyarrow onnxruntime
    pip install -e ".[sklearn,tensorflow,keras]"
    python benchmarks/flavors.py --data ../shared/data/imdb/test.parquet --count 1000 --rounds 3

Models are made here (`flavor_models.py`). Every contender is a process of its own that loads, warms up and then waits
for its turn; matinee and the library read the same part of each text. `cpu` is processor time for each review, which
other programs on the machine do not change much. `--flavor` and `--only` choose what runs, as often as they are given.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Runner = Callable[[list[str]], object]
CONTENDERS = {
    "sklearn": ("joblib + predict_proba", "matinee"),
    "sklearn-forest": ("joblib + predict_proba", "matinee"),
    "transformers": ("pipeline", "pipeline batch 16", "matinee f32", "matinee"),
    "tensorflow": ("TFDistilBert batch 16", "matinee f32", "matinee"),
    "onnx": ("onnxruntime batch 16", "matinee f32", "matinee"),
    "keras": ("predict", "matinee"),
}
BATCH = 16


def runner(flavor: str, contender: str, folder: Path) -> Runner:
    """Load one contender."""
    if contender.startswith("matinee"):
        return matinee_runner(folder, "f32" if contender.endswith("f32") else "auto")
    if flavor == "transformers":
        return transformers_runner(folder, contender)
    libraries = {"keras": keras_runner, "tensorflow": tensorflow_runner, "onnx": onnx_runner}
    return libraries.get(flavor, sklearn_runner)(folder)


def sklearn_runner(folder: Path) -> Runner:
    """The whole pipeline, all texts in one call."""
    import joblib

    model = joblib.load(folder / "model.joblib")
    predict_proba: Runner = model.predict_proba
    return predict_proba


def transformers_runner(folder: Path, contender: str) -> Runner:
    """The library's own pipeline; by itself it takes one text at a time."""
    from transformers import pipeline

    classify: Any = pipeline("text-classification", model=str(folder), device="cpu", top_k=None)
    size = BATCH if contender.endswith(str(BATCH)) else 1
    return lambda texts: classify(texts, truncation=True, batch_size=size)


def tensorflow_runner(folder: Path) -> Runner:
    """The class that wrote the checkpoint, as a graph, in padded batches."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow
    import transformers

    model = transformers.TFDistilBertForSequenceClassification.from_pretrained(folder)
    tokenizer = transformers.DistilBertTokenizerFast.from_pretrained(folder)
    call = tensorflow.function(model, reduce_retracing=True)

    def run(texts: list[str]) -> object:
        parts = [texts[at : at + BATCH] for at in range(0, len(texts), BATCH)]
        return [
            call(dict(tokenizer(part, truncation=True, padding=True, return_tensors="tf"))).logits for part in parts
        ]

    return run


def onnx_runner(folder: Path) -> Runner:
    """ONNX Runtime as it comes, with the same tokenizer and window, in padded batches."""
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    names = [entry.name for entry in session.get_inputs()]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(json.loads((folder / "matinee.json").read_text())["text"]["max_tokens"])
    tokenizer.enable_padding()

    def run(texts: list[str]) -> object:
        outputs = []
        for at in range(0, len(texts), BATCH):
            encoded = tokenizer.encode_batch(texts[at : at + BATCH])
            ids, mask = np.array([one.ids for one in encoded]), np.array([one.attention_mask for one in encoded])
            given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            outputs.append(session.run(None, {name: given[name] for name in names}))
        return outputs

    return run


def keras_runner(folder: Path) -> Runner:
    """`model.predict` on TensorFlow, in its default batches of 32."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow

    model = keras.saving.load_model(folder / "model.keras")
    return lambda texts: model.predict(tensorflow.constant([[text] for text in texts]), verbose=0)


def matinee_runner(folder: Path, precision: str) -> Runner:
    """The flavor by itself: encode, sort by length, full batches on all streams, finish."""
    from matinee.core.bundle import Bundle, Revision
    from matinee.core.prediction import Row
    from matinee.core.reference import ModelRef
    from matinee.flavors import LoadOptions, load
    from matinee.verify import inspect

    bundle = inspect(Bundle(folder, Revision(ModelRef.parse(str(folder)), "0"), "sha256:benchmark"))
    classifier = load(bundle, LoadOptions(precision=precision))

    def run(texts: list[str]) -> object:
        encoded = classifier.encode(texts, "truncate")
        if all(item.answer for item in encoded):
            return encoded
        order = sorted(((row, item) for item in encoded for row in item.rows), key=lambda pair: pair[0].cost)
        batches: list[list[tuple[Row, Any]]] = []
        for pair in order:
            if not batches or (len(batches[-1]) + 1) * pair[0].cost > classifier.capacity.batch_tokens:
                batches.append([])
            batches[-1].append(pair)

        def answer(batch: list[tuple[Row, Any]]) -> list[object]:
            outputs = classifier.run([row for row, _ in batch])
            return [classifier.finish(item, outputs[at : at + 1]) for at, (_, item) in enumerate(batch)]

        with ThreadPoolExecutor(classifier.capacity.parallel_batches) as pool:
            return list(pool.map(answer, batches))

    return run


def work(flavor: str, contender: str, folder: Path) -> None:
    """One contender's process: load, warm up, then a round for each line of standard input."""
    texts: list[str] = json.loads((folder / "texts.json").read_text())
    run = runner(flavor, contender, folder / "model")
    run(texts[:8])
    for _ in sys.stdin:
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        run(texts)
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print("round", json.dumps([seconds / len(texts), cpu / len(texts)]), flush=True)


def compare(flavor: str, folder: Path, options: argparse.Namespace) -> None:
    """Let the contenders take turns, and print the medians."""
    command = [sys.executable, __file__, "--folder", str(folder), "--worker", flavor]
    processes = {
        name: subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in CONTENDERS[flavor]
        if not options.only or name in options.only
    }
    found: dict[str, list[list[float]]] = {name: [] for name in processes}
    for _ in range(options.rounds):
        for name, process in processes.items():
            assert process.stdin is not None
            assert process.stdout is not None
            print("go", file=process.stdin, flush=True)
            line = next(line for line in process.stdout if line.startswith("round "))
            found[name].append(json.loads(line.removeprefix("round ")))
    for process in processes.values():
        process.communicate()
    report(flavor, found)


def report(flavor: str, found: dict[str, list[list[float]]]) -> None:
    """Reviews a second, processor time, and how many times the first contender's throughput."""
    print(f"\n{flavor:24}{'reviews/s':>12}{'cpu ms':>10}{'times':>8}{'times by cpu':>14}")
    medians = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in found.items()}
    base = next(iter(medians.values()))
    for name, (seconds, cpu) in medians.items():
        print(f"{name:24}{1 / seconds:12.1f}{cpu * 1000:10.2f}{base[0] / seconds:8.2f}{base[1] / cpu:14.2f}")


def main() -> None:
    """Parse, make the models in processes of their own, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a Parquet file of reviews")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flavor", choices=CONTENDERS, action="append")
    parser.add_argument("--only", action="append", metavar="CONTENDER")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker, options.folder)
    else:
        for flavor in options.flavor or CONTENDERS:
            with tempfile.TemporaryDirectory() as folder:
                prepare(flavor, Path(folder), options)
                compare(flavor, Path(folder), options)


def prepare(flavor: str, folder: Path, options: argparse.Namespace) -> None:
    """Draw the texts with a fixed seed, and have the model made in a process of its own."""
    import random

    from pyarrow import parquet

    rows = parquet.read_table(options.data, columns=["text", "sentiment"]).to_pylist()
    random.Random(0).shuffle(rows)
    (folder / "model").mkdir()
    (folder / "texts.json").write_text(json.dumps([row["text"] for row in rows[: options.count]]))
    (folder / "others.json").write_text(json.dumps(rows[options.count : options.count + 5000]))
    subprocess.run([sys.executable, Path(__file__).with_name("flavor_models.py"), flavor, folder], check=True)


if __name__ == "__main__":
    main()
