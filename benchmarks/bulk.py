"""Bulk scoring: reviews per second of `matinee score` beside `transformers.pipeline` with its best batch size.

The pipeline runs an encoder of the same shape in PyTorch (float32 and bfloat16), on the same reviews, cut at the same
number of tokens, in an environment of its own (torch 2.13 and transformers, made on the first run). Its texts come
sorted by length, which its documentation does not do and which makes it quicker. Interleaved rounds; medians, ranges.
"""

import argparse
import csv
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import machine, reviews
from servers import ENVS, HERE

PIPELINE = """
import json, sys, time, torch
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast, pipeline
request = json.load(sys.stdin)
torch.set_num_threads(2)
config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
model = BertForSequenceClassification(config).eval().to(getattr(torch, request["dtype"]))
tokenizer = PreTrainedTokenizerFast(tokenizer_file=request["tokenizer"], pad_token="[PAD]")
tokenizer.model_max_length, batch = request["tokens"], request["batch"]
classify = pipeline("text-classification", model=model, tokenizer=tokenizer, truncation=True, batch_size=batch)
texts = sorted(request["texts"], key=len)
classify(texts[:batch])
started = time.perf_counter()
classify(texts)
print(len(texts) / (time.perf_counter() - started))
"""


def main() -> None:
    """Measure, print the table, write `results/bulk.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="Parquet file with a column `text`")
    parser.add_argument("--reviews", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    texts = reviews(options.data, options.reviews)
    bundle = HERE.parent / "src/matinee/bundled/imdb-sentiment-transformer"
    tokens = json.loads((bundle / "matinee.json").read_text())["text"]["max_tokens"]
    request = {"tokenizer": str(bundle / "tokenizer.json"), "tokens": tokens, "texts": texts}
    tried = {
        (dtype, n): pipeline(request | {"batch": n, "dtype": dtype})
        for dtype in ("float32", "bfloat16")
        for n in (1, 8, 32)
    }
    dtype, best = max(tried, key=lambda pair: tried[pair])
    runs = {
        f"transformers.pipeline, {dtype}, batch size {best}": lambda: pipeline(
            request | {"batch": best, "dtype": dtype}
        ),
        "matinee score, transformer": lambda: score(texts, "bundled:imdb-sentiment-transformer", "truncate"),
        "matinee score, cascade": lambda: score(texts, "bundled:imdb-sentiment", "window"),
    }
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            rates[name].append(run())
    print("| | reviews/s |\n|---|---|")
    for name, values in rates.items():
        print(f"| {name} | **{statistics.median(values):.0f}** ({min(values):.0f}–{max(values):.0f}) |")
    batches = {f"{dtype}, {n}": rate for (dtype, n), rate in tried.items()}
    result = {"machine": machine(), "reviews": len(texts), "pipeline_batches": batches, "rates": rates}
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results/bulk.json").write_text(json.dumps(result, indent=1) + "\n")


def pipeline(request: dict[str, object]) -> float:
    """Reviews per second of one pipeline run, loading not counted."""
    folder = ENVS / "pipeline"
    if not (folder / ".installed").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [folder / "bin/pip", "install", "--quiet"]
        subprocess.run([*pip, "torch==2.13.0"], check=True)  # alone first: any other order brings CUDA
        subprocess.run([*pip, "transformers"], check=True)
        (folder / ".installed").touch()
    run = [folder / "bin/python", "-c", PIPELINE]
    output = subprocess.run(run, input=json.dumps(request), capture_output=True, text=True, check=True)
    return float(output.stdout)


def score(texts: list[str], model: str, overflow: str) -> float:
    """Reviews per second of one `matinee score` run, starting and loading not counted (a run of 16 rows is)."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        seconds = [run_score(work, chunk, model, overflow) for chunk in (texts[:16], texts)]
        return (len(texts) - 16) / (seconds[1] - seconds[0])


def run_score(work: Path, texts: list[str], model: str, overflow: str) -> float:
    """Wall time of one run, in seconds."""
    with (work / "in.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["text"], *([re.sub("\0", "", text)] for text in texts)])
    command = [sys.executable, "-m", "matinee", "score", "in.csv", "out.csv", "--restart"]
    started = time.perf_counter()
    subprocess.run([*command, "--model", model, "--overflow", overflow], cwd=work, capture_output=True, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
