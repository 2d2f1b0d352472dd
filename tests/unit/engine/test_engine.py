"""`Engine.predict`: the right answer to the right caller, whatever happens to the others."""

import asyncio
import random
import threading

import pytest
from tests.fakes.echo import EchoClassifier, number
from tests.unit.engine.serving import MODEL, Heard, begun, serving, settle

from matinee.core.errors import (
    ClassifierFailed,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    ShuttingDown,
    TextTooLong,
)
from matinee.core.prediction import Capacity
from matinee.engine import Admission, Engine, EngineLimits


def test_every_text_gets_its_own_answer() -> None:
    """Thousands of texts in lists of any size, several windows each: no answer is lost, doubled or mixed up."""

    async def main() -> None:
        draw = random.Random(1)  # noqa: S311 - the same lists each time
        lists = [[f"{i}.{j}" * draw.randint(1, 12) for j in range(draw.randint(1, 9))] for i in range(400)]
        async with serving(EchoClassifier(Capacity(batch_tokens=256, parallel_batches=3, pad_to=4))) as engine:
            answers = await asyncio.gather(*(engine.predict(texts) for texts in lists))
        for texts, predictions in zip(lists, answers, strict=True):
            assert [prediction.scores["number"] for prediction in predictions] == [number(text) for text in texts]
            assert [prediction.windows for prediction in predictions] == [-(-len(text) // 16) for text in texts]

    asyncio.run(main())


def test_prediction_says_what_was_read() -> None:
    """Label with the highest score, tokens, windows and truncation come from the classifier."""

    async def main() -> None:
        async with serving(EchoClassifier()) as engine:
            (prediction,) = await engine.predict(["x" * 40], overflow="truncate")
        assert prediction.label == "number"
        assert (prediction.tokens, prediction.windows, prediction.truncated) == (40, 1, True)

    asyncio.run(main())


def test_an_idle_engine_starts_at_once_and_gathers_meanwhile() -> None:
    """The first request runs alone; what comes while it runs makes the next batch."""

    async def main() -> None:
        classifier = EchoClassifier(gated=True)
        async with serving(classifier) as engine:
            tasks = [asyncio.create_task(engine.predict(["first"]))]
            await begun(classifier)
            tasks += [asyncio.create_task(engine.predict([f"next {i}"])) for i in range(4)]
            async with asyncio.timeout(60):
                while len(engine._batcher._waiting) < 4:  # they are encoded in two goes: the first alone, then the rest
                    await asyncio.to_thread(engine._batcher._encoder.submit(lambda: None).result)
            classifier.gate.release(10)
            await asyncio.gather(*tasks)
        assert [len(batch) for batch in classifier.batches] == [1, 4]

    asyncio.run(main())


def test_a_poisoned_text_fails_alone() -> None:
    """Its neighbours in the batch are run again without it; so are those of a text without a finite answer."""

    async def main() -> None:
        async with serving(EchoClassifier(Capacity(batch_tokens=4096))) as engine:
            texts = [f"{kind} {i}" for i in range(40) for kind in ("fine", "poison", "nan", "unreadable")]
            answers = await asyncio.gather(*(engine.predict([text]) for text in texts), return_exceptions=True)
        for text, answer in zip(texts, answers, strict=True):
            if text.startswith("fine"):
                assert isinstance(answer, list)
                assert answer[0].scores["number"] == number(text)
            else:
                assert isinstance(answer, ClassifierFailed)
                assert text not in str(answer)

    asyncio.run(main())


def test_a_text_that_is_too_long_is_named() -> None:
    """In a list by its place."""

    async def main() -> None:
        async with serving(EchoClassifier()) as engine:
            with pytest.raises(TextTooLong, match=r"^text: has 20 tokens"):
                await engine.predict(["x" * 20], overflow="error")
            with pytest.raises(TextTooLong, match=r"^texts\[1\]: has 20 tokens"):
                await engine.predict(["short", "x" * 20], overflow="error")
            with pytest.raises(InvalidRequest):
                await engine.predict([])

    asyncio.run(main())


@pytest.mark.parametrize("bound", [1, 8, 64])
def test_the_queue_bound_is_exact(bound: int) -> None:
    """While nothing is answered, exactly so many requests are held, and each further one is refused at once."""

    async def main() -> None:
        classifier = EchoClassifier(gated=True)
        async with serving(classifier, admission=Admission(bound)) as engine:
            held = [asyncio.create_task(engine.predict([str(i)])) for i in range(bound)]
            await begun(classifier)
            refusals = 0
            for _ in range(5):
                try:
                    await engine.predict(["one more"])
                except Overloaded as error:
                    refusals += error.retry_after >= 1
            assert refusals == 5
            classifier.gate.release(1000)
            assert len(await asyncio.gather(*held)) == bound

    asyncio.run(main())


def test_cancelling_frees_the_place_at_once_and_the_work_is_not_done() -> None:
    """A request that left is not run, and another takes its place."""

    async def main() -> None:
        classifier = EchoClassifier(gated=True)
        async with serving(classifier, admission=Admission(2)) as engine:
            running = asyncio.create_task(engine.predict(["running"]))
            await begun(classifier)
            leaving = asyncio.create_task(engine.predict(["leaving"]))
            await settle()
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            staying = asyncio.create_task(engine.predict(["staying"]))
            await settle()
            classifier.gate.release(10)
            await asyncio.gather(running, staying)
        assert classifier.ran == {"running", "staying"}

    asyncio.run(main())


def test_what_comes_too_late_is_never_run() -> None:
    """A deadline that passes in the queue is an error for its caller and no work for the model."""

    async def main() -> None:
        classifier = EchoClassifier(gated=True)
        async with serving(classifier) as engine:
            running = asyncio.create_task(engine.predict(["running"]))
            await begun(classifier)
            with pytest.raises(DeadlineExceeded):
                await engine.predict(["late"], timeout=0.01)
            classifier.gate.release(10)
            await running
            await engine.predict(["after"])
        assert classifier.ran == {"running", "after"}

    asyncio.run(main())


def test_a_long_list_lets_a_single_text_in_between() -> None:
    """With hundreds of texts of one list waiting, a single text is in the very next batch."""

    async def main() -> None:
        classifier = EchoClassifier(Capacity(batch_tokens=32), gated=True)
        async with serving(classifier) as engine:
            long = asyncio.create_task(engine.predict([f"{i:08}" for i in range(300)]))
            for _ in range(3):
                await begun(classifier)
                classifier.gate.release()
            await begun(classifier)
            single = asyncio.create_task(engine.predict(["single"]))
            await settle()
            await asyncio.to_thread(engine._batcher._encoder.submit(lambda: None).result)
            await settle()
            classifier.gate.release(2)
            await single
            batches = len(classifier.batches)
            classifier.gate.release(1000)
            await long
        assert batches <= 6
        assert len(classifier.batches) > 50

    asyncio.run(main())


def test_closing_answers_what_is_inside_and_takes_nothing_new() -> None:
    """Nobody inside is dropped; the classifier is closed last."""

    async def main() -> None:
        classifier = EchoClassifier(gated=True)
        async with serving(classifier) as engine:
            inside = [asyncio.create_task(engine.predict([str(i)])) for i in range(5)]
            await begun(classifier)
            closing = asyncio.create_task(engine.close())
            await settle()
            with pytest.raises(ShuttingDown):
                await engine.predict(["too late"])
            assert not classifier.closed
            classifier.gate.release(10)
            assert len(await asyncio.gather(*inside)) == 5
            await closing
            assert classifier.closed

    asyncio.run(main())


def test_events_tell_of_batches_and_requests() -> None:
    """Padding can be worked out from a batch's event; a request's has the texts, the id and the waiting."""

    async def main() -> None:
        heard = Heard()
        async with serving(EchoClassifier(Capacity(batch_tokens=64, pad_to=8)), heard=heard) as engine:
            await engine.predict(["x" * 7, "y" * 5], request_id="r-1")
            await settle()
        (batch,) = heard.batches
        assert (batch.model, batch.rows, batch.tokens, batch.padded_tokens) == (MODEL, 2, 12, 16)
        (answered,) = heard.answered
        assert (answered.request_id, answered.texts) == ("r-1", ("x" * 7, "y" * 5))
        assert len(answered.predictions) == 2
        assert 0 <= answered.queue_seconds <= answered.seconds

    asyncio.run(main())


def test_film_reviews_need_little_padding() -> None:
    """With 16 clients and lengths spread like those of film reviews, at most 5 % of the tokens are padding."""

    async def main() -> None:
        heard, draw = Heard(), random.Random(3)  # noqa: S311 - the same reviews each time
        reviews = iter(["x" * min(int(draw.lognormvariate(5.4, 0.6)), 1500) for _ in range(600)])

        async def client() -> None:
            for review in reviews:
                await engine.predict([review])

        fake = LongWindows(Capacity(batch_tokens=1024, parallel_batches=2, pad_to=16))
        async with serving(fake, heard=heard) as engine:
            await asyncio.gather(*(client() for _ in range(16)))
        own, padded = (sum(getattr(batch, name) for batch in heard.batches) for name in ("tokens", "padded_tokens"))
        assert 1 - own / padded <= 0.05

    asyncio.run(main())


class LongWindows(EchoClassifier):
    """Windows of 256 tokens."""

    window = 256


def test_an_engine_that_was_never_started_can_be_closed() -> None:
    """A version that was prepared and not taken still gives its classifier back."""

    async def main() -> None:
        classifier = EchoClassifier()
        await Engine(classifier, MODEL, Admission(1), EngineLimits(), lambda _: None).close()
        assert classifier.closed

    asyncio.run(main())


class Closing(EchoClassifier):
    """Notes the thread that closes it."""

    def close(self) -> None:
        """As the echo."""
        self.closed_in = threading.current_thread()
        super().close()


def test_a_model_that_hangs_while_it_is_closed_does_not_hold_up_the_exit() -> None:
    """It is closed in a thread that the interpreter does not wait for."""

    async def main() -> Closing:
        async with serving(classifier := Closing()):
            return classifier

    assert asyncio.run(main()).closed_in.daemon
