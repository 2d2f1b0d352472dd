"""Which plan is the fastest on this machine for this model, among those that give the same answers?"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from matinee.core.bundle import VerifiedBundle
from matinee.core.errors import ModelRejected
from matinee.core.prediction import Classifier, Encoded, FloatArray, Row
from matinee.flavors import LoadOptions, load
from matinee.flavors.onnx import GraphClassifier
from matinee.flavors.runtimes import Plan
from matinee.flavors.runtimes.plans import best_guess, keep_plan
from matinee.flavors.sample import SAMPLE

MAX_FLIPS = 0.001  # share of texts that may get another label than with f32
MAX_DIFFERENCE = 0.005  # mean absolute difference of the scores from those of f32
_PASSES = 2  # the first one also warms up; the best one counts

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trial:
    """One plan, measured: texts for each second on all streams, and how its answers differ from those of f32."""

    plan: Plan
    texts_per_second: float
    flips: float
    mean_difference: float

    @property
    def same_answers(self) -> bool:
        """Within the limits on label flips and score differences."""
        return self.flips <= MAX_FLIPS and self.mean_difference <= MAX_DIFFERENCE


@dataclass(frozen=True, slots=True)
class Tuning:
    """All trials in order (the first is f32, which the others are held against), and the one to use."""

    trials: tuple[Trial, ...]
    chosen: Trial
    texts: int
    seconds: float


def tune(
    bundle: VerifiedBundle,
    options: LoadOptions,
    texts: Sequence[str] = (),
    report: Callable[[Trial], None] = lambda _: None,
) -> Tuning:
    """Measure precisions, then streams, then batch sizes, each with the best of what came before, and keep the winner.

    Measured on the bundle's examples, a built-in sample of reviews, and `texts`. The plan goes to `options.cache_dir`,
    by the bundle's digest and the kind of CPU, and is used from the next load on. Raises `ModelRejected` for a model
    that has nothing to choose.
    """
    began = time.perf_counter()
    sample = list(dict.fromkeys([*texts, *(example.text for example in bundle.manifest.examples), *SAMPLE]))
    reference = replace(options, runtime="openvino", precision="f32")
    expected, first = _measure(bundle, reference, sample)
    trials = [_trial(first, expected, expected)]
    report(trials[0])
    for candidates in (_precisions, _streams, _batch_sizes):
        for candidate in candidates(options, _best(trials).plan):
            scores, measured = _measure(bundle, candidate, sample)
            trials.append(_trial(measured, scores, expected))
            report(trials[-1])
    chosen = _best(trials)
    if options.cache_dir is not None:
        keep_plan(bundle.digest, chosen.plan, options.cache_dir)
    return Tuning(tuple(trials), chosen, len(sample), time.perf_counter() - began)


def _best(trials: Sequence[Trial]) -> Trial:
    return max((trial for trial in trials if trial.same_answers), key=lambda trial: trial.texts_per_second)


def _precisions(options: LoadOptions, _: Plan) -> Iterator[LoadOptions]:
    for precision in ("bf16", "int8"):
        yield replace(options, runtime="openvino", precision=precision)
    if find_spec("onnxruntime") is not None:
        yield replace(options, runtime="onnxruntime", precision="int8")


def _streams(options: LoadOptions, best: Plan) -> Iterator[LoadOptions]:
    for streams in sorted({1, best.threads // 2, best.threads} - {0, best.streams}):
        yield _like(options, replace(best, streams=streams))


def _batch_sizes(options: LoadOptions, best: Plan) -> Iterator[LoadOptions]:
    for tokens in (best.batch_tokens // 2, best.batch_tokens * 2):
        yield _like(options, replace(best, batch_tokens=tokens))


def _like(options: LoadOptions, plan: Plan) -> LoadOptions:
    return replace(
        options,
        runtime=plan.runtime,
        precision=plan.precision,
        threads=plan.threads,
        streams=plan.streams,
        batch_tokens=plan.batch_tokens,
    )


def _trial(measured: tuple[Plan, float], scores: Scores, expected: Scores) -> Trial:
    plan, speed = measured
    flips = float((scores.argmax(axis=1) != expected.argmax(axis=1)).mean())
    return Trial(plan, speed, flips, float(np.abs(scores - expected).mean()))


def _measure(bundle: VerifiedBundle, options: LoadOptions, texts: Sequence[str]) -> tuple[Scores, tuple[Plan, float]]:
    """Scores [texts, labels], and the plan with its texts for each second."""
    classifier = load(bundle, replace(options, cache_dir=None))
    try:
        if not isinstance(classifier, GraphClassifier):
            raise ModelRejected([f"flavor {bundle.manifest.flavor} has nothing to tune"])
        encoded = classifier.encode(texts, None if bundle.manifest.text.overflow != "error" else "window")
        batches = _batches(encoded, classifier.capacity.batch_tokens)
        seconds, outputs = min((_run(classifier, batches) for _ in range(_PASSES)), key=lambda run: run[0])
        scores = [
            classifier.finish(each, np.stack([outputs[index, row] for row in range(len(each.rows))])).scores
            for index, each in enumerate(encoded)
        ]
        return np.array(scores), (best_guess(options), len(texts) / seconds)
    finally:
        classifier.close()


_Batch = list[tuple[int, int, Row]]  # number of the text, number of the row in it, row


def _batches(encoded: Sequence[Encoded], budget: int) -> list[_Batch]:
    """Rows by length, cut by the token budget."""
    rows = [(index, place, row) for index, each in enumerate(encoded) for place, row in enumerate(each.rows)]
    batches: list[_Batch] = []
    for item in sorted(rows, key=lambda item: item[2].cost):
        if not batches or (len(batches[-1]) + 1) * item[2].cost > budget:
            batches.append([])
        batches[-1].append(item)
    return batches


def _run(classifier: Classifier, batches: list[_Batch]) -> tuple[float, dict[tuple[int, int], FloatArray]]:
    """Seconds on all streams, and the output of each row by text and place."""
    began = time.perf_counter()
    with ThreadPoolExecutor(classifier.capacity.parallel_batches) as pool:
        outputs = list(pool.map(lambda batch: classifier.run([row for _, _, row in batch]), batches))
    seconds = time.perf_counter() - began
    found = {
        (index, place): output
        for batch, rows in zip(batches, outputs, strict=True)
        for (index, place, _), output in zip(batch, rows, strict=True)
    }
    return seconds, found
