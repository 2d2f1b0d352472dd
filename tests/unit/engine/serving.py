"""What the engine's tests share: an engine around a fake, and waiting for what happens instead of for time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fakes.echo import EchoClassifier

from matinee.core.events import BatchRun, Event, Predicted
from matinee.core.prediction import Classifier, ModelIdentity
from matinee.engine import Admission, Engine, EngineLimits

MODEL = ModelIdentity("test", "1", "sha256:1", "folder")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Heard(list[Event]):
    """The events, in order."""

    @property
    def batches(self) -> list[BatchRun]:
        """Those about batches."""
        return [event for event in self if isinstance(event, BatchRun)]

    @property
    def answered(self) -> list[Predicted]:
        """Those about requests."""
        return [event for event in self if isinstance(event, Predicted)]


@asynccontextmanager
async def serving(
    classifier: Classifier,
    *,
    admission: Admission | None = None,
    limits: EngineLimits | None = None,
    heard: Heard | None = None,
) -> AsyncIterator[Engine]:
    """A started engine, without an answer cache unless `limits` say so; closed at the end."""
    chosen = limits or EngineLimits(timeout_seconds=60, cache_entries=0)
    observe = Heard() if heard is None else heard
    engine = Engine(classifier, MODEL, admission or Admission(100_000), chosen, observe.append)
    await engine.start()
    try:
        yield engine
    finally:
        if isinstance(classifier, EchoClassifier):
            classifier.gate.release(100_000)
        await engine.close()


async def begun(classifier: EchoClassifier) -> None:
    """Wait until one more batch has begun."""
    assert await asyncio.to_thread(classifier.begun.acquire, timeout=60)


async def settle() -> None:
    """Let everything happen that needs no thread."""
    for _ in range(10):
        await asyncio.sleep(0)
