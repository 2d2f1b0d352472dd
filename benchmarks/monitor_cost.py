"""What listening costs the event loop: processor time for each request, by observer.

    python -m benchmarks.monitor_cost

Processor time of the thread, not elapsed time, so that other work on the machine does not count. The record in W&B
is measured with a stand-in for the client (its own work happens in another process, with a low priority).
"""

import argparse
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.unit.monitor.stage import ONE, predicted

from matinee.core.events import BatchRun, Event, Observe
from matinee.monitor import LogOptions, configure_logging
from matinee.monitor.logs import log_events
from matinee.monitor.metrics import Metrics
from matinee.monitor.traces import Traces
from matinee.monitor.wandb_log import WandbLog, WandbLogOptions

CLIENT = Path(__file__).parents[1] / "tests" / "fakes" / "wandb_client"


def microseconds(observe: Observe, event: Event, times: int) -> float:
    """Processor time of one call, in microseconds; the best of five rounds."""
    observe(event)
    best = float("inf")
    for _ in range(5):
        began = time.thread_time()
        for _ in range(times):
            observe(event)
        best = min(best, time.thread_time() - began)
    return round(best / times * 1e6, 2)


def nobody(_: float) -> None:
    """A counter that nobody reads."""


class Silent:
    """An exporter of spans that sends nothing."""

    def export(self, _spans: object) -> None:
        """Nothing."""

    def shutdown(self) -> None:
        """Nothing."""


def measure(times: int) -> dict[str, float]:
    """One figure for each observer."""
    configure_logging(LogOptions(), io.StringIO())
    metrics, request = Metrics(), predicted()
    figures = {
        "metrics, a request": microseconds(metrics.observe, request, times),
        "metrics, a batch": microseconds(metrics.observe, BatchRun(ONE, 8, 900, 1000, 0.01), times),
        "log, requests not logged": microseconds(log_events(), request, times),
        "log, a line for each request": microseconds(log_events(requests=True), request, times),
    }
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FAKE_WANDB_FILE"] = f"{folder}/told.jsonl"
        sys.path.insert(0, str(CLIENT))
        record = WandbLog(WandbLogOptions(queue_rows=10_000_000), nobody, nobody)
        figures["record in W&B"] = microseconds(record.observe, request, times)
        record.close()
    traces = Traces("", Silent())
    figures["traces"] = microseconds(traces.observe, request, min(times, 2_000))
    traces.close()
    return figures


def main(arguments: Sequence[str] | None = None, tell: Callable[[str], None] = print) -> None:
    """Measure and print the figures as JSON, in microseconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10_000)
    tell(json.dumps(measure(parser.parse_args(arguments).times), indent=2))


if __name__ == "__main__":
    main()
