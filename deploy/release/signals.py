"""A request to stop becomes an exception where the release can be taken back, and waits while it is taken back."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from deploy.release.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _raise(number: int, _frame: FrameType | None) -> None:
    for each in _SIGNALS:  # a second one must not cut off what the first one sets going
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(f"stopped by {signal.Signals(number).name}")


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, SIGINT, SIGTERM and SIGHUP raise `Interrupted`."""
    before = {number: signal.signal(number, _raise) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held_off() -> Iterator[None]:
    """Within, a second signal changes nothing: what runs here takes the release back."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
