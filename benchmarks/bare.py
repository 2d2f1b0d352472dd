"""The linear model over HTTP beside a bare route of the same ASGI server that returns a constant of the same size.

    python benchmarks/bare.py --data test.parquet

Both run one process and read the same bodies; rounds in turns, 16 clients. Every review is computed (no answer cache);
a third server has the cache, as it is by default, and a fourth gets one-line texts.
"""

import argparse
import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import alone, machine, reviews
from catalog import MATINEE, Configuration
from servers import HERE, load, running

BARE = replace(MATINEE, name="bare route", start=("python", "bare_route.py"), health="/predict")
SETTINGS = {"MODEL": "bundled:imdb-sentiment-linear", "LOG_FORMAT": "json"}
UNCACHED = Configuration("uncached", SETTINGS | {"ANSWER_CACHE": "0"})


def main() -> None:
    """Measure, print, write `results/bare.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="Parquet file with a column `text`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--lock", help="a file that all who measure on this machine lock")
    options = parser.parse_args()
    texts = reviews(options.data, 1000)
    lines = [text[:100] for text in texts]
    runs = {
        "bare route, reviews": (BARE, Configuration(""), texts),
        "bare route, lines": (BARE, Configuration(""), lines),
        "linear, reviews": (MATINEE, UNCACHED, texts),
        "linear, lines": (MATINEE, UNCACHED, lines),
        "linear with its cache, reviews asked before": (MATINEE, Configuration("cached", SETTINGS), texts),
    }
    rates: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    with tempfile.TemporaryDirectory() as folder, alone(options.lock):
        bodies = Path(folder) / "bodies"
        for _ in range(options.rounds):
            for name, (server, configuration, chosen) in runs.items():
                bodies.write_text("\n".join(json.dumps({"text": text}) for text in chosen))
                with running(server, configuration, {}, Path(folder)) as process:
                    load(process.url, server, bodies, 16, 2)
                    rates[name].append(load(process.url, server, bodies, 16, options.seconds))
    for name, found in rates.items():
        values = [each["rps"] for each in found]
        print(f"| {name} | **{statistics.median(values):.0f}** ({min(values):.0f}-{max(values):.0f}) |")
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results/bare.json").write_text(json.dumps({"machine": machine(), "rates": rates}, indent=1) + "\n")


if __name__ == "__main__":
    main()
