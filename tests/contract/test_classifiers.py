"""What the engine may expect of every classifier."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.contract.classifiers import CLASSIFIERS

from matinee.core.errors import TextTooLong
from matinee.core.prediction import Answer, Classifier, Encoded, Overflow

TEXTS = ["A wonderful film!", "awful", "it was a story and not very good, but funny " * 3, "", "x" * 300]
ODD = ["\0", "🎬👩‍👩‍👧", "שלום עולם", "e\u0301\u0301", "\ud800", "<br /><br />", "\u202e", " \t\n"]
LONG = "a film about a film " * 200


@pytest.fixture(params=CLASSIFIERS, scope="module")
def classifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classifier]:
    """One of each kind."""
    made = CLASSIFIERS[request.param](tmp_path_factory.mktemp("classifier"))
    yield made
    made.close()


def answer(classifier: Classifier, encoded: Encoded) -> Answer:
    """The answer to one text, run by itself."""
    return encoded.answer or classifier.finish(encoded, classifier.run(encoded.rows))


def test_it_says_what_it_is(classifier: Classifier) -> None:
    """At least two different labels, and a capacity that something fits into."""
    assert len(set(classifier.labels)) == len(classifier.labels) >= 2
    assert classifier.capacity.batch_tokens > 0
    assert classifier.capacity.parallel_batches > 0
    assert classifier.capacity.pad_to > 0


@pytest.mark.parametrize("texts", [TEXTS, ODD])
def test_every_text_gets_scores(classifier: Classifier, texts: list[str]) -> None:
    """One encoded text for each, with rows or an answer; scores in the order of the labels that add up to 1."""
    encoded = classifier.encode(texts)
    assert len(encoded) == len(texts)
    for each in encoded:
        assert (each.answer is None) == (len(each.rows) > 0)
        assert all(row.cost > 0 for row in each.rows)
        assert each.windows >= 1
        assert not each.truncated
        scores = answer(classifier, each).scores
        assert len(scores) == len(classifier.labels)
        assert sum(scores) == pytest.approx(1, abs=1e-5)
        assert min(scores) >= 0


def test_answers_do_not_depend_on_company(classifier: Classifier) -> None:
    """A row's output is the same alone and in a batch, in any order, but for rounding."""
    encoded = classifier.encode([*TEXTS, *ODD])
    rows = [row for each in encoded for row in each.rows]
    if not rows:
        return
    together = classifier.run(rows[::-1])[::-1]
    assert together.shape == (len(rows), len(classifier.labels))
    assert together.dtype == np.float32
    alone = np.concatenate([classifier.run([row]) for row in rows])
    np.testing.assert_allclose(together, alone, atol=0.03)


def test_threads_may_run_it_at_once(classifier: Classifier) -> None:
    """As many batches at a time as the capacity says, and encoding beside them."""
    expected = [answer(classifier, each).scores for each in classifier.encode(TEXTS)]

    def again(_: int) -> list[tuple[float, ...]]:
        return [answer(classifier, each).scores for each in classifier.encode(TEXTS)]

    with ThreadPoolExecutor(classifier.capacity.parallel_batches + 1) as pool:
        for scores in pool.map(again, range(8)):
            np.testing.assert_allclose(scores, expected, atol=0.03)


@pytest.mark.parametrize("overflow", ["window", "truncate", "error"])
def test_long_texts_are_read_whole_or_said_to_be_cut_or_refused(classifier: Classifier, overflow: Overflow) -> None:
    """`truncated` is true exactly when some of the text was not read; `error` refuses instead, without the text."""
    (whole,) = classifier.encode([LONG])
    if overflow == "error" and (refusal := refused(classifier, LONG)) is not None:
        assert refusal.field == "text"
        assert LONG[:20] not in refusal.message
        return
    (encoded,) = classifier.encode([LONG], overflow)
    assert encoded.tokens == whole.tokens > 0
    assert overflow == "truncate" or not encoded.truncated
    assert encoded.windows == (1 if encoded.truncated else whole.windows)
    assert len(answer(classifier, encoded).scores) == len(classifier.labels)


def refused(classifier: Classifier, text: str) -> TextTooLong | None:
    """The refusal of a text that is longer than the window, if it is refused."""
    try:
        classifier.encode([text], "error")
    except TextTooLong as error:
        return error
    return None
