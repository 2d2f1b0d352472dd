"""Labels that a teacher gives to the reviews that nobody labelled, kept in a file so that others can learn from them.

One byte for each review and label: what learns from the file is the same on every machine, whatever the teacher's own
arithmetic does there.
"""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matinee.core.errors import InvalidSettings, MatineeError
from matinee.core.prediction import Classifier
from matinee.train.answers import answer, scores_of
from matinee.train.dataset import split
from matinee.train.reviews import Dataset, Reviews

SURE = 0.75  # least probability with which a teacher's label is taken: undecided reviews are not part of the task
_WHOLE = 255


class NotTheLabels(MatineeError):
    """The file does not label the unlabelled reviews of this data set and split."""

    code = "not_the_labels"
    exit_code = 2


def write_labels(dataset: Dataset, teacher: Classifier, path: Path, *, seed: int = 0) -> int:
    """Let ``teacher`` label the unlabelled reviews of the split; returns how many it is sure of."""
    if path.is_dir():
        raise InvalidSettings([f"--out: {path} is a folder; name a file (.npz)"])
    path.parent.mkdir(parents=True, exist_ok=True)  # now, not when the work is done
    scores = scores_of(answer(teacher, split(dataset, seed=seed).unlabelled.texts, "unlabelled reviews"))
    labels = np.rint(scores * _WHOLE).astype(np.uint8)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, labels=labels, data=np.array(dataset.digest), seed=np.array(seed))
    partial.replace(path)
    return int((scores.max(axis=1) >= SURE).sum())


def read_labels(path: Path, dataset: Dataset, seed: int, unlabelled: Reviews) -> tuple[list[str], NDArray[np.float32]]:
    """The reviews that the teacher was sure of, and its probabilities for them, float32 [texts, labels].

    Raises `NotTheLabels` if the file is of other data or another split, or cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            labels, origin = file["labels"], (str(file["data"]), int(file["seed"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise NotTheLabels(f"--labels: {path} is not what `matinee train labels` writes ({error})") from None
    if origin != (dataset.digest, seed) or labels.shape != (len(unlabelled), len(dataset.labels)):
        raise NotTheLabels(f"--labels: {path} was made from other --data or with another --seed; make it again")
    scores = labels.astype(np.float32)
    scores /= scores.sum(axis=1, keepdims=True)
    sure = np.flatnonzero(scores.max(axis=1) >= SURE)
    return [unlabelled.texts[row] for row in sure], scores[sure]
