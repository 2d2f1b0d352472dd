"""What the W&B worker lets wait: all of it is kept in order, bounded, and recorded in the end."""

import json
import time
from collections.abc import Callable, Iterator
from queue import Queue
from typing import Any

import pytest

from matinee.monitor import wandb_backlog
from matinee.monitor.wandb_backlog import Backlog


class Pipe:
    """A stream of lines that knows how many were taken from it."""

    def __init__(self) -> None:
        self.lines: Queue[str] = Queue()
        self.taken = 0

    def __iter__(self) -> Iterator[str]:
        while line := self.lines.get():
            self.taken += 1
            yield line

    def tell(self, *documents: Any) -> None:
        """Write documents."""
        for document in documents:
            self.lines.put(json.dumps(document) + "\n")

    def end(self) -> None:
        """The server is gone."""
        self.lines.put("")


def until(happened: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    ends = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.005)


@pytest.fixture
def pipe() -> Pipe:
    """Where the server writes."""
    return Pipe()


@pytest.fixture
def backlog(pipe: Pipe) -> Iterator[Backlog]:
    """What reads it."""
    yield Backlog(pipe)
    pipe.end()


def rows(first: int, number: int = 1) -> dict[str, list[int]]:
    """A document with so many rows."""
    return {"rows": list(range(first, first + number))}


def is_held(backlog: Backlog, pipe: Pipe, lines: int) -> bool:
    """Whether so many lines were taken in, and none of them is to be recorded now."""
    until(lambda: pipe.taken == lines and len(backlog._waiting) == lines)
    return not backlog._is_time()


def test_a_calm_server_s_rows_come_at_once(backlog: Backlog, pipe: Pipe) -> None:
    """In the order in which they were written."""
    told = [{"busy": False}, rows(1), rows(2)]
    pipe.tell(*told)
    assert [backlog._next() for _ in told] == told


def test_a_busy_server_s_rows_wait_until_it_is_calm(backlog: Backlog, pipe: Pipe) -> None:
    """They are taken in all the same: the server gets rid of them."""
    pipe.tell({"busy": True}, rows(1), rows(2))
    assert is_held(backlog, pipe, 3)
    pipe.tell({"busy": False})
    assert [backlog._next() for _ in range(4)] == [{"busy": True}, rows(1), rows(2), {"busy": False}]


def test_nothing_waits_for_a_server_that_is_gone(backlog: Backlog, pipe: Pipe) -> None:
    """The rest is recorded, but for a line that was cut off; then the run can be finished."""
    pipe.tell({"busy": True}, rows(1))
    pipe.lines.put('{"rows": [2')
    pipe.end()
    assert list(backlog) == [{"busy": True}, rows(1)]


def test_a_line_that_is_none_of_ours_ends_the_stream(
    backlog: Backlog, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came before is recorded, and nobody waits for ever."""
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    pipe.tell({"busy": True}, rows(1))
    pipe.lines.put("no JSON\n")
    assert list(backlog) == [{"busy": True}, rows(1)]


def test_a_busy_server_s_rows_wait_no_longer_than_a_while(
    backlog: Backlog, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is busy all day is recorded all day."""
    pipe.tell({"busy": True}, rows(1))
    assert is_held(backlog, pipe, 2)
    monkeypatch.setattr(wandb_backlog, "LONGEST_WAIT", 0.0)
    assert [backlog._next(), backlog._next()] == [{"busy": True}, rows(1)]


def test_no_more_rows_wait_than_a_number(backlog: Backlog, pipe: Pipe) -> None:
    """Ten thousand predictions find room; one more, and the oldest are recorded."""
    batches = [rows(first, 500) for first in range(0, wandb_backlog.WAITING_ROWS, 500)]
    pipe.tell({"busy": True}, *batches)
    assert is_held(backlog, pipe, 1 + len(batches))
    pipe.tell(rows(-1))
    assert [backlog._next(), backlog._next()] == [{"busy": True}, batches[0]]
    assert not backlog._is_time()


def test_the_memory_has_a_bound(backlog: Backlog, pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """From there on nothing is taken in until something was recorded: the server's own queue fills, and it counts."""
    monkeypatch.setattr(wandb_backlog, "MOST_ROWS", 20)
    pipe.tell({"busy": True}, rows(0, 10), rows(10, 10), rows(20, 10), rows(30, 10))
    until(lambda: pipe.taken == 4)
    assert len(backlog._waiting) == 3
    monkeypatch.setattr(wandb_backlog, "WAITING_ROWS", 5)
    taken = [backlog._next() for _ in range(3)]
    assert taken[1:] == [rows(0, 10), rows(10, 10)]
    until(lambda: pipe.taken == 5)
