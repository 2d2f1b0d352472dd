"""What the record in W&B costs: the same server with and without it, in turns, on the same machine.

    python -m benchmarks.record
    python -m benchmarks.record --rounds 4 --seconds 30     # longer than the record puts its work off

The real client sends to the W&B server of the tests, which runs in a process of its own with a low priority: in real
life it is on another machine, and must not slow down the clients here. Both servers run all the time and get the same
requests in short rounds, first the one, then the other, in the next pair the other way round; a round begins when the
record has nothing left to do. What counts is the ratio within a pair: other work on the machine comes and goes more
slowly. Beside it stands the processor time that the server process spends on a request, and that of the record's own
processes for each prediction, which other work hardly changes.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from benchmarks.swaps import MODEL, Ledger, client, make_versions, serving, until_ready
from tests.fakes.wandb_server import WandbServer

QUIET_SECONDS = 3


@dataclass
class Side:
    """One server, and what its rounds came to."""

    port: int
    pid: int
    answers: int = 0
    per_second: list[float] = field(default_factory=list)
    microseconds: list[float] = field(default_factory=list)
    helpers: list[float] = field(default_factory=list)  # processors that the record takes while clients ask


def registry(pipe: Connection) -> None:
    """The W&B server: tells its address, and when asked, how many runs and predictions it has."""
    os.nice(19)
    with WandbServer() as server:
        pipe.send(server.environment())
        pipe.recv()
        pipe.send((len(server.runs), sum(1 for run in server.runs for row in run.history if "label" in row)))


@contextmanager
def registry_elsewhere() -> Iterator[Connection]:
    """The W&B server in a process of its own; first its address comes out of the pipe."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=registry, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours
    finally:
        process.join(10)
        process.kill()


def below(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    children = [
        int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()
    ]
    return [*children, *(each for child in children for each in below(child))]


async def until_idle(pid: int) -> None:
    """Wait until what the process has started has had nothing to do for a while: it must not work in the other's turn.

    The record begins when the server has been calm for a second.
    """
    quiet, before = 0, -1.0
    while quiet < QUIET_SECONDS:
        now = below_seconds(pid)
        quiet = quiet + 1 if now <= before + 0.02 else 0
        before = now
        await asyncio.sleep(1.0)


def below_seconds(pid: int) -> float:
    """Processor time so far of what a process has started."""
    return sum(map(processor_seconds, below(pid)))


def processor_seconds(pid: int) -> float:
    """Processor time of a process so far, all its threads, none of its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def one_round(side: Side, known: dict[str, list[dict[str, float]]], clients: int, seconds: float) -> None:
    """Ask one of the servers for so many seconds."""
    ledgers = [Ledger()]
    before, helpers = processor_seconds(side.pid), below_seconds(side.pid)
    tasks = [asyncio.create_task(client(side.port, number, known, ledgers)) for number in range(clients)]
    await asyncio.sleep(seconds)
    side.helpers.append((below_seconds(side.pid) - helpers) / seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    answers, used = len(ledgers[0].answers), processor_seconds(side.pid) - before
    assert not ledgers[0].failed, ledgers[0].failed[:3]
    await until_idle(side.pid)
    side.answers += answers
    side.per_second.append(answers / seconds)
    side.microseconds.append(used / answers * 1e6)


async def measure(folder: Path, rounds: int, clients: int, seconds: float) -> dict[str, float]:
    """Run all rounds and return the figures."""
    known = await asyncio.to_thread(make_versions, folder, MODEL)
    common = {"MODELS": f"films={folder / 'one'}", "POLL_SECONDS": "0"}
    with registry_elsewhere() as pipe:
        recorded = {**common, **pipe.recv(), "WANDB_LOG": "true", "CACHE_DIR": str(folder / "recorded")}
        with serving(folder, **common) as plain, serving(folder, **recorded) as recording:
            sides = (Side(*plain), Side(*recording))
            for side in sides:
                await until_ready(side.port)
                await one_round(side, known, clients, 2.0)
            for side in sides:
                side.per_second.clear()
                side.microseconds.clear()
                side.helpers.clear()
            spent, told = below_seconds(recording[1]), sides[1].answers
            for number in range(rounds):
                for side in sides if number % 2 else reversed(sides):
                    await one_round(side, known, clients, seconds)
            spent = (below_seconds(recording[1]) - spent) / (sides[1].answers - told)
            await asyncio.sleep(20)  # the client sends what it has every 15 seconds
        pipe.send("how many?")
        runs, rows = pipe.recv()
    without, with_it = sides
    ratios = sorted(b / a for a, b in zip(without.per_second, with_it.per_second, strict=True))
    return {
        "rounds": rounds,
        "per_second_without": round(median(without.per_second), 1),
        "per_second_with": round(median(with_it.per_second), 1),
        "throughput_ratio": round(median(ratios), 4),
        "throughput_ratio_lowest": round(ratios[0], 4),
        "throughput_ratio_highest": round(ratios[-1], 4),
        "microseconds_without": round(median(without.microseconds), 1),
        "microseconds_with": round(median(with_it.microseconds), 1),
        "processor_ratio": round(median(with_it.microseconds) / median(without.microseconds), 4),
        "record_microseconds": round(spent * 1e6, 1),
        "record_processors_meanwhile": round(median(with_it.helpers), 3),
        "runs": runs,
        "rows": rows,
        "predictions": with_it.answers,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12, help="pairs of rounds")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one round")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder), given.rounds, given.clients, given.seconds))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
