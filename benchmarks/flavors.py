"""Each flavor against its library called directly, on real reviews: side by side, in turns.

    pip install torch "transformers<5" tensorflow-cpu tf-keras pyarrow && pip install -e .
    python benchmarks/flavors.py --data ../shared/data/imdb/test.parquet --count 1000 --rounds 3

Models are made here, with random weights: a DistilBERT of the usual size (66 million parameters, 512 tokens) with the
vocabulary of the bundled encoder, and the text classification example of keras.io (TextVectorization, two
convolutions). Every contender is a process of its own that loads, warms up and then waits for its turn; matinee and
the library read the same part of each text. `cpu` is processor time for each review, which other programs on the
machine do not change much.
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
    "transformers": ("pipeline", "pipeline batch 16", "matinee f32", "matinee"),
    "keras": ("predict", "matinee"),
}


def make_transformers(folder: Path, _: list[str], vocabulary: Path) -> None:
    """A DistilBERT with random weights, saved as `save_pretrained` does."""
    import torch
    import transformers

    words: dict[str, int] = json.loads(vocabulary.read_text())["model"]["vocab"]
    (folder / "vocab.txt").write_text("\n".join(sorted(words, key=words.__getitem__)) + "\n")
    transformers.DistilBertTokenizerFast(str(folder / "vocab.txt"), model_max_length=512).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.DistilBertConfig(
        id2label={0: "negative", 1: "positive"}, label2id={"negative": 0, "positive": 1}
    )
    transformers.DistilBertForSequenceClassification(config).save_pretrained(folder)


def make_keras(folder: Path, texts: list[str], _: Path) -> None:
    """https://keras.io/examples/nlp/text_classification_from_scratch/, without the training."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    from keras import layers

    vectorization = layers.TextVectorization(max_tokens=20_000, output_sequence_length=500)
    vectorization.adapt(texts)
    model = keras.Sequential(
        [
            keras.Input(shape=(1,), dtype="string"), vectorization, layers.Embedding(20_000, 128),
            layers.Conv1D(128, 7, padding="valid", activation="relu", strides=3),
            layers.Conv1D(128, 7, padding="valid", activation="relu", strides=3), layers.GlobalMaxPooling1D(),
            layers.Dense(128, activation="relu"), layers.Dense(1, activation="sigmoid"),
        ]
    )  # fmt: skip
    model.save(folder / "model.keras")


def runner(flavor: str, contender: str, folder: Path) -> Runner:
    """Load one contender."""
    if contender.startswith("matinee"):
        return matinee_runner(folder, "f32" if contender.endswith("f32") else "auto")
    return transformers_runner(folder, contender) if flavor == "transformers" else keras_runner(folder)


def transformers_runner(folder: Path, contender: str) -> Runner:
    """The library's own pipeline; by itself it takes one text at a time."""
    from transformers import pipeline

    classify: Any = pipeline("text-classification", model=str(folder), device="cpu", top_k=None)
    size = 16 if contender.endswith("16") else 1
    return lambda texts: classify(texts, truncation=True, batch_size=size)


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


def compare(flavor: str, folder: Path, rounds: int) -> None:
    """Let the contenders take turns, and print the medians."""
    command = [sys.executable, __file__, "--folder", str(folder), "--worker", flavor]
    processes = {
        name: subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in CONTENDERS[flavor]
    }
    found: dict[str, list[list[float]]] = {name: [] for name in processes}
    for _ in range(rounds):
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
    vocabulary = Path(__file__).parents[1] / "src/matinee/bundled/imdb-sentiment-transformer/tokenizer.json"
    parser.add_argument("--vocabulary", type=Path, default=vocabulary, help="a tokenizer.json with a WordPiece model")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--make", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker, options.folder)
    elif options.make:
        make = make_transformers if options.make == "transformers" else make_keras
        make(options.folder / "model", json.loads((options.folder / "texts.json").read_text()), options.vocabulary)
    else:
        for flavor in options.flavor or CONTENDERS:
            with tempfile.TemporaryDirectory() as folder:
                prepare(flavor, Path(folder), options)
                compare(flavor, Path(folder), options.rounds)


def prepare(flavor: str, folder: Path, options: argparse.Namespace) -> None:
    """Draw the texts with a fixed seed, and make the model."""
    import random

    from pyarrow import parquet

    texts = parquet.read_table(options.data, columns=["text"]).column("text").to_pylist()
    (folder / "model").mkdir()
    (folder / "texts.json").write_text(json.dumps(random.Random(0).sample(texts, options.count)))
    making = ["--folder", str(folder), "--make", flavor, "--vocabulary", str(options.vocabulary)]
    subprocess.run([sys.executable, __file__, *making], check=True)


if __name__ == "__main__":
    main()
