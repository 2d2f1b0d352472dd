"""Our end of a client process: one registry client in a process of its own, asked in JSON lines, ended from outside.

No client library has time limits for everything it does (wandb's waits without end for a file that stalls), and
none gives back the memory and the threads it took; a process that can be killed gives both.
"""

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any

from matinee.core import errors
from matinee.core.errors import MatineeError, SourceUnavailable
from matinee.sources.processes import end
from matinee.sources.source import SourceOptions

_TICK_SECONDS = 0.2
_START_SECONDS = 60.0  # imports of the client library, on a machine that is busy
_MAX_REPLY_BYTES = 4 * 1024 * 1024
# MLflow decides while it is imported; its thread for telemetry changes the environment while a request reads it, which
# fails now and then (`KeyError: '_MLFLOW_TELEMETRY_SESSION_ID'`, 3.17).
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true"}


class ClientProcess:
    """A running `matinee.sources.worker` with one source in it; `workspace` gives it a private temporary folder."""

    def __init__(self, source: str, options: SourceOptions, workspace: AbstractContextManager[Path]) -> None:
        self._source = source
        self._ending = ExitStack()
        self.workspace = self._ending.enter_context(workspace)
        self._buffer = b""
        self._is_started = False
        self._is_behind = False
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "matinee.sources.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**_QUIET, **os.environ, "TMPDIR": str(self.workspace)},
                start_new_session=True,  # so that helpers which the client starts end with it
            )
        except OSError as error:
            self._ending.close()
            raise SourceUnavailable(f"{source}: no process can be started for its client: {error.strerror}") from error
        self._send({"source": source, "options": _plain(options), "workspace": str(self.workspace)})

    @property
    def is_usable(self) -> bool:
        """Running, and not behind with an answer; it ends by itself when nothing was asked for a while."""
        return not self._is_behind and self._process.poll() is None

    def ask(self, request: dict[str, Any], seconds: float, tick: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Send a request and wait for its reply; `tick` is called a few times a second and may raise to give up.

        Raises the error that the source raised over there, and `SourceUnavailable` when time is up or it crashed.
        """
        if not self._is_started:
            self._reply(_START_SECONDS, lambda: None)
            self._is_started = True
        self._send(request)
        return self._reply(seconds, tick)

    def close(self) -> None:
        """Kill the client and everything that it started, and remove its temporary files."""
        end(self._process.pid)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._ending.close()

    def _send(self, message: dict[str, Any]) -> None:
        pipe = self._process.stdin
        if pipe is None:
            return
        with suppress(BrokenPipeError):  # it ended; the reply that does not come says so
            pipe.write(json.dumps(message).encode() + b"\n")
            pipe.flush()

    def _reply(self, seconds: float, tick: Callable[[], None]) -> dict[str, Any]:
        self._is_behind = True
        reply: dict[str, Any] = json.loads(self._line(time.monotonic() + seconds, tick))
        self._is_behind = False
        if "error" in reply:
            raise _rebuilt(reply["error"], reply["message"])
        return reply

    def _line(self, deadline: float, tick: Callable[[], None]) -> bytes:
        pipe = self._process.stdout
        if pipe is None:
            raise SourceUnavailable(f"the {self._source} client has no way to answer")
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if time.monotonic() > deadline:
                    raise SourceUnavailable(f"{self._source}: the registry's client did not answer in time")
                if selector.select(_TICK_SECONDS):
                    self._read(pipe.fileno())
                tick()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _read(self, descriptor: int) -> None:
        received = os.read(descriptor, 65536)
        self._buffer += received
        if not received or len(self._buffer) > _MAX_REPLY_BYTES:
            raise SourceUnavailable(f"{self._source}: the registry's client ended without an answer")


def _rebuilt(name: str, message: str) -> MatineeError:
    """The error that was raised in the other process: its class by name, its sentence as it was."""
    kind = getattr(errors, name, SourceUnavailable)
    error: MatineeError = kind.__new__(kind)
    Exception.__init__(error, message)
    return error


def _plain(options: SourceOptions) -> dict[str, Any]:
    """The options that a source over there needs, as JSON."""
    names = ("resolve_seconds", "pull_seconds", "max_bytes", "max_files", "wandb_api_key")
    return {name: getattr(options, name) for name in names}
