"""The record with the real W&B client, against the W&B server of the tests."""

import os
import sys
import time
from pathlib import Path

import pytest
from tests.fakes.wandb_server import WandbServer
from tests.unit.monitor.stage import predicted

from matinee.monitor.wandb_log import WandbLog, WandbLogOptions


class Counts:
    """What was sent and what was dropped."""

    def __init__(self) -> None:
        self.sent = 0.0
        self.dropped = 0.0

    def add_sent(self, number: float) -> None:
        """Handed over."""
        self.sent += number

    def add_dropped(self, number: float) -> None:
        """No room."""
        self.dropped += number


def test_ten_thousand_predictions_make_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows are on the server, in one finished run of the kind `inference`."""
    counts = Counts()
    with WandbServer() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        options = WandbLogOptions(project="films", folder=str(tmp_path), every_seconds=0.2, finish_seconds=300.0)
        record = WandbLog(options, counts.add_sent, counts.add_dropped)
        for _ in range(10_000):
            record.observe(predicted(positive=0.75))
        record.close()
        (run,) = server.runs
    rows = [row for row in run.history if "label" in row]
    assert len(rows) == 10_000
    assert rows[0]["negative"] == 0.25
    assert rows[0]["positive"] == 0.75
    assert run.state == "finished"
    assert (counts.sent, counts.dropped) == (10_000, 0)
    left = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert left < 100_000, "a server that runs for months would fill its disk"


def test_a_server_that_is_away_costs_a_counter_and_a_bounded_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens at the address: observing stays quick, and closing has its limit."""
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    counts = Counts()
    options = WandbLogOptions(
        folder=str(tmp_path), queue_rows=100, every_seconds=0.1, init_seconds=2.0, finish_seconds=1.0
    )
    record = WandbLog(options, counts.add_sent, counts.add_dropped)
    for _ in range(50):
        record.observe(predicted(texts=10))
        time.sleep(0.05)
    began = time.monotonic()
    record.close()
    assert time.monotonic() - began < 30
    assert (counts.sent, counts.dropped) == (0, 500)


def test_offline_leaves_a_folder_to_send_later(tmp_path: Path) -> None:
    """Without a server there is a run on the disk."""
    counts = Counts()
    options = WandbLogOptions(mode="offline", folder=str(tmp_path), every_seconds=0.1, finish_seconds=60.0)
    record = WandbLog(options, counts.add_sent, counts.add_dropped)
    record.observe(predicted())
    record.close()
    assert len(list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))) == 1
    assert counts.sent == 1


def test_the_client_s_own_process_gives_way(tmp_path: Path) -> None:
    """It works when nobody else wants to; the session that it begins has the lowest weight where sessions have one."""
    counts = Counts()
    options = WandbLogOptions(mode="offline", folder=str(tmp_path), every_seconds=0.1, finish_seconds=60.0)
    record = WandbLog(options, counts.add_sent, counts.add_dropped)
    record.observe(predicted())
    ends = time.monotonic() + 60
    while not counts.sent:
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert record._process is not None
    listed = Path(f"/proc/{record._process.pid}/task").glob("*/children")
    (core,) = [int(pid) for file in listed for pid in file.read_text().split()]
    assert os.getpriority(os.PRIO_PROCESS, core) == 19
    if sys.platform == "linux":
        assert {os.sched_getscheduler(int(task.name)) for task in Path(f"/proc/{core}/task").iterdir()} == {
            os.SCHED_IDLE
        }
    weight = Path(f"/proc/{core}/autogroup")
    assert not weight.exists() or weight.read_text().endswith(" nice 19\n")
    record.close()
