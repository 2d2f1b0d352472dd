"""Does it answer? Every loaded model is asked before it is said to be loaded, whichever flavor it is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from matinee.core.errors import MatineeError, ModelRejected
from matinee.core.manifest import Manifest
from matinee.core.prediction import Answer, Classifier

# Of different lengths, so that a batch has padding; the manifest's own examples come first.
_TEXTS = ("A fine film.", "Two hours of my life that nobody will ever give back to me, and not one laugh.")
_MAX_TEXTS = 3


def check_answers(classifier: Classifier, manifest: Manifest) -> None:
    """Ask for a few answers; raises `ModelRejected` for a crash, NaN, or another number of labels than promised."""
    if len(classifier.labels) < 2:
        raise ModelRejected([f"the model names {len(classifier.labels)} labels, and two are the least"])
    twice = [label for label in classifier.labels if classifier.labels.count(label) > 1]
    if twice:
        raise ModelRejected([f"the model gives two labels one name, {twice[0]}: set LABELS to names that differ"])
    if manifest.labels and len(manifest.labels) != len(classifier.labels):
        promised, found = len(manifest.labels), len(classifier.labels)
        raise ModelRejected([f"the model has {found} labels, and {promised} were promised (manifest or LABELS)"])
    texts = [*(example.text for example in manifest.examples), *_TEXTS][:_MAX_TEXTS]
    with answering():
        answers = _ask(classifier, texts)
    if any(len(answer.scores) != len(classifier.labels) for answer in answers):
        raise ModelRejected([f"the model gives another number of scores than it has labels ({len(classifier.labels)})"])
    scores = np.array([answer.scores for answer in answers])
    if not np.isfinite(scores).all() or (scores < 0).any() or (scores > 1 + 1e-4).any():
        raise ModelRejected(["the model gives scores that are not numbers from 0 to 1"])


@contextmanager
def answering() -> Iterator[None]:
    """Make a `ModelRejected` of whatever a model raises inside when it is asked."""
    try:
        yield
    except MatineeError:
        raise
    except Exception as error:  # a model's own code, or the library that runs it, may raise anything
        raise ModelRejected(
            [f"asked for an answer, the model raised {type(error).__name__}: {_last_line(error)}"]
        ) from error


def _last_line(error: Exception) -> str:
    """Where a library that lists its own source files first says what is wrong."""
    return (str(error).strip().splitlines() or [""])[-1][:300]


def _ask(classifier: Classifier, texts: Sequence[str]) -> list[Answer]:
    """All texts in one batch, as the engine would."""
    encoded = classifier.encode(texts)
    if len(encoded) != len(texts):
        raise ModelRejected(["the model encodes another number of texts than it was given"])
    rows = [row for item in encoded for row in item.rows]
    outputs = classifier.run(rows) if rows else np.empty((0, len(classifier.labels)), dtype=np.float32)
    answers, start = [], 0
    for item in encoded:
        end = start + len(item.rows)
        answers.append(item.answer or classifier.finish(item, outputs[start:end]))
        start = end
    return answers
