"""How close does the engine come to the model alone? Offline batches against concurrent requests, in turns.

    python benchmarks/engine.py --model bundled:imdb-sentiment-transformer --data ../shared/data/imdb/test.parquet

`offline` runs length-sorted batches of the plan's budget on all streams, with nothing else; `engine N` keeps N requests
of one review each in flight through `Engine.predict`, without the answer cache. Same process, same session, rounds in
turns; medians. `cpu` is the processor time for each review, which other programs on the machine do not change much.
"""

import argparse
import asyncio
import random
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyarrow import parquet

from matinee.core.events import BatchRun, Event
from matinee.core.prediction import Classifier, ModelIdentity, Row
from matinee.core.reference import ModelRef
from matinee.engine import Admission, Engine, EngineLimits
from matinee.flavors import LoadOptions
from matinee.rollout import Stages, open_model
from matinee.sources import SourceOptions, Sources
from matinee.verify import Policy

IDENTITY = ModelIdentity("benchmark", "0", "", "")


def reviews(path: Path, count: int) -> list[str]:
    """Texts drawn with a fixed seed."""
    texts: list[str] = parquet.read_table(path, columns=["text"]).column("text").to_pylist()
    return random.Random(0).sample(texts, count)


def offline(classifier: Classifier, texts: list[str]) -> None:
    """Encode all, sort by length, run full batches on all streams, finish each text."""
    encoded = classifier.encode(texts)
    rows = sorted((row for each in encoded for row in each.rows), key=lambda row: row.cost)
    batches: list[list[Row]] = []
    for row in rows:
        if not batches or (len(batches[-1]) + 1) * row.cost > classifier.capacity.batch_tokens:
            batches.append([])
        batches[-1].append(row)
    with ThreadPoolExecutor(classifier.capacity.parallel_batches) as pool:
        list(pool.map(classifier.run, batches))


async def online(classifier: Classifier, texts: list[str], clients: int, tell: Callable[[Event], None]) -> None:
    """`clients` tasks take text after text and wait for each answer."""
    engine = Engine(classifier, IDENTITY, Admission(), EngineLimits(cache_entries=0), tell)
    await engine.start()
    todo = iter(texts)

    async def client() -> None:
        for text in todo:
            await engine.predict([text], timeout=600)

    await asyncio.gather(*(client() for _ in range(clients)))


def measured(work: Callable[[], None]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Parse, measure in turns, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled:imdb-sentiment-transformer")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--reviews", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 16, 64])
    parser.add_argument("--cache-dir", type=Path)
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    texts = reviews(arguments.data, arguments.reviews)
    stages = Stages(
        sources=Sources(SourceOptions()),
        policy=Policy(),
        load=LoadOptions(cache_dir=arguments.cache_dir, precision=arguments.precision),
        observe=lambda _: None,
    )
    opened = open_model("benchmark", ModelRef.parse(arguments.model), stages)
    classifier = opened.classifier
    print(f"opened in {opened.seconds:.2f} s, {classifier.capacity}")
    events: dict[str, list[BatchRun]] = {}
    figures: dict[str, list[tuple[float, float]]] = {}

    def record(name: str, work: Callable[[], None]) -> None:
        figures.setdefault(name, []).append(measured(work))

    offline(classifier, texts[: len(texts) // 4])
    for _ in range(arguments.rounds):
        record("offline", lambda: offline(classifier, texts))
        for clients in arguments.clients:
            heard = events.setdefault(f"engine {clients}", [])

            def tell(event: Event, heard: list[BatchRun] = heard) -> None:
                if isinstance(event, BatchRun):
                    heard.append(event)

            record(f"engine {clients}", lambda n=clients, tell=tell: asyncio.run(online(classifier, texts, n, tell)))
    report(figures, events, len(texts))


def report(figures: dict[str, list[tuple[float, float]]], events: dict[str, list[BatchRun]], count: int) -> None:
    """One line for each way."""
    base = statistics.median(wall for wall, _ in figures["offline"])
    for name, rounds in figures.items():
        wall, cpu = (statistics.median(each[index] for each in rounds) for index in (0, 1))
        line = f"{name:10s} {count / wall:7.1f} reviews/s, {cpu / count * 1e3:5.1f} ms cpu/review"
        line += f", {base / wall:5.2f} of offline"
        if batches := events.get(name):
            own, padded = sum(batch.tokens for batch in batches), sum(batch.padded_tokens for batch in batches)
            rows = sum(batch.rows for batch in batches) / len(batches)
            line += f", padding {1 - own / padded:.1%}, {rows:.1f} rows/batch, {own / len(batches):.0f} tokens/batch"
        print(line)
    print(f"largest resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
