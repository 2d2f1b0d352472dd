"""Measure matinee beside the servers one would pick instead: the same model file, the same reviews, interleaved rounds.

First every configuration of every peer is tried for a few seconds at 16 clients; each peer goes on with its best one.
Then come the rounds: in each, every server is started, asked for the answers that all must agree on, warmed up,
and loaded with 1, 16 and 64 clients. Results go to `results/<name>.json`; `report.py` makes the table and picture.
`--lock` names a file that is locked during the scouting and each round, where others measure on the same machine.
"""

import argparse
import fcntl
import json
import platform
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from catalog import MATINEE, PEERS, Configuration, Server
from model_files import prepare
from servers import HERE, ask, load, pss_megabytes, running

CLIENTS = (1, 16, 64)


def main() -> None:
    """Run the matrix."""
    options = _options()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    texts = reviews(options.data, options.reviews)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        model = prepare(options.model, work / "model", texts[:16], same=options.same_file)
        result: dict[str, Any] = {
            "machine": machine(),
            "model": options.model,
            "settings": {key: value for key, value in vars(options).items() if key != "lock"},
        }
        result["settings"]["data"] = Path(options.data).name
        matrix = Matrix(texts, model, work, options)
        target = HERE / "results" / f"{options.name}.json"
        target.parent.mkdir(exist_ok=True)
        with alone(options.lock):
            peers = matrix.scout([peer for peer in PEERS if not options.only or peer.name.split()[0] in options.only])
        result["scouting"], result["rounds"] = matrix.scouted, []
        ours = [(MATINEE, configuration) for configuration in matinee_configurations(model["BUNDLE"])]
        for _ in range(options.rounds):
            with alone(options.lock):
                result["rounds"].append(matrix.round([*ours, *peers]))
            target.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {target.relative_to(HERE.parent)}; python benchmarks/report.py {options.name} makes the table")


@contextmanager
def alone(lock: str | None) -> Iterator[None]:
    """Hold the lock that others on this machine respect; a server that they keep busy answers more slowly."""
    if lock is None:
        yield
        return
    with Path(lock).open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def matinee_configurations(bundle: str) -> tuple[Configuration, ...]:
    """The transformer alone and the cascade, without the answer cache; and the defaults, as a user gets them."""
    plain = {"ANSWER_CACHE": "0", "LOG_FORMAT": "json"}
    return (
        Configuration("transformer", {"MODEL": bundle, "OVERFLOW": "truncate", **plain}),
        Configuration("cascade", {"MODEL": "bundled:imdb-sentiment", **plain}),
    )


class Matrix:
    """Everything that the runs share."""

    def __init__(self, texts: list[str], model: dict[str, str], work: Path, options: argparse.Namespace) -> None:
        self.texts = texts
        self.model = model
        self.work = work
        self.options = options
        self.scouted: list[dict[str, Any]] = []

    def scout(self, peers: list[Server]) -> list[tuple[Server, Configuration]]:
        """The quickest configuration of each peer."""
        best: dict[str, tuple[float, Server, Configuration]] = {}
        for server in peers:
            for configuration in server.configurations:
                figures = self._try(server, configuration, (16,), self.options.scout_seconds)
                rps = figures["16"]["rps"] if figures else 0.0
                self.scouted.append({"server": server.name, "configuration": configuration.name, "rps": rps})
                print(f"  {server.name:18} {configuration.name:38} {rps:8.1f} requests/s", flush=True)
                family = server.name.split()[0]
                if family not in best or rps > best[family][0]:
                    best[family] = (rps, server, configuration)
        return [(server, configuration) for rps, server, configuration in best.values() if rps]

    def round(self, entries: list[tuple[Server, Configuration]]) -> dict[str, Any]:
        """Every server once, in random order."""
        figures: dict[str, Any] = {}
        for server, configuration in random.sample(entries, len(entries)):
            name = f"{server.name} · {configuration.name}"
            figures[name] = self._try(server, configuration, CLIENTS, self.options.seconds)
            line = "  ".join(
                f"{c}: {f['rps']:.1f}/s p50 {f['p50']:.1f} ms" for c, f in (figures[name] or {}).items() if c.isdigit()
            )
            print(f"  {name:55} {line}", flush=True)
        return figures

    def _try(
        self, server: Server, configuration: Configuration, clients: tuple[int, ...], seconds: float
    ) -> dict[str, Any] | None:
        work = Path(tempfile.mkdtemp(dir=self.work))
        bodies = work / "bodies"
        bodies.write_text("\n".join(server.body(text) for text in self.texts))
        try:
            with running(server, configuration, self.model, work) as server_process:
                url = server_process.url
                answers = [ask(url, server, text) for text in self.texts[:32]]
                load(url, server, bodies, 16, min(3.0, seconds))
                figures: dict[str, Any] = {str(n): load(url, server, bodies, n, seconds) for n in clients}
                return figures | {"answers": answers, "pss": pss_megabytes(server_process.mark)}
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            print(f"  {server.name} · {configuration.name}: {str(error)[-600:]}", flush=True)
            return None


def reviews(data: str, count: int) -> list[str]:
    """`count` reviews of the file, drawn with a fixed seed."""
    from pyarrow import parquet

    texts: list[str] = parquet.read_table(data, columns=["text"]).column("text").to_pylist()
    return random.Random(5).sample(texts, count)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpu = Path("/proc/cpuinfo").read_text()
    flags = set(next(line for line in cpu.splitlines() if line.startswith("flags")).split())
    features = sorted(flags & {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8"})
    name = next(line for line in cpu.splitlines() if line.startswith("model name")).partition(": ")[2]
    cores = cpu.count("processor\t")
    return {
        "cpu": name,
        "cores": cores,
        "features": features,
        "python": platform.python_version(),
        "time": time.strftime("%Y-%m-%d"),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="Parquet file with a column `text`")
    parser.add_argument("--model", default="bundled:imdb-sentiment-transformer", help="reference of an ONNX bundle")
    parser.add_argument("--name", default="servers", help="name of the result")
    parser.add_argument("--reviews", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6, help="of each load")
    parser.add_argument("--scout-seconds", type=float, default=4)
    parser.add_argument("--only", nargs="*", help="these peers alone")
    parser.add_argument("--same-file", action="store_true", help="peers serve the bundle's file, not a quicker form")
    parser.add_argument("--lock", help="a file that all who measure on this machine lock")
    return parser.parse_args()


if __name__ == "__main__":
    main()
