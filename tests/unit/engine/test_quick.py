"""Classifiers that answer while they encode: on the spot, and together what comes together."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.fakes.echo import EchoClassifier, number
from tests.unit.engine.serving import serving

from matinee.core.errors import ClassifierFailed
from matinee.core.prediction import Answer, Capacity, Encoded, FloatArray, Overflow
from matinee.engine import EngineLimits


def test_quick_classifiers_answer_on_the_spot_and_long_texts_go_to_a_thread() -> None:
    """No hand-over for a short text; a long one does not hold up the event loop. Unsure ones run like others."""

    async def main() -> None:
        classifier = EchoClassifier(Capacity(quick=True))
        async with serving(classifier) as engine:
            (short,) = await engine.predict(["short"])
            assert classifier.encoding_threads == {"MainThread"}
            await engine.predict(["x" * 20_000])
            assert classifier.encoding_threads == {"MainThread", "matinee-encode_0"}
            assert not classifier.batches
            (unsure,) = await engine.predict(["unsure"])
        assert short.stages == ("quick",)
        assert unsure.scores["number"] == number("unsure")
        assert classifier.ran == {"unsure"}

    asyncio.run(main())


def test_what_one_turn_brings_to_a_quick_classifier_is_encoded_together() -> None:
    """Requests that start in the same turn of the event loop share the cost of one call, whatever their options."""

    async def main() -> None:
        classifier = Counting(Capacity(quick=True))
        async with serving(classifier) as engine:
            texts = [str(i) for i in range(5)]
            answers = await asyncio.gather(*(engine.predict([text]) for text in texts))
            await asyncio.gather(engine.predict(["a"]), engine.predict(["b"], overflow="truncate"))
        assert [answer.scores["number"] for (answer,) in answers] == [number(text) for text in texts]
        assert classifier.calls[0] == 5
        assert sorted(classifier.calls[1:]) == [1, 1]

    asyncio.run(main())


@pytest.mark.parametrize("quick", [True, False])
def test_scores_that_do_not_fit_the_labels_are_an_error_of_their_text(quick: bool) -> None:
    """The caller hears at once; a classifier of somebody's own may do that."""

    class Short(EchoClassifier):
        def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:
            encoded = super().encode(texts, overflow)
            return [each._replace(answer=each.answer and Answer((0.5,))) for each in encoded]

        def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:
            return Answer(super().finish(encoded, outputs).scores[:1])

    async def main() -> None:
        async with serving(Short(Capacity(quick=quick)), limits=EngineLimits(timeout_seconds=60)) as engine:
            with pytest.raises(ClassifierFailed):
                await asyncio.wait_for(engine.predict(["text"]), 30)

    asyncio.run(main())


class Counting(EchoClassifier):
    """Notes how many texts each call of `encode` got."""

    def __init__(self, capacity: Capacity) -> None:
        super().__init__(capacity)
        self.calls: list[int] = []

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:
        """As the echo."""
        self.calls.append(len(texts))
        return super().encode(texts, overflow)
