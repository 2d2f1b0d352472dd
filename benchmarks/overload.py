"""Ten times more than the server can do: what is still answered, how soon the rest is refused, and are probes answered?

    python benchmarks/overload.py --data test.parquet --model bundled:imdb-sentiment-transformer

First wrk finds the capacity (64 clients, closed loop). Then ten times as many requests are sent on a fixed schedule,
whatever the answers, over as many connections as that takes; what finds no free connection is not sent, so that the
rate that was really offered stands beside the answers. Goodput is what was answered with 200 in the second half, when
the queue stands. Latencies are those of an observer in a process of its own, with a thread for each of its connections:
the senders are too busy to tell when an answer came. All of them share the machine with the server: where the senders
take processor time that the server had while the capacity was measured, goodput is lower for that alone. So the
processor time (of one core) of both stands beside the figures.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from multiprocessing import get_context
from pathlib import Path
from typing import cast

import uvloop
from bench import alone, machine, reviews
from catalog import MATINEE, Configuration
from servers import HERE, Running, load, processes, running

CALM_SECONDS = 15.0
TICK = 0.002  # seconds between two bursts
OPENING = 64  # connections opened at once
PAUSE = 0.1  # seconds between two requests of one thread of the observer
ASKING = 16  # threads of the observer that ask the model
PROBES = ("/livez", "/readyz")


@dataclass
class Sent:
    """How many requests were sent, the moments of the good answers in seconds, and how many others came, by status."""

    requests: int = 0
    good: list[float] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def main() -> None:
    """Measure one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="Parquet file with a column `text`")
    parser.add_argument("--model", default="bundled:imdb-sentiment-transformer")
    parser.add_argument("--seconds", type=float, default=80)
    parser.add_argument("--times", type=float, default=10, help="the rate, in capacities")
    parser.add_argument("--connections", type=int, default=8000, help="the most that are opened")
    parser.add_argument("--lock", help="a file that all who measure on this machine lock")
    options = parser.parse_args()
    bodies = [json.dumps({"text": text}) for text in reviews(options.data, 1000)]
    settings = {"MODEL": options.model, "ANSWER_CACHE": "0", "LOG_FORMAT": "json"}
    with tempfile.TemporaryDirectory() as folder, alone(options.lock):
        work = Path(folder)
        (work / "bodies").write_text("\n".join(bodies))
        with running(MATINEE, Configuration("overload", settings), {}, work) as server:
            load(server.url, MATINEE, work / "bodies", 16, 3)
            before = _processor_seconds(server.mark)
            capacity = load(server.url, MATINEE, work / "bodies", 64, CALM_SECONDS)["rps"]
            calm_cpu = (_processor_seconds(server.mark) - before) / CALM_SECONDS
            figures = overload(server, bodies, capacity, options)
    figures["calm_server_cpu"] = calm_cpu
    print(json.dumps(figures, indent=1))
    target = HERE / "results" / f"overload-{options.model.partition(':')[2]}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"machine": machine(), "settings": settings, **figures}, indent=1) + "\n")


def overload(server: Running, bodies: list[str], capacity: float, options: argparse.Namespace) -> dict[str, object]:
    """Flood and observe; the figures."""
    port, mark, seconds = int(server.url.rpartition(":")[2]), server.mark, options.seconds
    rate = options.times * capacity
    with ProcessPoolExecutor(1, get_context("spawn")) as observer:
        seen = observer.submit(observe, port, bodies, seconds)
        own, theirs = time.process_time(), _processor_seconds(mark)
        sent = uvloop.run(Flood(port, bodies, rate, options.connections).run(seconds))
        own, theirs = time.process_time() - own, _processor_seconds(mark) - theirs
        observed = seen.result()
    goodput = sum(seconds / 2 <= moment < seconds for moment in sent.good) / (seconds / 2)
    return {
        "capacity": capacity,
        "offered": sent.requests / seconds,
        "goodput": goodput,
        "ratio": goodput / capacity,
        "others": dict(sent.others),
        "answer_ms": shown(observed.get("200", [])),
        "refusal_ms": shown(observed.get("429", [])),
        "probe_ms": {path: shown(observed.get(path, [])) for path in PROBES},
        "observer_failures": len(observed.get("failed", [])),
        "senders_cpu": own / seconds,
        "server_cpu": theirs / seconds,
    }


def shown(seconds: list[float]) -> dict[str, float]:
    """Number, median, 99th percentile and largest, in milliseconds."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    return {
        "number": len(ordered),
        "median": statistics.median(ordered) * 1e3,
        "p99": ordered[int(len(ordered) * 0.99)] * 1e3,
        "largest": ordered[-1] * 1e3,
    }


def _processor_seconds(mark: str) -> float:
    ticks = 0
    for pid in processes(mark):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / float(os.sysconf("SC_CLK_TCK"))


class Flood:
    """Sends `rate` requests a second over at most `connections` connections."""

    def __init__(self, port: int, bodies: list[str], rate: float, connections: int) -> None:
        self.sent = Sent()
        self.idle: list[Sender] = []
        self._port = port
        self._requests = [_request(body) for body in bodies]
        self._rate = rate
        self._left = connections
        self._opening = 0
        self.started = 0.0

    async def run(self, seconds: float) -> Sent:
        """Send for so many seconds; what is unanswered then does not count."""
        self.started = last = time.monotonic()
        owed = 0.0
        tasks: set[asyncio.Task[None]] = set()
        while (now := time.monotonic()) < self.started + seconds:
            owed, last = owed + (now - last) * self._rate, now
            while owed >= 1 and self.idle:
                self.idle.pop().ask(random.choice(self._requests))
                self.sent.requests += 1
                owed -= 1
            while owed >= 1 and self._left > 0 and self._opening < OPENING:
                self._left -= 1
                self._opening += 1
                task = asyncio.create_task(self._open())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                owed -= 1
            owed = min(owed, 1.0)
            await asyncio.sleep(TICK)
        return self.sent

    async def _open(self) -> None:
        """One more connection, and a first request on it."""
        try:
            loop = asyncio.get_running_loop()
            _, sender = await loop.create_connection(lambda: Sender(self), "127.0.0.1", self._port)
        except OSError:
            self.sent.others["no connection"] += 1
            self._left += 1
        else:
            self.sent.requests += 1
            sender.ask(random.choice(self._requests))
        finally:
            self._opening -= 1

    def lost(self) -> None:
        """The server closed a connection: another one may be opened."""
        self._left += 1


class Sender(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, flood: Flood) -> None:
        self._flood = flood
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to ask."""
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> None:
        """Send a request; the answer is counted when it is there."""
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Count a whole answer."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            return
        status, self._received = int(head[9:12]), b""
        if status == 200:
            self._flood.sent.good.append(time.monotonic() - self._flood.started)
        else:
            self._flood.sent.others[str(status)] += 1
        self._flood.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by the server, in whatever state."""
        if self in self._flood.idle:
            self._flood.idle.remove(self)
        self._flood.lost()


def _request(body: str) -> bytes:
    data = body.encode()
    head = f"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(data)}"
    return head.encode() + b"\r\n\r\n" + data


def observe(port: int, bodies: list[str], seconds: float) -> dict[str, list[float]]:
    """Latencies in seconds, by status for requests and by path for probes; it begins once the flood stands."""
    time.sleep(seconds / 4)
    ends = time.monotonic() + seconds / 2
    heard: dict[str, list[float]] = {}
    jobs = [(path, "") for path in PROBES] + [("/predict", body) for body in bodies[:ASKING]]
    threads = [threading.Thread(target=_observe_one, args=(port, path, body, ends, heard)) for path, body in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return heard


def _observe_one(port: int, path: str, body: str, ends: float, heard: dict[str, list[float]]) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"content-type": "application/json"}
    while (begun := time.monotonic()) < ends:
        try:
            connection.request("POST" if body else "GET", path, body or None, headers if body else {})
            response = connection.getresponse()
            response.read()
        except OSError:
            heard.setdefault("failed", []).append(time.monotonic() - begun)
            connection.close()
        else:
            heard.setdefault(str(response.status) if body else path, []).append(time.monotonic() - begun)
        time.sleep(PAUSE * random.uniform(0.5, 1.5))


if __name__ == "__main__":
    main()
