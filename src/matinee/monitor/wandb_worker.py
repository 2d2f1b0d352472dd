"""The process that talks to W&B: `python -m matinee.monitor.wandb_worker`, started by `wandb_log`.

Reads lines of JSON: first the options, then rows, until its input ends; then it finishes the run. It writes one line
when the run has begun: before that, it is sent nothing that could get lost. It ignores the signals that end the
server, because the server closes its input when it goes.
"""

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from matinee.monitor.wandb_backlog import Backlog

MINUTE = 60.0
READY = b"ready\n"
MOST_LABELS = 20
MOST_TEXTS = 100  # in the table of one minute


class Minute:
    """Figures over one minute."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.latencies: list[float] = []
        self.labels: Counter[str] = Counter()
        self.tokens = 0
        self.failures = 0
        self.texts: list[list[Any]] = []

    def add(self, row: Mapping[str, Any], text: str | None) -> None:
        """Count one prediction."""
        self.latencies.append(row["latency_ms"])
        self.labels[row["label"]] += 1
        self.tokens += row["tokens"]
        if text is not None and len(self.texts) < MOST_TEXTS:
            self.texts.append([text, row["label"], row.get(row["label"]), row["version"]])

    def figures(self) -> dict[str, float]:
        """What the minute comes to; empty when nothing happened."""
        count = len(self.latencies)
        if not count and not self.failures:
            return {}
        figures: dict[str, float] = {
            "minute/predictions": count,
            "minute/failures": self.failures,
            "minute/tokens": self.tokens,
        }
        ranked = sorted(self.latencies)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)) if count else ():
            figures[f"minute/latency_{name}_ms"] = ranked[min(int(share * count), count - 1)]
        for label, number in self.labels.most_common(20):
            figures[f"minute/share_{label}"] = number / count
        return figures


def main() -> None:
    """Record what comes in, until nothing comes any more."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    _give_way()
    report = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever the client prints goes nowhere
    options = json.loads(sys.stdin.readline())
    run = _start(options)
    _calm_helpers()
    os.write(report, READY)
    _record(run, Backlog(sys.stdin))
    run.finish()


def _give_way() -> None:
    """Let the requests go first, whatever it costs the record; the client's process inherits it."""
    os.nice(19)
    if sys.platform == "linux":  # works when nobody else does, and makes room at once, not at the end of its turn
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _start(options: Mapping[str, Any]) -> Any:
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # the client's figures about itself: 30 µs for each row
    import wandb

    settings = wandb.Settings(
        init_timeout=options["init_seconds"],
        finish_timeout=options["finish_seconds"],
        finish_timeout_raises=False,
        console="off",
        silent=True,
        disable_git=True,
        save_code=False,
        x_disable_meta=True,
        x_skip_transaction_log=options["mode"] == "online",  # a copy of every row on the disk, for as long as it runs
        x_disable_stats=True,
        x_server_side_derived_summary=True,  # here it is two fifths of what the client's process does for a row
    )
    return wandb.init(
        project=options["project"],
        entity=options["entity"] or None,
        name=options["name"] or None,
        id=options["run"],
        resume="allow" if options["mode"] == "online" else None,
        job_type="inference",
        mode=options["mode"],
        dir=options["folder"] or None,
        config=options["config"],
        settings=settings,
    )


def _calm_helpers() -> None:
    """Give way with the client's own process, too.

    It begins a session, and Linux shares the processor among sessions first (autogroups): in one of its own, a
    process with nice 19 gets as much as the whole server.
    """
    for listed in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended; or no autogroups here, as in most containers: nice is enough
            for child in listed.read_text().split():
                Path(f"/proc/{child}/autogroup").write_text("19")


def _record(run: Any, documents: Iterable[Mapping[str, Any]]) -> None:
    minute = Minute()
    for document in documents:
        minute.failures += document.get("failures", 0)
        for told in document.get("rows", ()):
            run.log(_prediction(told, minute) if isinstance(told, list) else told)
        if time.monotonic() - minute.began > MINUTE:
            _close_minute(run, minute)
            minute = Minute()
    _close_minute(run, minute)


def _prediction(told: list[Any], minute: Minute) -> dict[str, Any]:
    """A row as the original endpoint wrote it, the confidences by label, and more; see `wandb_log.Row`."""
    scores, label, seconds, tokens, model, version, text = told
    row: dict[str, Any] = dict(list(scores.items())[:MOST_LABELS])
    row |= {"label": label, "latency_ms": round(seconds * 1000, 3), "tokens": tokens}
    row |= {"version": version, "model": model}
    minute.add(row, text)
    return row


def _close_minute(run: Any, minute: Minute) -> None:
    figures: dict[str, Any] = dict(minute.figures())
    if minute.texts:
        import wandb

        figures["minute/texts"] = wandb.Table(columns=["text", "label", "score", "version"], data=minute.texts)
    if figures:
        run.log(figures)


if __name__ == "__main__":
    main()
