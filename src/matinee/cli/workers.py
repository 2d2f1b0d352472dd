"""Several worker processes on one port: started, watched, replaced when one dies or freezes, stopped together.

The parent binds the socket, forks the workers and does nothing else, so that there is little in it that could fail.
A worker sends a heartbeat from its event loop; one that stays silent is killed like one that died. Workers are
forked before anything heavy is imported: model runtimes have threads, and threads do not survive a fork.
"""

import asyncio
import logging
import os
import selectors
import shutil
import signal
import socket
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from matinee.api.siblings import Obey
from matinee.core.errors import MatineeError
from matinee.settings import Settings

SILENCE_SECONDS = 10.0  # a worker whose event loop does nothing for so long is taken for frozen
FIRST_WORD_SECONDS = 60.0  # before its event loop turns it imports everything, on a machine that may be busy
RESTART_SECONDS = 1.0  # between two starts of one worker, so that one that dies at once does not eat the machine
LONGEST_MESSAGE = 64 * 1024
STOP_SECONDS = 3.0  # beyond draining and shutdown, before workers are killed
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus_client when it is imported

Run = Callable[["Line"], None]


class Messages:
    """What is to be told over a socket, in order; what finds no room there (ten messages, in a container) waits."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()

    def add(self, message: bytes) -> None:
        """Tell it when its turn comes; the same again, while it waits, says nothing new."""
        if message not in self._waiting:
            self._waiting.append(message)

    def send(self, sock: socket.socket) -> None:
        """Send as much as there is room for."""
        while self._waiting:
            try:
                sock.send(self._waiting[0], socket.MSG_DONTWAIT)
            except OSError:  # whoever listens is busy, or gone
                return
            self._waiting.popleft()


class Line:
    """A worker's end of its line to the parent; satisfies `matinee.api.siblings.Siblings`."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._parent = os.getppid()
        self._beats = 0
        self._untold = Messages()

    def beat(self) -> None:
        """Called ten times a second: one heartbeat a second, and a stop when the parent is gone."""
        self._beats += 1
        if self._beats % 10 == 0:
            self.tell("alive", "")
        self._untold.send(self._sock)
        if os.getppid() != self._parent:
            signal.raise_signal(signal.SIGTERM)

    def started(self) -> None:
        """The models are loaded."""
        self.tell("started", "")

    def tell(self, operation: str, subject: str) -> None:
        """The parent hands it on."""
        self._untold.add(f"{operation} {subject}".encode())
        self._untold.send(self._sock)

    def listen(self, obey: Obey) -> None:
        """Obey what the parent hands on."""

        def read() -> None:
            operation, _, subject = self._sock.recv(LONGEST_MESSAGE).decode().partition(" ")
            if operation:
                obey(operation, subject)

        asyncio.get_running_loop().add_reader(self._sock, read)


@dataclass(slots=True)
class Worker:
    """A child as its parent knows it; times are monotonic seconds. It must be heard before it is `due`."""

    pid: int
    sock: socket.socket
    born: float
    due: float
    started: bool = False
    untold: Messages = field(default_factory=Messages)


@dataclass(slots=True)
class Supervisor:
    """Keeps `count` workers alive; `run(line)` is what a worker does, and `ready` is called once all have started."""

    count: int
    run: Run
    ready: Callable[[], None]
    stop_seconds: float
    workers: list[Worker] = field(default_factory=list)
    stopping: bool = False
    status: int = 0
    announced: bool = False
    selector: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)

    def loop(self) -> int:
        """Supervise until told to stop; returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told)
        while not self.stopping:
            while len(self.workers) < self.count and not self.stopping:
                self._start()
            self._listen()
            self._bury()
            self._kill_silent()
        self._stop()
        return self.status

    def _told(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of a handler
        self.stopping = True

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        pid = os.fork()
        if pid == 0:
            ours.close()
            os._exit(_child(self.run, Line(theirs)))  # whatever happens: what is further up belongs to the parent
        theirs.close()
        now = time.monotonic()
        self.workers.append(Worker(pid, ours, born=now, due=now + FIRST_WORD_SECONDS))
        self.selector.register(ours, selectors.EVENT_READ, self.workers[-1])

    def _listen(self) -> None:
        for key, _ in self.selector.select(timeout=0.2):
            worker: Worker = key.data
            try:
                message = worker.sock.recv(LONGEST_MESSAGE)
            except OSError:
                continue
            worker.due = time.monotonic() + SILENCE_SECONDS
            if message == b"started ":
                worker.started = True
                self._announce()
            elif message != b"alive ":
                self._hand_on(worker, message)
        for worker in self.workers:
            worker.untold.send(worker.sock)

    def _announce(self) -> None:
        if not self.announced and all(worker.started for worker in self.workers):
            self.announced = True
            self.ready()

    def _hand_on(self, sender: Worker, message: bytes) -> None:
        for worker in self.workers:
            if worker is not sender:
                worker.untold.add(message)

    def _bury(self) -> None:
        """Forget the dead; one that could not even start ends everything with its own status."""
        for worker in list(self.workers):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if not pid:
                continue
            self._forget(worker)
            if not worker.started and not self.announced and os.WIFEXITED(status):
                self.status, self.stopping = os.WEXITSTATUS(status), True
            elif time.monotonic() - worker.born < RESTART_SECONDS:
                time.sleep(RESTART_SECONDS)

    def _forget(self, worker: Worker) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        self.workers.remove(worker)
        self.selector.unregister(worker.sock)
        worker.sock.close()
        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # the library has no types there

    def _kill_silent(self) -> None:
        now = time.monotonic()
        for worker in self.workers:
            if worker.due < now:
                os.kill(worker.pid, signal.SIGKILL)
                worker.due = now + SILENCE_SECONDS

    def _stop(self) -> None:
        """Tell all to stop, wait for them, and kill those that do not."""
        for worker in self.workers:
            os.kill(worker.pid, signal.SIGTERM)
        deadline = time.monotonic() + self.stop_seconds
        while self.workers and time.monotonic() < deadline:
            self.workers = [worker for worker in self.workers if os.waitpid(worker.pid, os.WNOHANG)[0] == 0]
            time.sleep(0.02)
        for worker in self.workers:
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)


def _child(run: Run, line: Line) -> int:
    """What a worker does; its exit status says why it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent passes it on
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until the server listens to it; the parent's handler is not ours
    try:
        run(line)
    except MatineeError as error:
        os.write(2, f"Error: {error.message}\n".encode())
        return error.exit_code
    except BaseException as error:  # the end of this process: a bug is told by its kind and place
        logging.getLogger("matinee.workers").critical("a worker has ended", exc_info=error)
        return 1
    return 0


def supervise(settings: Settings, sock: socket.socket, ready: Callable[[], None]) -> int:
    """Run `settings.workers` workers on `sock` until told to stop; returns the exit status."""
    folder = tempfile.mkdtemp(prefix="matinee-metrics-")
    os.environ[METRICS_FOLDER] = folder  # before prometheus_client is imported, in parent and children
    if not settings.threads:
        threads = max((os.cpu_count() or 1) // settings.workers, 1)
        settings = settings.model_copy(update={"threads": threads})

    def run(line: Line) -> None:
        from matinee.cli.process import run_server

        run_server(settings, sock, line, line.beat)

    stop_seconds = settings.drain_seconds + settings.shutdown_seconds + STOP_SECONDS
    try:
        return Supervisor(settings.workers, run, ready, stop_seconds).loop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
