"""How the cost grows: more clients, longer texts, longer lists; and what a start and the memory come to.

    python benchmarks/growth.py --data test.parquet --model bundled:imdb-sentiment-transformer

Without the answer cache; wrk is the client. A second start counts from the start of the process to the first answer,
with the cache folder that an earlier start has filled. Prints one line for each kind of load, writes
`results/growth-<name>.json`.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import alone, machine, reviews
from catalog import MATINEE, Configuration
from servers import HERE, Running, ask, load, pss_megabytes, running
from tokenizers import Tokenizer

CLIENTS = (1, 4, 16, 64, 256)
LENGTHS = (32, 64, 128, 256, 512, 1000, 2000, 4000)
LISTS = (1, 10, 100, 1000)
STARTS = 5
WARM_SECONDS = 3.0


def main() -> None:
    """Measure one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="Parquet file with a column `text`")
    parser.add_argument("--model", default="bundled:imdb-sentiment-transformer")
    parser.add_argument("--seconds", type=float, default=6, help="of each load")
    parser.add_argument("--lock", help="a file that all who measure on this machine lock")
    options = parser.parse_args()
    texts = reviews(options.data, 1000)
    settings = {"MODEL": options.model, "ANSWER_CACHE": "0", "LOG_FORMAT": "json"}
    with tempfile.TemporaryDirectory() as folder, alone(options.lock):
        growth = Growth(texts, Configuration("growth", settings), Path(folder), options.seconds)
        figures = growth.measure()
    for kind, found in figures.items():
        print(f"{kind}: {json.dumps(found)}")
    target = HERE / "results" / f"growth-{options.model.partition(':')[2]}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"machine": machine(), "settings": settings, **figures}, indent=1) + "\n")


class Growth:
    """One configuration under one kind of load after the other."""

    def __init__(self, texts: list[str], configuration: Configuration, work: Path, seconds: float) -> None:
        self.texts = texts
        self.configuration = configuration
        self.work = work
        self.seconds = seconds

    def measure(self) -> dict[str, Any]:
        """Starts first, then the loads, all against one server."""
        starts = [self._start() for _ in range(STARTS + 1)][1:]
        with running(MATINEE, self.configuration, {}, self.work) as server:
            idle = pss_megabytes(server.mark)
            singles = [json.dumps({"text": text}) for text in self.texts]
            self._load(server, singles, 16, WARM_SECONDS)
            return {
                "clients": {n: self._load(server, singles, n, self.seconds) for n in CLIENTS},
                "lengths": {n: self._load(server, [self._long(n)], 4, self.seconds) for n in LENGTHS},
                "lists": {n: self._load(server, self._lists(n), 1, self.seconds) for n in LISTS},
                "memory_mb": {"after the start": idle, "after the loads": pss_megabytes(server.mark)},
                "second_start_seconds": {"median": statistics.median(starts), "all": starts},
            }

    def _start(self) -> float:
        started = time.monotonic()
        with running(MATINEE, self.configuration, {}, self.work) as server:
            ask(server.url, MATINEE, self.texts[0])
            return time.monotonic() - started

    def _load(self, server: Running, bodies: list[str], clients: int, seconds: float) -> dict[str, Any]:
        file = self.work / "bodies"
        file.write_text("\n".join(bodies))
        return load(server.url, MATINEE, file, clients, seconds)

    def _long(self, tokens: int) -> str:
        """A body with a text of so many tokens, cut from real reviews."""
        folder = HERE.parent / "src/matinee/bundled/imdb-sentiment-transformer"
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        encoding = tokenizer.encode(" ".join(self.texts[:80]), add_special_tokens=False)
        end = encoding.offsets[tokens - 3][1]  # two tokens stand around each text
        return json.dumps({"text": " ".join(self.texts[:80])[:end]})

    def _lists(self, size: int) -> list[str]:
        """Bodies with lists of so many reviews."""
        return [
            json.dumps({"texts": [self.texts[(start + offset) % len(self.texts)] for offset in range(size)]})
            for start in range(0, len(self.texts), max(size, 50))
        ]


if __name__ == "__main__":
    main()
