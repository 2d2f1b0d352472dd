"""What the W&B worker has read and not yet recorded: it waits while the server needs the processor."""

import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

WAITING_ROWS = 10_000
MOST_ROWS = 20_000
LONGEST_WAIT = 15.0  # seconds; the client itself sends no more often


class Backlog:
    """Documents from a stream of JSON lines, one after the other, each when the server leaves room for it.

    A document with `busy` says how the server is. While it is busy, up to `WAITING_ROWS` rows wait, each for
    `LONGEST_WAIT` at most; they are read all the same, so that they outlive the server. From `MOST_ROWS` on nothing
    more is read. A last line that was cut off, by the end of the server, is left out.
    """

    def __init__(self, stream: Iterable[str]) -> None:
        self._stream = stream
        self._waiting: deque[tuple[float, Mapping[str, Any]]] = deque()
        self._rows = 0
        self._busy = False
        self._ended = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, name="matinee-wandb-backlog", daemon=True).start()

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Every document, until the stream has ended."""
        while (document := self._next()) is not None:
            yield document

    def _next(self) -> Mapping[str, Any] | None:
        with self._changed:
            while not self._is_time():
                self._changed.wait(1.0)
            if not self._waiting:
                return None
            _, document = self._waiting.popleft()
            self._rows -= len(document.get("rows", ()))
            self._changed.notify_all()
            return document

    def _is_time(self) -> bool:
        if self._ended:
            return True
        if not self._waiting:
            return False
        waited = time.monotonic() - self._waiting[0][0]
        return not self._busy or self._rows > WAITING_ROWS or waited > LONGEST_WAIT

    def _read(self) -> None:
        try:
            for line in self._stream:
                if line.endswith("\n"):
                    self._add(json.loads(line))
        finally:  # whatever happened, the run is to be finished
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _add(self, document: Mapping[str, Any]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._rows < MOST_ROWS)
            self._busy = document.get("busy", self._busy)
            self._rows += len(document.get("rows", ()))
            self._waiting.append((time.monotonic(), document))
            self._changed.notify_all()
