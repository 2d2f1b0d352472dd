"""Swap the version that answers again and again while clients ask: does anybody notice?

    python -m benchmarks.swaps --swaps 200

A server process follows a link to one of two versions of a small ONNX model, whose scores differ for every text.
Closed-loop clients ask without a pause and hold every answer against what the version named in it says. Each swap
is a whole one (pulled, verified, tried out in a process of its own, loaded, switched to, the old one closed) with
`--warm-seconds 0`; with the default the version before is still in memory, and only the pointer moves. Then as many
rollbacks follow, each timed from the request of the administrator to its answer.
"""

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from matinee.core.events import Event
from matinee.core.reference import ModelRef
from matinee.flavors import LoadOptions
from matinee.rollout import Stages, open_model
from matinee.sources import SourceOptions, Sources
from matinee.verify import Policy

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "tests" / "fixtures" / "tiny-onnx"
KEY = "benchmark-administrator"
TEXTS = [f"{word} film number {number}, I {verb} it" for number in range(10) for word, verb in
         (("wonderful", "love"), ("terrible", "hate"), ("boring", "left"))]  # fmt: skip
TOLERANCE = 0.01  # between an answer in a batch and the same text alone


@dataclass
class Ledger:
    """What the clients saw: when each good answer came and how long it took, and everything that was not good."""

    answers: list[tuple[float, float]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def p99_ms(self) -> float:
        """99th percentile of the latency, in milliseconds."""
        ranked = sorted(seconds for _, seconds in self.answers)
        return ranked[int(0.99 * (len(ranked) - 1))] * 1000 if ranked else 0.0

    def longest_silence_ms(self) -> float:
        """The longest time without any good answer, in milliseconds."""
        times = sorted(at for at, _ in self.answers)
        return max((b - a for a, b in pairwise(times)), default=0.0) * 1000


@dataclass
class Report:
    """The figures of one run."""

    swaps: int
    warm_seconds: float
    clients: int
    requests: int
    failed: int
    wrong: int
    steady_p99_ms: float
    swapping_p99_ms: float
    longest_silence_ms: float
    median_swap_seconds: float
    median_rollback_ms: float
    slowest_rollback_ms: float
    memory_mib: dict[int, float]  # by the number of swaps so far


def make_versions(folder: Path, model: Path = MODEL) -> dict[str, list[dict[str, float]]]:
    """Write versions `one` and `two` to `folder`; returns digest -> scores of every text of `TEXTS`."""
    known = {}
    for name, temperature in (("one", 1.5), ("two", 0.4)):
        shutil.copytree(model, folder / name)
        manifest = json.loads((folder / name / "matinee.json").read_text())
        manifest["calibration"] = {"temperature": temperature}
        manifest["examples"] = [{"text": e["text"], "label": e["label"]} for e in manifest["examples"]]
        (folder / name / "matinee.json").write_text(json.dumps(manifest))
        digest, scores = _scores(folder, name)
        known[digest] = scores
    first, second = known.values()
    assert all(abs(a["positive"] - b["positive"]) > 2 * TOLERANCE for a, b in zip(first, second, strict=True))
    return known


def _scores(folder: Path, name: str) -> tuple[str, list[dict[str, float]]]:
    def ignore(event: Event) -> None:
        pass

    sources = Sources(SourceOptions(cache_dir=folder / "cache-of-benchmark", settle_seconds=0))
    stages = Stages(sources, Policy(), LoadOptions(threads=1), ignore)
    opened = open_model(name, ModelRef.parse(str(folder / name)), stages)
    scores = []
    for text in TEXTS:
        encoded = opened.classifier.encode([text])[0]
        answer = encoded.answer or opened.classifier.finish(encoded, opened.classifier.run(encoded.rows))
        scores.append(dict(zip(opened.classifier.labels, answer.scores, strict=True)))
    opened.classifier.close()
    sources.close()
    return opened.identity.digest, scores


def point(folder: Path, name: str) -> None:
    """Let the alias `current` mean a version, at one stroke."""
    fresh = folder / ".current.new"
    fresh.symlink_to(folder / name)
    fresh.replace(folder / "current")


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[tuple[int, int]]:
    """A server process with these settings; yields its port and its process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "ADMIN_KEY": KEY, "ANSWER_CACHE": "0", "HOST": "127.0.0.1", "GATE_FLIPS": "1"}
    environment |= {
        "CACHE_DIR": str(folder / "cache"),
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "error"),
        "PORT": str(port),
        **settings,
    }
    process = subprocess.Popen([sys.executable, "-m", "matinee", "serve"], env=environment, cwd=folder)
    try:
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


async def request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, path: str, document: Any = None
) -> tuple[int, dict[str, str], Any]:
    """One request on a kept connection: status, headers (lower case), JSON."""
    body = b"" if document is None else json.dumps(document).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:]) if name}
    content = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(lines[0].split()[1]), headers, json.loads(content) if content else None


async def until_ready(port: int, seconds: float = 120.0) -> None:
    """Wait until the server says that it is ready."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                status, _, _ = await request(reader, writer, "GET", "/readyz")
                writer.close()
            except OSError:
                status = 0
            if status == 200:
                return
            await asyncio.sleep(0.1)


async def client(port: int, number: int, known: dict[str, list[dict[str, float]]], ledger: list[Ledger]) -> None:
    """Ask for ever; what comes is written to the ledger that is the last of the list at that moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            number = (number + 7) % len(TEXTS)
            began = time.perf_counter()
            status, headers, answer = await request(reader, writer, "POST", "/predict", {"text": TEXTS[number]})
            ended = time.perf_counter()
            if status != 200:
                ledger[-1].failed.append(f"{status}: {answer}")
                continue
            problem = _problem(headers, answer, known, number)
            ledger[-1].answers.append((ended, ended - began))
            if problem:
                ledger[-1].wrong.append(problem)
    finally:
        writer.close()


def _problem(headers: dict[str, str], answer: Any, known: dict[str, list[dict[str, float]]], number: int) -> str:
    """Why the answer is not what its version says; empty when it is."""
    model, scores = answer["model"], answer["predictions"][0]["scores"]
    expected = known[model["digest"]][number]
    if headers["x-matinee-version"] != model["version"]:
        return f"header {headers['x-matinee-version']}, body {model['version']}"
    if any(abs(scores[label] - score) > TOLERANCE for label, score in expected.items()):
        return f"{model['version']} says {scores} and should say {expected}"
    return ""


def pss_mib(pid: int) -> float:
    """Memory of a process with its share of what others use as well (PSS), in MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


async def measure(folder: Path, swaps: int, clients: int, warm_seconds: float, steady_seconds: float) -> Report:
    """Run the whole of it and return the figures."""
    known = make_versions(folder)
    point(folder, "one")
    settings = {"MODELS": f"films={folder / 'current'}", "POLL_SECONDS": "0", "WARM_SECONDS": str(warm_seconds)}
    with serving(folder, **settings) as (port, pid):
        await until_ready(port)
        ledgers = [Ledger()]
        tasks = [asyncio.create_task(client(port, number, known, ledgers)) for number in range(clients)]
        try:
            await asyncio.sleep(1.0)
            ledgers.append(Ledger())
            await asyncio.sleep(steady_seconds)
            ledgers.append(Ledger())
            seconds, memory = await _swap(folder, port, pid, swaps)
            rollbacks = await _roll_back(port, swaps if warm_seconds else 0)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    broken = [repr(outcome) for outcome in outcomes if not isinstance(outcome, asyncio.CancelledError)]
    return Report(
        swaps=swaps,
        warm_seconds=warm_seconds,
        clients=clients,
        requests=sum(len(ledger.answers) for ledger in ledgers),
        failed=len(broken) + sum(len(ledger.failed) for ledger in ledgers),
        wrong=sum(len(ledger.wrong) for ledger in ledgers),
        steady_p99_ms=ledgers[1].p99_ms(),
        swapping_p99_ms=ledgers[2].p99_ms(),
        longest_silence_ms=ledgers[2].longest_silence_ms(),
        median_swap_seconds=sorted(seconds)[len(seconds) // 2],
        median_rollback_ms=sorted(rollbacks)[len(rollbacks) // 2] if rollbacks else 0.0,
        slowest_rollback_ms=max(rollbacks, default=0.0),
        memory_mib={number: round(memory[number], 1) for number in range(0, swaps + 1, max(swaps // 10, 1))},
    )


async def _swap(folder: Path, port: int, pid: int, swaps: int) -> tuple[list[float], list[float]]:
    """Swap so many times; returns the seconds of each, and the memory before the first and after each."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    seconds, memory = [], [pss_mib(pid)]
    for number in range(swaps):
        point(folder, ("two", "one")[number % 2])
        began = time.perf_counter()
        status, _, answer = await request(reader, writer, "POST", "/models/films/reload")
        assert status == 200, answer
        seconds.append(time.perf_counter() - began)
        memory.append(pss_mib(pid))
        await asyncio.sleep(0.02)
    writer.close()
    return seconds, memory


async def _roll_back(port: int, times: int) -> list[float]:
    """Go back so many times, to and fro; returns the milliseconds of each."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    milliseconds = []
    for _ in range(times):
        began = time.perf_counter()
        status, _, answer = await request(reader, writer, "POST", "/models/films/rollback")
        assert status == 200, answer
        milliseconds.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.02)
    writer.close()
    return milliseconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=200)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--warm-seconds", type=float, default=600.0)
    parser.add_argument("--steady-seconds", type=float, default=5.0)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(
            measure(Path(folder), given.swaps, given.clients, given.warm_seconds, given.steady_seconds)
        )
    print(json.dumps(asdict(report), indent=2))


if __name__ == "__main__":
    main()
