"""A record of every prediction in one long-lived W&B run per server process.

The W&B client works in a process of its own (`wandb_worker`) with a low priority: its cost for each row (some
0.2 ms) and its memory stay away from the requests, and a run is finished even when the server is killed. Here is
only what the server does for it: remember a tuple for each prediction, and once a second hand them over from
a thread, when the run has begun. While the other side is slow or away, rows wait; what finds no room is dropped and
counted.
"""

import os
import selectors
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from random import random
from typing import Any

from pydantic_core import to_json

from matinee.core.errors import MissingExtra
from matinee.core.events import Event, ModelSwapped, Predicted, RequestFailed

BATCH_ROWS = 500
BUSY = 0.5  # processors that the server takes: from there on the record waits
FIRST_PAUSE = 1.0
LONGEST_TEXT = 2_000

# Scores, label, seconds, tokens, model, version, text; or a row that is ready. The worker makes the first the second.
Row = tuple[Mapping[str, float], str, float, int, str, str, str | None] | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WandbLogOptions:
    """Where and how to record.

    `mode` is `online` or `offline` (then `folder` holds the run, for `wandb sync`). `queue_rows` bounds what waits,
    `text_share` is the share of texts that are recorded themselves: 0, for texts are personal data. The limits of
    starting and of finishing a run are in seconds.
    """

    project: str = "imdb-sentiment-api"
    entity: str = ""
    name: str = ""
    mode: str = "online"
    folder: str = ""
    api_key: str = field(default="", repr=False)
    config: Mapping[str, str] = field(default_factory=dict)
    queue_rows: int = 10_000
    text_share: float = 0.0
    every_seconds: float = 1.0
    init_seconds: float = 20.0
    finish_seconds: float = 4.0
    longest_pause: float = 60.0


class WandbLog:
    """Takes predictions from the event loop and hands them to the worker process; `sent` and `dropped` are counters."""

    def __init__(
        self, options: WandbLogOptions, sent: Callable[[float], None], dropped: Callable[[float], None]
    ) -> None:
        if find_spec("wandb") is None:
            raise MissingExtra("WANDB_LOG", "wandb")
        self._options = options
        self._sent = sent
        self._dropped = dropped
        self._run_id = uuid.uuid4().hex[:12]
        self._rows: deque[Row] = deque()
        self._failures = 0
        self._looked = (time.monotonic(), time.process_time())
        self._closing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = False
        self._pause = FIRST_PAUSE
        self._not_before = 0.0
        self._thread = threading.Thread(target=self._work, name="matinee-wandb-log", daemon=True)
        self._thread.start()

    # --- on the event loop ----------------------------------------------------------------------------------

    def observe(self, event: Event) -> None:
        """Remember what is worth a row; a few microseconds."""
        if isinstance(event, Predicted):
            self._predicted(event)
        elif isinstance(event, RequestFailed):
            self._failures += 1
        elif isinstance(event, ModelSwapped):
            self._add({"swap": event.model.version, "cause": event.cause, "digest": event.model.digest})

    def _predicted(self, event: Predicted) -> None:
        model, share = event.model, self._options.text_share
        for position, prediction in enumerate(event.predictions):
            sampled = share and random() < share  # noqa: S311 - a sample
            text = event.texts[position][:LONGEST_TEXT] if sampled else None
            self._add(
                (prediction.scores, prediction.label, event.seconds, prediction.tokens, model.name, model.version, text)
            )

    def _add(self, row: Row) -> None:
        if len(self._rows) >= self._options.queue_rows:
            self._dropped(1)
        else:
            self._rows.append(row)

    # --- in the thread --------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._closing.wait(self._options.every_seconds):
            self._hand_over(0.0)
        ends = time.monotonic() + self._options.finish_seconds + 1.0
        self._hand_over(self._options.finish_seconds + 1.0)
        self._dropped(len(self._rows))
        self._end(ends - time.monotonic())

    def _hand_over(self, patience: float) -> None:
        """Tell how busy the server is and hand over what waits, if the run begins within `patience` seconds."""
        if not (self._rows or self._begun) or not self._worker_runs() or not self._run_has_begun(patience):
            return
        failures, self._failures = self._failures, 0
        self._write({"failures": failures, "busy": self._server_is_busy()})
        while self._rows:
            rows = [self._rows.popleft() for _ in range(min(len(self._rows), BATCH_ROWS))]
            if not self._write({"rows": rows}):
                self._dropped(len(rows))
                return
            self._sent(len(rows))

    def _server_is_busy(self) -> bool:
        """Whether this process has needed much of a processor since the last look."""
        (wall, used), self._looked = self._looked, (time.monotonic(), time.process_time())
        return self._looked[1] - used > BUSY * (self._looked[0] - wall)

    def _worker_runs(self) -> bool:
        if self._process is not None and self._process.poll() is None:
            return True
        restart = self._process is not None
        if time.monotonic() < self._not_before or (restart and self._closing.is_set()):
            return False
        self._close_pipes()
        self._not_before = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, self._options.longest_pause)
        try:
            self._start()
        except OSError:  # the machine has no room for a process now
            return False
        return True

    def _run_has_begun(self, patience: float) -> bool:
        stream = self._process.stdout if self._process else None
        if not self._begun and stream is not None:
            with selectors.DefaultSelector() as selector:
                selector.register(stream, selectors.EVENT_READ)
                said = os.read(stream.fileno(), 100) if selector.select(patience) else b""
            self._begun = bool(said)  # at the end of a worker that could not begin, nothing is read
            self._pause = FIRST_PAUSE if self._begun else self._pause
        return self._begun

    def _start(self) -> None:
        options = asdict(self._options)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        environment.pop("PROMETHEUS_MULTIPROC_DIR", None)  # the worker counts nothing
        if key := options.pop("api_key"):
            environment["WANDB_API_KEY"] = key
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "matinee.monitor.wandb_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            process_group=0,  # a Ctrl-C is for the server; a session of its own would make its low priority void
        )
        self._begun = False
        self._write({"run": self._run_id, **options})

    def _write(self, document: Mapping[str, Any]) -> bool:
        stream = self._process.stdin if self._process else None
        if stream is None:
            return False
        try:
            stream.write(to_json(document) + b"\n")  # a fifth of the time of the standard library's
            stream.flush()
        except (OSError, ValueError):
            return False
        return True

    def _end(self, seconds: float) -> None:
        """Close the worker's input, so that it finishes the run; end it when that takes longer than `seconds`."""
        self._close_pipes()
        if self._process is None:
            return
        try:
            self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout) if self._process else ():
            if pipe is not None:
                with suppress(OSError):  # what it did not take is lost with it
                    pipe.close()

    # --- from anywhere --------------------------------------------------------------------------------------

    def close(self) -> None:
        """Hand over the rest and finish the run; blocking, for a little more than `finish_seconds` at most."""
        self._closing.set()
        self._thread.join(self._options.finish_seconds + 2.0)
        if self._thread.is_alive() and self._process is not None:
            self._process.kill()  # it holds up the thread by not reading
            self._thread.join(1.0)
