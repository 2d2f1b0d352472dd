"""Measure any model on texts with labels, through the classifier that serves it, and show the figures to a person."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table

from matinee.core.errors import MatineeError
from matinee.core.prediction import Overflow
from matinee.rollout import Opened
from matinee.train.answers import answer, scores_of
from matinee.train.metrics import Metrics, measure

_FIGURES = (("accuracy", ".2%"), ("auc", ".4f"), ("log_loss", ".4f"), ("ece", ".4f"))


class LabelsDiffer(MatineeError):
    """The data set has labels that the model does not know."""

    status = 422
    code = "labels_differ"
    exit_code = 2


def evaluate(
    opened: Opened, texts: Sequence[str], labels: NDArray[np.int64], overflow: Overflow | None = None
) -> dict[str, Any]:
    """The figures of ``opened`` as a document: model, metrics, and for a cascade the share of each stage."""
    answers = answer(opened.classifier, texts, "evaluate", overflow)
    metrics: Metrics = measure(scores_of(answers), labels, texts)
    identity = opened.identity
    document: dict[str, Any] = {
        "model": {"source": identity.source, "version": identity.version, "digest": identity.digest},
        "labels": list(opened.classifier.labels),
        **metrics.to_dict(),
    }
    if stages := [each.stages for each in answers if each.stages]:
        names = sorted(set(stages), key=len)
        document["answered_by"] = {"+".join(name): round(stages.count(name) / len(answers), 4) for name in names}
    return document


def index_labels(names: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """Positions of ``names`` among a model's ``labels``: by name in any case, by a clear beginning, or by number.

    Raises `LabelsDiffer` that lists the model's labels.
    """
    known = {str(i): i for i in range(len(labels))} | {label.lower(): i for i, label in enumerate(labels)}
    for name in set(names):
        matches = [i for i, label in enumerate(labels) if name and label.lower().startswith(name.lower())]
        if name.lower() not in known and len(matches) == 1:
            known[name.lower()] = matches[0]
        if name.lower() not in known:
            raise LabelsDiffer(f"the data set has a label that is none of the model's: {', '.join(labels)}")
    return np.array([known[name.lower()] for name in names], dtype=np.int64)


def render(document: Mapping[str, Any]) -> RenderableType:
    """Tables for a terminal."""
    figures = Table(title=f"{document['model']['source']} on {document['count']:,} texts")
    figures.add_column("figure")
    figures.add_column("value", justify="right")
    for name, form in _FIGURES:
        figures.add_row(name.replace("_", " "), format(document[name], form))
    for bucket in document["by_length"]:
        figures.add_row(f"accuracy, {bucket['least']} words or more ({bucket['count']:,})", f"{bucket['accuracy']:.2%}")
    for stages, share in document.get("answered_by", {}).items():
        figures.add_row(f"answered by {stages}", f"{share:.1%}")
    confusion = Table(title="true label by row, answer by column")
    confusion.add_column("")
    for label in document["labels"]:
        confusion.add_column(label, justify="right")
    for label, row in zip(document["labels"], document["confusion"], strict=True):
        confusion.add_row(label, *(f"{count:,}" for count in row))
    return Group(figures, confusion)
