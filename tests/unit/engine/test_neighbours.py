"""Whatever happens to some requests, the others are answered, rightly and once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.echo import EchoClassifier, Piece, number
from tests.unit.engine.serving import serving, settle

from matinee.core.errors import ClassifierFailed, DeadlineExceeded, MatineeError
from matinee.core.prediction import Answer, Capacity, Encoded, FloatArray, Overflow, Prediction, Row
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


class Panic(BaseException):
    """What a library written in Rust raises when it panics: no `Exception`, as the tokenizers do it."""


class Panicking(EchoClassifier):
    """Panics for a text with `panic` in it, where `stage` says."""

    def __init__(self, stage: str, *, quick: bool, error: type[BaseException]) -> None:
        super().__init__(Capacity(64, quick=quick))
        self._stage, self._error = stage, error

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:
        """As the echo, or not at all."""
        self._panic("encode", texts)
        return super().encode(texts, overflow)

    def run(self, rows: Sequence[Row]) -> FloatArray:
        """As the echo, or not at all."""
        self._panic("run", [row.text for row in rows if isinstance(row, Piece)])
        return super().run(rows)

    def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:
        """As the echo, or not at all; the panicking text is the one of five letters."""
        self._panic("finish", ["panic" if encoded.tokens == 5 else ""])
        return super().finish(encoded, outputs)

    def _panic(self, stage: str, texts: Sequence[str]) -> None:
        if stage == self._stage and "panic" in texts:
            raise self._error


@pytest.mark.parametrize("error", [Panic, SystemExit])
@pytest.mark.parametrize(("stage", "quick"), [("encode", False), ("encode", True), ("run", False), ("finish", False)])
def test_a_panic_costs_its_text_and_not_the_engine(stage: str, quick: bool, error: type[BaseException]) -> None:
    """Left alone, it would end the thread's work without a word, and everything behind it would wait for ever."""

    async def scene() -> None:
        async with serving(Panicking(stage, quick=quick, error=error)) as engine:
            with pytest.raises(ClassifierFailed, match=error.__name__):
                await engine.predict(["panic"], timeout=20)
            (after,) = await engine.predict(["unsure, but fine"], timeout=20)
            assert after.scores["number"] == number("unsure, but fine")

    asyncio.run(scene())
