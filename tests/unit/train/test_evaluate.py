"""`matinee evaluate`: the same figures for people and programs, from files of any labels."""

import io
import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from rich.console import Console
from tests.unit.train.corpus import reviews
from tests.unit.train.models import Counter, opened
from typer.testing import CliRunner

from matinee.cli import app
from matinee.rollout import Opened
from matinee.train.evaluate import LabelsDiffer, evaluate, index_labels, render

TINY = Path(__file__).parents[2] / "fixtures" / "tiny-onnx"


def test_the_document_has_every_figure_and_the_table_shows_it() -> None:
    """Whose figures, on how many texts, and each of them."""
    test = reviews(80, 2)
    document = evaluate(cast("Opened", opened(Counter())), test.texts, test.labels)
    assert document["model"]["source"] == "bundled:counter"
    assert document["count"] == 80
    assert document["accuracy"] > 0.9
    assert json.loads(json.dumps(document)) == document
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(render(document))
    shown = console.export_text()
    assert f"{document['accuracy']:.2%}" in shown
    assert "negative" in shown


@pytest.mark.parametrize("names", [["NEGATIVE", "Positive"], ["neg", "pos"], ["0", "1"], ["n", "p"]])
def test_labels_are_understood_in_the_usual_spellings(names: list[str]) -> None:
    """Names in any case, clear beginnings, numbers."""
    assert index_labels(names, ("negative", "positive")).tolist() == [0, 1]


@pytest.mark.parametrize("name", ["neutral", "", "2", "po sitive"])
def test_a_label_that_the_model_does_not_know_is_an_error_with_the_known_ones(name: str) -> None:
    """The message lists the model's labels, not the file's content."""
    with pytest.raises(LabelsDiffer, match="negative, positive"):
        index_labels(["positive", name], ("negative", "positive"))


def test_a_beginning_that_fits_two_labels_is_refused() -> None:
    """`po` could be either."""
    with pytest.raises(LabelsDiffer):
        index_labels(["po"], ("positive", "poor"))


def test_the_command_measures_a_bundle_on_a_file(tmp_path: Path) -> None:
    """A real bundle, a CSV with labels, JSON out."""
    rows = ["text,label", "I love this wonderful film!,negative", '"The worst, most boring movie.",pos', "Awful.,0"]
    (tmp_path / "rows.csv").write_text("\n".join(rows), encoding="utf-8")
    environment = {"CACHE_DIR": str(tmp_path / "cache")}
    arguments = ["evaluate", str(tmp_path / "rows.csv"), "--model", str(TINY), "--json"]
    result = CliRunner().invoke(app, arguments, env=environment)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["accuracy"] == 1.0
    assert np.sum(document["confusion"]) == 3


def test_a_missing_label_column_is_named(tmp_path: Path) -> None:
    """One sentence that says which column was looked for."""
    (tmp_path / "rows.csv").write_text("text,stars\nFine,5\n", encoding="utf-8")
    result = CliRunner().invoke(
        app, ["evaluate", str(tmp_path / "rows.csv"), "--model", str(TINY)], env={"CACHE_DIR": str(tmp_path / "cache")}
    )
    assert "--label-column" in str(result.exception)


def test_a_file_without_rows_and_names_in_capitals_are_understood(tmp_path: Path) -> None:
    """Nothing to measure was a traceback; a name as Windows writes it was taken for an archive."""
    (tmp_path / "ROWS.CSV").write_text("text,label\n", encoding="utf-8")
    result = CliRunner().invoke(
        app, ["evaluate", str(tmp_path / "ROWS.CSV"), "--model", str(TINY)], env={"CACHE_DIR": str(tmp_path / "cache")}
    )
    assert "has no rows" in str(result.exception)
