"""Whatever happens to some requests, the others are answered, rightly and once."""

import asyncio
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.echo import EchoClassifier, number
from tests.unit.engine.serving import serving, settle

from matinee.core.errors import ClassifierFailed, DeadlineExceeded, MatineeError
from matinee.core.prediction import Capacity, Prediction
from matinee.engine import Admission, Engine, EngineLimits

FATES = ("answered", "cancelled", "expired", "poison", "nan", "unreadable")


@dataclass(frozen=True)
class Request:
    """What one caller sends, and what happens to him after so many more batches."""

    fate: str
    lengths: tuple[int, ...]
    after: int

    @property
    def texts(self) -> list[str]:
        """Texts of the given lengths; the last one is the culprit."""
        texts = [chr(97 + index % 26) * length for index, length in enumerate(self.lengths)]
        return [*texts[:-1], texts[-1] + (self.fate if self.fate in FATES[3:] else "")]


REQUESTS = st.lists(
    st.builds(
        Request,
        fate=st.sampled_from(FATES),
        lengths=st.lists(st.integers(0, 70), min_size=1, max_size=6).map(tuple),
        after=st.integers(0, 6),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=50, deadline=None)
@given(REQUESTS, st.integers(1, 3), st.booleans(), st.sampled_from([0, 100]))
def test_cancelled_failed_and_late_neighbours_harm_nobody(
    requests: list[Request], streams: int, quick: bool, cache_entries: int
) -> None:
    """Every request ends as it should; afterwards the engine holds nothing and still works."""
    asyncio.run(_play(requests, Capacity(64, streams, quick, pad_to=2), cache_entries))


async def _play(requests: list[Request], capacity: Capacity, cache_entries: int) -> None:
    classifier, admission = EchoClassifier(capacity, gated=True), Admission(1000)
    limits = EngineLimits(timeout_seconds=60, cache_entries=cache_entries)
    async with serving(classifier, admission=admission, limits=limits) as engine:
        tasks = [asyncio.create_task(_send(engine, request)) for request in requests]
        await settle()
        for step in range(7):
            for request, task in zip(requests, tasks, strict=True):
                if request.fate == "cancelled" and request.after == step:
                    task.cancel()
            await settle()
            classifier.gate.release()
        classifier.gate.release(10_000)
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
        for request, result in zip(requests, results, strict=True):
            _judge(request, result, answers_all=capacity.quick)
        assert admission.held == 0
        assert not engine._answers._jobs
        (after,) = await engine.predict(["unsure, but fine"])
        assert after.scores["number"] == number("unsure, but fine")


async def _send(engine: Engine, request: Request) -> list[Prediction]:
    return await engine.predict(request.texts, timeout=0.0 if request.fate == "expired" else None)


def _judge(request: Request, result: list[Prediction] | BaseException, *, answers_all: bool) -> None:
    if isinstance(result, list):
        assert [each.scores["number"] for each in result] == [number(text) for text in request.texts]
        assert request.fate not in (FATES[5:] if answers_all else FATES[3:])
    elif request.fate == "answered":
        raise result
    elif request.fate in FATES[3:]:
        assert isinstance(result, ClassifierFailed)
    elif request.fate == "expired":
        assert isinstance(result, DeadlineExceeded)
    else:
        assert isinstance(result, asyncio.CancelledError | MatineeError)
