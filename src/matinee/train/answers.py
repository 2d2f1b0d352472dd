"""Ask a loaded classifier about many texts, in the way that the server does, but all at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from matinee.core.prediction import Answer, Classifier, Encoded, FloatArray, Overflow
from matinee.rollout import Opened
from matinee.train.progress import progress

OpenModel = Callable[[str], Opened]  # from a reference; who calls the recipes knows the settings
_ENCODE = 512  # texts tokenized together


def raw_outputs(
    classifier: Classifier, texts: Sequence[str], title: str, overflow: Overflow | None = None
) -> list[tuple[Encoded, FloatArray]]:
    """Each text as encoded, with the outputs of its rows ([rows, labels]; none if it was answered while encoding)."""
    encoded: list[Encoded] = []
    with progress(f"{title}: reading", len(texts)) as report:
        for first in range(0, len(texts), _ENCODE):
            encoded += classifier.encode(texts[first : first + _ENCODE], overflow)
            report(len(encoded))
    rows = [row for each in encoded for row in each.rows]
    owners = np.cumsum([0, *(len(each.rows) for each in encoded)])
    outputs = np.zeros((len(rows), len(classifier.labels)), dtype=np.float32)
    costs = np.array([row.cost for row in rows], dtype=np.int64)
    batches = list(_batches(costs, classifier.capacity.batch_tokens))

    def run(batch: NDArray[np.int64]) -> None:
        outputs[batch] = classifier.run([rows[i] for i in batch])

    done = 0
    with (
        progress(f"{title}: computing", int(costs.sum())) as report,
        ThreadPoolExecutor(classifier.capacity.parallel_batches) as pool,
    ):
        for batch, _ in zip(batches, pool.map(run, batches), strict=True):
            done += int(costs[batch].sum())
            report(done)
    return [(each, outputs[owners[i] : owners[i + 1]]) for i, each in enumerate(encoded)]


def answer(classifier: Classifier, texts: Sequence[str], title: str, overflow: Overflow | None = None) -> list[Answer]:
    """The classifier's answers, in the order of the texts."""
    return [
        each.answer or classifier.finish(each, outputs)
        for each, outputs in raw_outputs(classifier, texts, title, overflow)
    ]


def scores_of(answers: Sequence[Answer]) -> NDArray[np.float64]:
    """Their scores, [texts, labels]."""
    return np.array([each.scores for each in answers], dtype=np.float64)


def _batches(costs: NDArray[np.int64], budget: int) -> Iterator[NDArray[np.int64]]:
    """Positions in batches of rows of similar cost: longest x count within the budget, the longest first."""
    order = np.argsort(-costs, kind="stable")
    first = 0
    while first < len(order):
        count = max(1, budget // max(1, int(costs[order[first]])))
        yield order[first : first + count]
        first += count
