"""Ten times more than the server can do: what is still answered, how soon the rest is refused, and are probes answered?

    python benchmarks/overload.py --data test.parquet --model bundled:imdb-sentiment-transformer

First wrk finds the capacity (64 clients, closed loop). Then ten times as many requests are sent on a fixed schedule,
whatever the answers, over as many connections as that takes. Goodput is what was answered with 200 in the second half,
when the queue stands. The senders share the machine with the server: their own processor time is printed beside it.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import alone, machine, reviews
from catalog import MATINEE, Configuration
from servers import HERE, load, running

CONNECTIONS = 8000
PROBE_EVERY = 0.1  # seconds


@dataclass
class Heard:
    """Moments of the good answers, latencies of the refusals and of the probes, in seconds."""

    good: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    probes: list[float] = field(default_factory=list)
    other: int = 0


def main() -> None:
    """Measure one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="Parquet file with a column `text`")
    parser.add_argument("--model", default="bundled:imdb-sentiment-transformer")
    parser.add_argument("--seconds", type=float, default=80)
    parser.add_argument("--lock", help="a file that all who measure on this machine lock")
    options = parser.parse_args()
    bodies = [json.dumps({"text": text}) for text in reviews(options.data, 1000)]
    settings = {"MODEL": options.model, "ANSWER_CACHE": "0", "LOG_FORMAT": "json"}
    with tempfile.TemporaryDirectory() as folder, alone(options.lock):
        work = Path(folder)
        (work / "bodies").write_text("\n".join(bodies))
        with running(MATINEE, Configuration("overload", settings), {}, work) as server:
            load(server.url, MATINEE, work / "bodies", 16, 3)
            capacity = load(server.url, MATINEE, work / "bodies", 64, 15)["rps"]
            cpu = time.process_time()
            heard = asyncio.run(flood(int(server.url.rpartition(":")[2]), bodies, 10 * capacity, options.seconds))
            cpu = (time.process_time() - cpu) / options.seconds
    half = [moment for moment in heard.good if options.seconds / 2 <= moment < options.seconds]
    goodput = len(half) / (options.seconds / 2)
    figures = {
        "capacity": capacity,
        "goodput": goodput,
        "ratio": goodput / capacity,
        "refusals": len(heard.refused),
        "refusal_ms": shown(heard.refused),
        "probe_ms": shown(heard.probes),
        "other": heard.other,
        "senders_cpu": cpu,
    }
    print(json.dumps(figures, indent=1))
    target = HERE / "results" / f"overload-{options.model.partition(':')[2]}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"machine": machine(), "settings": settings, **figures}, indent=1) + "\n")


def shown(seconds: list[float]) -> dict[str, float]:
    """Median, 99th percentile and largest, in milliseconds."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    return {
        "median": statistics.median(ordered) * 1e3,
        "p99": ordered[int(len(ordered) * 0.99)] * 1e3,
        "largest": ordered[-1] * 1e3,
    }


async def flood(port: int, bodies: list[str], rate: float, seconds: float) -> Heard:
    """Send `rate` requests a second for `seconds`; a probe asks for readiness all the while."""
    heard = Heard()
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    requests = [_request("POST /predict", body) for body in bodies]
    started = time.monotonic()
    tasks: set[asyncio.Task[None]] = set()
    probe = asyncio.create_task(_probe(port, heard))
    sent = 0
    while (now := time.monotonic() - started) < seconds:
        while sent < now * rate and len(tasks) < CONNECTIONS:
            task = asyncio.create_task(_ask(port, idle, random.choice(requests), heard, started))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
        await asyncio.sleep(0.002)
    probe.cancel()
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _, writer in idle:
        writer.close()
    return heard


async def _ask(
    port: int,
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]],
    request: bytes,
    heard: Heard,
    started: float,
) -> None:
    try:
        connection = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        begun = time.monotonic()
        status = await _exchange(connection, request)
    except (OSError, asyncio.IncompleteReadError):
        heard.other += 1
        return
    now = time.monotonic()
    if status == 200:
        heard.good.append(now - started)
    elif status == 429:
        heard.refused.append(now - begun)
    else:
        heard.other += 1
    idle.append(connection)


async def _probe(port: int, heard: Heard) -> None:
    connection = await asyncio.open_connection("127.0.0.1", port)
    while True:
        begun = time.monotonic()
        await _exchange(connection, _request("GET /readyz", ""))
        heard.probes.append(time.monotonic() - begun)
        await asyncio.sleep(PROBE_EVERY)


async def _exchange(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes) -> int:
    reader, writer = connection
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))
    return int(head[9:12])


def _request(line: str, body: str) -> bytes:
    data = body.encode()
    head = (
        f"{line} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


if __name__ == "__main__":
    main()
