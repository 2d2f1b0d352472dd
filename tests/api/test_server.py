"""The socket that workers share, and the server's end, whatever a model does meanwhile."""

import asyncio
import os
import threading

from starlette.types import Receive, Scope, Send

from matinee.api.guard import ConnectionLimits
from matinee.api.lifecycle import Lifecycle
from matinee.api.server import Server, ServerOptions, bind
from matinee.core.errors import MatineeError


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """An application that is never asked."""


def test_what_workers_share_never_blocks() -> None:
    """A copy of the listening socket is the same one to the kernel: made blocking, it blocks those who listen."""
    with bind("127.0.0.1", 0) as shared:
        assert not os.get_blocking(shared.fileno())
        with shared.dup():
            assert not os.get_blocking(shared.fileno())


def test_a_start_that_failed_ends_even_if_a_model_hangs() -> None:
    """As after a signal: a timer that the interpreter does not wait for ends the process at last."""
    options = ServerOptions(ConnectionLimits(), drain_seconds=1000, shutdown_seconds=1000)
    server = Server(_nothing, Lifecycle(failure=MatineeError("no model")), options)
    before = set(threading.enumerate())
    assert asyncio.run(server.on_tick(0))
    (timer,) = (each for each in threading.enumerate() if each not in before and isinstance(each, threading.Timer))
    timer.cancel()
    assert timer.daemon
