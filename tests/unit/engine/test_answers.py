"""Cheap repeats: kept answers and shared work."""

import asyncio

import pytest
from tests.fakes.echo import EchoClassifier, number
from tests.unit.engine.serving import Heard, begun, serving, settle

from matinee.core.errors import ClassifierFailed
from matinee.core.prediction import Prediction
from matinee.engine import EngineLimits
from matinee.engine.answers import Answers
from matinee.engine.jobs import Job

KEEPING = EngineLimits(timeout_seconds=60, cache_entries=100)


def test_a_repeated_text_is_not_run_again() -> None:
    """The same answer, and the event says that it cost nothing; other options are another answer."""

    async def main() -> None:
        classifier, heard = EchoClassifier(), Heard()
        async with serving(classifier, limits=KEEPING, heard=heard) as engine:
            (first,) = await engine.predict(["x" * 40])
            (second,) = await engine.predict(["x" * 40])
            (other,) = await engine.predict(["x" * 40], overflow="truncate")
            await settle()
        assert first is second
        assert (first.windows, second.windows, other.windows) == (3, 3, 1)
        assert [event.cached for event in heard.answered] == [0, 1, 0]
        assert sum(len(batch) for batch in classifier.batches) == 4

    asyncio.run(main())


def test_the_switch_is_off_at_zero() -> None:
    """Without entries every text is run, also two equal ones at once."""

    async def main() -> None:
        classifier = EchoClassifier()
        async with serving(classifier, limits=EngineLimits(timeout_seconds=60, cache_entries=0)) as engine:
            await engine.predict(["same", "same"])
            await engine.predict(["same"])
        assert sum(len(batch) for batch in classifier.batches) == 3

    asyncio.run(main())


def test_a_leader_who_leaves_does_not_take_the_followers_along() -> None:
    """Equal requests in flight are one piece of work, which lives as long as one of them does."""

    async def main() -> None:
        classifier = EchoClassifier(gated=True)
        async with serving(classifier, limits=KEEPING) as engine:
            running = asyncio.create_task(engine.predict(["running"]))
            await begun(classifier)
            leader = asyncio.create_task(engine.predict(["shared"]))
            await settle()
            followers = [asyncio.create_task(engine.predict(["shared", "shared"])) for _ in range(3)]
            await settle()
            leader.cancel()
            followers[0].cancel()
            classifier.gate.release(10)
            for answer in await asyncio.gather(*followers[1:]):
                assert [each.scores["number"] for each in answer] == [number("shared")] * 2
            await running
        assert sum(len(batch) for batch in classifier.batches) == 2

    asyncio.run(main())


def test_work_that_everybody_left_is_not_joined() -> None:
    """Who comes after the last one left starts anew and is answered."""

    async def main() -> None:
        classifier = EchoClassifier(gated=True)
        async with serving(classifier, limits=KEEPING) as engine:
            running = asyncio.create_task(engine.predict(["running"]))
            await begun(classifier)
            leaving = asyncio.create_task(engine.predict(["text"]))
            await settle()
            leaving.cancel()
            await settle()
            assert not engine._answers.running(engine._answers.key("text", None), 0.0)
            later = asyncio.create_task(engine.predict(["text"]))
            await settle()
            classifier.gate.release(10)
            (answer,) = await later
            assert answer.scores["number"] == number("text")
            await running

    asyncio.run(main())


def test_failures_are_not_kept() -> None:
    """The next one tries again."""

    async def main() -> None:
        classifier = EchoClassifier()
        async with serving(classifier, limits=KEEPING) as engine:
            for _ in range(2):
                with pytest.raises(ClassifierFailed):
                    await engine.predict(["poison"])
        assert len(classifier.batches) == 2

    asyncio.run(main())


def answers_after(entries: int, max_bytes: int, texts: list[str]) -> Answers:
    """A table in which the replies to `texts` were put one after the other."""
    answers = Answers(entries, max_bytes)
    for text in texts:
        job = Job(text, None, submitted=0.0)
        answers.share(answers.key(text, None), job)
        job.reply(Prediction("no", {"no": 0.5, "yes": 0.5}, 1, 1, truncated=False))
    return answers


def test_the_table_is_bounded_in_number_and_bytes_and_forgets_the_oldest_use() -> None:
    """The bounds hold whatever is put in."""
    answers = answers_after(10, 10**9, [str(i) for i in range(50)])
    assert len(answers) == 10
    assert answers.kept(answers.key("49", None)) is not None
    assert answers.kept(answers.key("3", None)) is None
    assert len(answers_after(1000, 10_000, [str(i) for i in range(500)])) < 20


def test_keys_tell_texts_and_options_apart() -> None:
    """Also texts that are not valid Unicode have one."""
    keys = {Answers.key(text, how) for text in ("", "a", "a\0", "\ud800", "é", "e\u0301") for how in (None, "window")}
    assert len(keys) == 12
