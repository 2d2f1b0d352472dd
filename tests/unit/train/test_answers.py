"""Asking a classifier about many texts at once."""

from tests.unit.train.corpus import reviews
from tests.unit.train.models import Counter

from matinee.train.answers import answer, raw_outputs, scores_of


def test_answers_are_in_the_order_of_the_texts() -> None:
    """Rows are batched by length, over all texts; each text gets its own back."""
    classifier = Counter()
    texts = reviews(60, 1).texts
    together = scores_of(answer(classifier, texts, "all"))
    alone = [scores_of(answer(Counter(), [text], "one"))[0] for text in texts]
    assert together.tolist() == [scores.tolist() for scores in alone]


def test_batches_hold_rows_of_similar_length_within_the_budget() -> None:
    """Longest x count stays within the classifier's budget of tokens."""
    classifier = Counter()
    answer(classifier, reviews(60, 1).texts, "all")
    assert len(classifier.batches) > 5
    assert all(max(costs) * len(costs) <= 64 for costs in classifier.batches)
    assert [max(costs) for costs in classifier.batches] == sorted((max(c) for c in classifier.batches), reverse=True)


def test_a_text_with_several_windows_gets_all_their_outputs() -> None:
    """One row of outputs for each window, for whoever pools them."""
    [(encoded, outputs)] = raw_outputs(Counter(), ["superb " * 40], "long")
    assert encoded.windows == len(outputs) == 3
    assert outputs[:, 1].tolist() == [16.0, 16.0, 8.0]


def test_what_is_answered_while_encoding_runs_no_rows() -> None:
    """A quick model's answer is taken as it is."""
    classifier = Counter(quick=True)
    assert answer(classifier, ["superb", "dull"], "quick")[0].scores[1] > 0.7
    assert raw_outputs(classifier, ["superb"], "quick")[0][1].shape == (0, 2)
