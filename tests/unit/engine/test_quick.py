"""Classifiers that answer while they encode: on the spot, and together what comes together."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.fakes.echo import EchoClassifier, number
from tests.unit.engine.serving import Clock, begun, serving, settle

from matinee.core.errors import ClassifierFailed, Overloaded
from matinee.core.prediction import Answer, Capacity, Encoded, FloatArray, Overflow
from matinee.engine import Admission, EngineLimits


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


def test_what_needs_no_place_is_answered_while_the_queue_is_full() -> None:
    """What a quick classifier is sure of, and what was asked before; others are refused when they find no place."""

    async def main() -> None:
        classifier, admission = EchoClassifier(Capacity(quick=True), gated=True), Admission(2)
        limits = EngineLimits(timeout_seconds=60, cache_entries=10)
        async with serving(classifier, admission=admission, limits=limits) as engine:
            (known,) = await engine.predict(["known"])
            waiting = [asyncio.create_task(engine.predict([f"unsure {number}"])) for number in range(2)]
            await settle()
            assert admission.held == 2
            for _ in range(3):
                with pytest.raises(Overloaded):
                    await engine.predict(["unsure, and late"])
            (again,), (sure,) = await engine.predict(["known"]), await engine.predict(["sure"])
            assert again is known
            assert sure.scores["number"] == number("sure")
            classifier.gate.release(10)
            await asyncio.gather(*waiting)
            assert admission.held == 0
            await engine.predict(["unsure, and in time"])
        assert "unsure, and late" not in classifier.ran

    asyncio.run(main())


def test_a_glance_is_all_that_a_refused_text_costs() -> None:
    """A cascade encodes for its slow member only what has a place, in the thread and not on the event loop."""

    class Cautious(EchoClassifier):
        def glance(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded | None]:
            return [None if "unsure" in text else self._encoded(text, overflow) for text in texts]

    async def main() -> None:
        classifier, admission = Cautious(Capacity(quick=True), gated=True), Admission(1)
        async with serving(classifier, admission=admission) as engine:
            asked = (engine.predict([text]) for text in ("sure", "unsure", "unsure too", "unreadable, unsure"))
            waiting = [asyncio.create_task(each) for each in asked]
            await begun(classifier)
            refused = [task.exception() for task in waiting[2:]]
            classifier.gate.release()
            answers = [(await task)[0].scores["number"] for task in waiting[:2]]
        assert answers == [number("sure"), number("unsure")]
        assert [type(error) for error in refused] == [Overloaded, Overloaded]
        assert classifier.encoded == ["unsure"]
        assert classifier.encoding_threads == {"matinee-encode_0"}

    asyncio.run(main())


def test_the_speed_of_the_queue_is_that_of_what_waited_in_it() -> None:
    """Answers that needed no place say nothing about the wait: with them the late ones would be let in."""

    async def main() -> None:
        clock = Clock()
        classifier, admission = EchoClassifier(Capacity(batch_tokens=1, quick=True), gated=True), Admission(100, clock)
        async with serving(classifier, admission=admission) as engine:
            waiting = [asyncio.create_task(engine.predict([f"unsure {number}"])) for number in range(40)]
            for _ in range(30):
                await begun(classifier)
                for sure in range(9):
                    await engine.predict([f"sure {sure}"])
                clock.now += 1.0
                classifier.gate.release()
            await begun(classifier)  # ten are left, and each takes a second
            with pytest.raises(Overloaded):
                await engine.predict(["unsure, and late"], timeout=5.0)
            classifier.gate.release(100)
            await asyncio.gather(*waiting)

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
@pytest.mark.parametrize("scores", [(), (0.5,), (0.1, 0.2, 0.7)])
def test_scores_that_do_not_fit_the_labels_are_an_error_of_their_text(quick: bool, scores: tuple[float, ...]) -> None:
    """The caller hears at once; a classifier of somebody's own may do that."""

    class Unfit(EchoClassifier):
        def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:
            encoded = super().encode(texts, overflow)
            return [each._replace(answer=each.answer and Answer(scores)) for each in encoded]

        def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:
            return Answer(scores)

    async def main() -> None:
        async with serving(Unfit(Capacity(quick=quick)), limits=EngineLimits(timeout_seconds=60)) as engine:
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
