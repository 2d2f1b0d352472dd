"""The record in W&B: one run, every prediction in it, and never in the way of a request."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.monitor.stage import ONE, TWO, predicted

from matinee.core.events import ModelSwapped, RequestFailed
from matinee.monitor import wandb_log
from matinee.monitor.wandb_log import FIRST_PAUSE, WandbLog, WandbLogOptions

CLIENT = Path(__file__).parents[2] / "fakes" / "wandb_client"


class Desk:
    """A record with a stand-in for the client, what it counted, and what the client was told."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "told.jsonl"
        self.sent = 0.0
        self.dropped = 0.0

    def record(self, **options: Any) -> WandbLog:
        """A record that hands over twenty times a second."""
        patient = {"every_seconds": 0.05, "finish_seconds": 60.0}
        options = {**patient, "project": "films", "api_key": "canary-0123456789", **options}
        return WandbLog(WandbLogOptions(**options), self._count_sent, self._count_dropped)

    def told(self, what: str) -> list[dict[str, Any]]:
        """What the client was told, of one kind."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [document for document in map(json.loads, lines) if document["what"] == what]

    def until(self, happened: Callable[[], bool]) -> None:
        """Wait for it, half a minute at most."""
        ends = time.monotonic() + 30
        while not happened():
            assert time.monotonic() < ends
            time.sleep(0.02)

    def _count_sent(self, number: float) -> None:
        self.sent += number

    def _count_dropped(self, number: float) -> None:
        self.dropped += number


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """The stand-in is on the module path, here and in the worker process."""
    desk = Desk(tmp_path)
    monkeypatch.setenv("FAKE_WANDB_FILE", str(desk.file))
    sys.path.insert(0, str(CLIENT))
    yield desk
    sys.path.remove(str(CLIENT))


def test_many_predictions_make_one_run_that_is_finished(desk: Desk) -> None:
    """Each is a row as the original endpoint wrote it, and more; the aggregates come on top."""
    record = desk.record()
    record.observe(ModelSwapped(ONE, None, "start"))
    for _ in range(1_000):
        record.observe(predicted(positive=0.75))
    record.observe(predicted(TWO, positive=0.25, texts=3))
    record.observe(RequestFailed("films", "model_failed", 500))
    record.close()
    (start,) = desk.told("init")
    assert (start["project"], start["job_type"], start["key"]) == ("films", "inference", "canary-0123456789")
    rows = [row for row in desk.told("log") if "label" in row]
    assert len(rows) == 1_003
    first = {"negative": 0.25, "positive": 0.75, "label": "positive", "latency_ms": 20.0, "tokens": 100}
    assert first.items() <= rows[0].items()
    assert [row["version"] for row in (rows[0], rows[-1])] == ["v1", "v2"]
    (minute,) = [row for row in desk.told("log") if "minute/predictions" in row]
    assert minute["minute/predictions"] == 1_003
    assert minute["minute/latency_p95_ms"] == 20.0
    assert minute["minute/failures"] == 1
    assert round(minute["minute/share_negative"], 4) == round(3 / 1003, 4)
    assert len(desk.told("finish")) == 1
    assert (desk.sent, desk.dropped) == (1_004, 0)


def test_texts_are_recorded_only_when_asked_for(desk: Desk) -> None:
    """By default no text leaves the server; with a share, a table holds the sample."""
    for share in (0.0, 1.0):
        record = desk.record(text_share=share)
        record.observe(predicted())
        record.close()
        assert ("a secret opinion" in desk.file.read_text()) is (share == 1.0)
    (table,) = [row["minute/texts"] for row in desk.told("log") if "minute/texts" in row]
    assert table == [["a secret opinion", "positive", 0.9, "v1"]]


def test_a_dead_server_costs_a_counter(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """No run can be started: observing goes on, the queue stays bounded, what has no room is counted."""
    monkeypatch.setenv("FAKE_WANDB_TROUBLE", "init")
    record = desk.record(queue_rows=100)
    record.observe(predicted())
    desk.until(lambda: bool(desk.told("failed")))
    for _ in range(1_000):
        record.observe(predicted())
    assert desk.dropped >= 800
    record.close()
    assert desk.told("log") == []
    assert (desk.sent, desk.dropped) == (0, 1_001), "nothing is taken for sent that no run has"


def test_what_was_answered_before_the_run_could_begin_is_in_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows wait for a server that is away, and for one that is slow to begin."""
    monkeypatch.setenv("FAKE_WANDB_TROUBLE", "init")
    record = desk.record()
    for _ in range(5):
        record.observe(predicted())
    desk.until(lambda: bool(desk.told("failed")))
    monkeypatch.delenv("FAKE_WANDB_TROUBLE")
    desk.until(lambda: desk.sent == 5)
    record.close()
    assert len([row for row in desk.told("log") if "label" in row]) == 5
    assert desk.dropped == 0


def test_a_machine_without_room_for_the_worker_is_tried_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits meanwhile is not lost: the record begins when there is room."""
    with monkeypatch.context() as full:
        full.setattr(sys, "executable", str(desk.file.parent / "missing"))
        record = desk.record()
        record.observe(predicted())
        desk.until(lambda: record._pause > 2 * FIRST_PAUSE)  # the second attempt: the first one has failed
    desk.until(lambda: desk.sent == 1)
    record.close()
    assert (len([row for row in desk.told("log") if "label" in row]), desk.dropped) == (1, 0)


def test_a_server_that_hangs_holds_up_neither_requests_nor_the_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker takes no more: rows are dropped, and closing has a limit."""
    monkeypatch.setenv("FAKE_WANDB_TROUBLE", "log")
    record = desk.record(queue_rows=1_000, finish_seconds=0.2)
    for _ in range(20):
        record.observe(predicted(texts=100))
    desk.until(lambda: bool(desk.told("init")))
    for _ in range(200):
        record.observe(predicted(texts=100))
    assert desk.dropped > 0
    record.close()
    assert desk.told("finish") == []


def test_a_busy_server_is_rid_of_its_rows_and_they_are_recorded_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has them, and waits with the client's work until the server says that it is calm."""
    monkeypatch.setattr(wandb_log, "BUSY", -1.0)  # any server is busy
    record = desk.record()
    record.observe(predicted(texts=3))
    desk.until(lambda: desk.sent == 3)
    time.sleep(0.5)  # ten times of handing over
    assert desk.told("log") == []
    monkeypatch.setattr(wandb_log, "BUSY", 1_000.0)  # none is
    desk.until(lambda: len(desk.told("log")) == 3)
    record.close()


def test_the_worker_has_the_lowest_priority(desk: Desk) -> None:
    """It works when nobody else wants to, in the session of the server: the system weighs sessions first."""
    record = desk.record()
    record.observe(predicted())
    desk.until(lambda: desk.sent == 1)
    assert record._process is not None
    pid = record._process.pid
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    assert os.getsid(pid) == os.getsid(0)
    if sys.platform == "linux":
        assert os.sched_getscheduler(pid) == os.SCHED_IDLE
    record.close()
