"""What does this classifier answer, and how fast? One text at a time, as a caller would ask.

Runs in the serving process after loading (its own examples must come out right, and the first caller must not be
the one who warms it up) and in the probe, the process that tries a candidate first.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from matinee.core.errors import ClassifierFailed, MatineeError
from matinee.core.prediction import Classifier

_TASKS = Path("/proc/self/task")


@dataclass(frozen=True, slots=True)
class Answered:
    """The label that a text got (empty when it got none, then `error` says why), its scores, and the seconds."""

    label: str
    scores: tuple[float, ...]
    seconds: float
    error: str = ""


def answer_all(classifier: Classifier, texts: Sequence[str], seconds: float) -> list[Answered]:
    """Answer `texts` in order, and stop early once `seconds` have passed; the first text is always answered."""
    ends = time.perf_counter() + seconds
    answered: list[Answered] = []
    for text in texts:
        answered.append(answer(classifier, text))
        if time.perf_counter() > ends:
            break
    return answered


def answer(classifier: Classifier, text: str) -> Answered:
    """Answer one text.

    The seconds are those that an idle processor would have taken: the time that this process's threads spent
    waiting for a processor is taken off again, because the server beside it goes first.
    """
    began, queued, used = time.perf_counter(), _queued_seconds(), time.process_time()
    try:
        scores, error = _scores(classifier, text), ""
    except MatineeError as failure:
        scores, error = (), failure.code
    except BaseException as failure:  # noqa: BLE001 - a model's own code may raise anything, `sys.exit` included
        scores, error = (), type(failure).__name__
    waited = _queued_seconds() - queued
    seconds = max(time.perf_counter() - began - waited, min(time.process_time() - used, 60.0))
    label = classifier.labels[int(np.argmax(scores))] if scores else ""
    return Answered(label, scores, seconds, error)


def _scores(classifier: Classifier, text: str) -> tuple[float, ...]:
    encoded = classifier.encode([text])[0]
    answer = encoded.answer or classifier.finish(encoded, classifier.run(encoded.rows))
    if len(answer.scores) != len(classifier.labels) or not np.isfinite(answer.scores).all():
        raise ClassifierFailed("the scores are not one finite number for each label")
    return tuple(float(score) for score in answer.scores)


def _queued_seconds() -> float:
    """Seconds that the threads of this process have waited for a processor so far (Linux; elsewhere 0)."""
    total = 0
    try:
        tasks = list(_TASKS.iterdir())
    except OSError:
        return 0.0
    for task in tasks:
        try:
            total += int((task / "schedstat").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            continue
    return total / 1e9
