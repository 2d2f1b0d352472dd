"""Starting a probe, watching its memory and its time, and reading what it says."""

import asyncio
import json
import os
import pickle
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from matinee.core import background
from matinee.core.errors import NotReady
from matinee.core.residence import resident
from matinee.flavors import LoadOptions
from matinee.rollout import memory
from matinee.rollout.opening import Parcel
from matinee.rollout.options import GateLimits
from matinee.rollout.trial import Answered

LOOK_EVERY = 0.05  # seconds between two looks at the probe's memory
LONGEST_LINE = 16 * 1024 * 1024
START_SECONDS = 30.0  # for the interpreter and our imports, on a busy machine
MIB = 1024 * 1024
PROGRAM = "import os, sys; os.nice(int(sys.argv[1])); from matinee.rollout.probe import main; main(sys.argv[2:])"


@dataclass(frozen=True, slots=True)
class Request:
    """What a probe is told."""

    parcel: Parcel
    options: LoadOptions
    texts: Sequence[str]
    load_seconds: float
    answer_seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a probe saw, or the `problem` that ended it."""

    problem: str = ""
    labels: tuple[str, ...] = ()
    answered: Sequence[Answered] = ()
    figures: Mapping[str, float] = field(default_factory=dict)


class Probe:
    """A process that is there to try one candidate."""

    def __init__(self, process: asyncio.subprocess.Process, options: LoadOptions, limits: GateLimits) -> None:
        self._process = process
        self._options = replace(options, threads=min(options.threads or 1, max((os.cpu_count() or 2) // 2, 1)))
        self._limits = limits

    async def try_out(self, parcel: Parcel, texts: Sequence[str]) -> Outcome:
        """Load `parcel` over there and have it answer `texts`, within the limits; to be called once.

        Raises `NotReady` when the machine has no time for that process: that says nothing of the candidate.
        """
        began, limits = time.perf_counter(), self._limits
        free = memory.available() + resident(self._process.pid)
        budget = limits.memory_bytes or int(free * 0.9)
        request = Request(parcel, self._options, texts, limits.load_seconds, limits.answer_seconds)
        outcome = await _converse(self._process, request, budget)
        figures = {**outcome.figures, "gate_seconds": time.perf_counter() - began, "available_mib": budget / MIB}
        return replace(outcome, figures=figures)


@asynccontextmanager
async def probing(options: LoadOptions, limits: GateLimits) -> AsyncIterator[Probe]:
    """A probe that starts now, beside whatever the block does first, and is gone when the block ends.

    Raises `NotReady` when the machine has no room for the process.
    """
    process = await _start()
    try:
        yield Probe(process, options, limits)
    finally:
        _kill(process)
        await process.wait()


async def _start() -> asyncio.subprocess.Process:
    """The probe sees the modules that this process sees, and imports those of flavors that this process uses."""
    path = os.pathsep.join(folder for folder in sys.path if folder)
    used = sorted(name for name in sys.modules if name.startswith("matinee.flavors."))
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", PROGRAM, str(background.NICE), *used),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            limit=LONGEST_LINE,
        )
    except OSError as error:
        raise NotReady(f"no process can be started to try the new version: {error.strerror}") from error


def _kill(process: asyncio.subprocess.Process) -> None:
    """End the probe and whatever it started, which is a process group as soon as it runs."""
    if process.returncode is None:
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError):
                kill(process.pid, signal.SIGKILL)


async def _converse(process: asyncio.subprocess.Process, request: Request, budget: int) -> Outcome:
    """Ask, and read the answers while the memory is watched; whichever ends first decides."""
    reading = asyncio.create_task(_read(process, request))
    watching = asyncio.create_task(_watch_memory(process.pid, budget))
    try:
        done, _ = await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
        return watching.result() if watching in done and reading not in done else reading.result()
    finally:
        for task in (reading, watching):
            task.cancel()
        await asyncio.gather(reading, watching, return_exceptions=True)


async def _watch_memory(pid: int, budget: int) -> Outcome:
    """Ends only when the probe takes more than its budget; it is then ended by the caller."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        if budget and resident(pid) > budget:
            return Outcome(f"it takes more memory than there is: {budget / MIB:.0f} MiB are free for it")


async def _read(process: asyncio.subprocess.Process, request: Request) -> Outcome:
    assert process.stdin is not None  # noqa: S101 - both were asked for as pipes
    assert process.stdout is not None  # noqa: S101
    with suppress(ConnectionError):  # a probe that is gone shows in what it did not say
        process.stdin.write(pickle.dumps(request))
        await process.stdin.drain()
        process.stdin.close()
    if await _line(process.stdout, START_SECONDS) is None:
        raise NotReady(f"the process that tries the new version did not start within {START_SECONDS:g} seconds")
    loaded = await _line(process.stdout, request.load_seconds)
    if loaded is None:
        return Outcome(f"loading took more than {request.load_seconds:g} seconds")
    if "loaded" not in loaded:
        return Outcome(_problem(loaded, await _ended(process), "loading"))
    said = await _line(process.stdout, START_SECONDS + request.answer_seconds)
    if said is None:
        return Outcome(f"it did not answer within {request.answer_seconds:g} seconds")
    if "answered" not in said:
        return Outcome(_problem(said, await _ended(process), "answering"))
    return _outcome(loaded, said)


async def _line(stream: asyncio.StreamReader, seconds: float) -> dict[str, Any] | None:
    """One line of JSON: None when it did not come in time, empty when the probe is gone or talks nonsense."""
    try:
        async with asyncio.timeout(seconds):
            line = await stream.readline()
        document = json.loads(line) if line else {}
    except TimeoutError:
        return None
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


async def _ended(process: asyncio.subprocess.Process) -> int:
    try:
        async with asyncio.timeout(1.0):
            return await process.wait()
    except TimeoutError:
        return 0


def _problem(said: Mapping[str, Any], status: int, doing: str) -> str:
    if "refused" in said:
        return "; ".join(str(reason) for reason in said["refused"])
    if status < 0:
        return f"the process crashed while {doing} it ({signal.Signals(-status).name})"
    return f"the process ended while {doing} it (status {status})"


def _outcome(loaded: Mapping[str, Any], said: Mapping[str, Any]) -> Outcome:
    """The probe's report; it runs foreign code, so nothing in it is taken on trust."""
    try:
        answered = [Answered(str(a[0]), tuple(map(float, a[1])), float(a[2]), str(a[3])) for a in said["answered"]]
        figures = {"load_seconds": float(loaded["loaded"]), "memory_mib": float(said["memory"]) / MIB}
        return Outcome(labels=tuple(map(str, said["labels"])), answered=answered, figures=figures)
    except (LookupError, TypeError, ValueError):
        return Outcome("its probe did not report properly")
