"""What one model learns from the labels of another."""

from pathlib import Path

import numpy as np
import pytest
from tests.unit.train.corpus import dataset
from tests.unit.train.models import Counter

from matinee.core.errors import InvalidSettings
from matinee.train.answers import answer, scores_of
from matinee.train.dataset import split
from matinee.train.linear import LINEAR_FILE, train_linear
from matinee.train.taught import SURE, NotTheLabels, read_labels, write_labels

TEACHER = Counter(strength=0.5)


def test_only_sure_labels_are_taken(tmp_path: Path) -> None:
    """Reviews and probabilities belong together, and none is undecided."""
    sure = write_labels(dataset(), TEACHER, tmp_path / "labels.npz")
    unlabelled = split(dataset()).unlabelled
    texts, targets = read_labels(tmp_path / "labels.npz", dataset(), 0, unlabelled)
    assert 0 < len(texts) == len(targets) == sure < len(unlabelled)
    assert targets.max(axis=1).min() >= SURE
    assert np.abs(targets - scores_of(answer(TEACHER, texts, "again"))).max() < 1 / 255


def test_a_taught_model_knows_more_and_is_the_same_every_time(tmp_path: Path) -> None:
    """It learns from both, the card says from how many, and retraining gives the same bytes."""
    sure = write_labels(dataset(), TEACHER, tmp_path / "labels.npz")
    taught = [train_linear(dataset(), tmp_path / name, labels=tmp_path / "labels.npz") for name in ("a", "b")]
    assert taught[0].lineage["fitted_on"] == len(split(dataset()).fit) + sure
    train_linear(dataset(), tmp_path / "untaught")
    files = [(tmp_path / name / LINEAR_FILE).read_bytes() for name in ("a", "b", "untaught")]
    assert files[0] == files[1] != files[2]


@pytest.mark.parametrize("trouble", ["missing", "text", "seed", "data"])
def test_labels_of_something_else_are_refused(trouble: str, tmp_path: Path) -> None:
    """A file that is not there, is not one, or belongs to another split or data set: the option is named."""
    path = tmp_path / "labels.npz"
    if trouble == "text":
        path.write_text("positive\n", encoding="utf-8")
    elif trouble == "seed":
        write_labels(dataset(), TEACHER, path, seed=1)
    elif trouble == "data":
        write_labels(dataset(200), TEACHER, path)
    with pytest.raises(NotTheLabels, match="--labels"):
        train_linear(dataset(), tmp_path / "taught", labels=path)
    assert not (tmp_path / "taught").exists()


def test_the_place_for_the_labels_is_made_before_the_work(tmp_path: Path) -> None:
    """A folder that was missing was told when all reviews were labelled, as was one where a file should be."""
    write_labels(dataset(), TEACHER, tmp_path / "work" / "labels.npz")
    assert (tmp_path / "work" / "labels.npz").is_file()
    with pytest.raises(InvalidSettings, match="--out"):
        write_labels(dataset(), TEACHER, tmp_path / "work")
