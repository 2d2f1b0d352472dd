"""`matinee predict` and `matinee easter`, with the model that ships with the package."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from matinee.cli import app
from matinee.cli.easter import PROGRAMME, VERDICTS, curtain, marquees, verdict
from matinee.core.errors import InvalidRequest

MODEL = "bundled:imdb-sentiment-linear"


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of this machine, and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")


def run(*arguments: str, stdin: str | bytes = "") -> Result:
    """The command with the bundled linear model."""
    return CliRunner().invoke(app, [*arguments, "--model", MODEL], input=stdin)


def test_texts_of_the_command_line_become_a_table() -> None:
    """One row each; what looks like markup is text."""
    result = run("predict", "A wonderful, moving film.", "[red]Dreadful[/red], a boring waste of time.")

    assert result.exit_code == 0, result.output
    assert "positive" in result.output
    assert "negative" in result.output
    assert "[red]" in result.output
    assert "█" in result.output


def test_standard_input_is_one_text_or_many() -> None:
    """As a whole, or line by line."""
    whole = json.loads(run("predict", "--json", stdin="A wonderful film.\n\nThe best.\n").stdout)
    lines = json.loads(run("predict", "-", "--lines", "--json", stdin="A wonderful film.\n\nAwful.\n").stdout)

    assert [prediction["label"] for prediction in whole["predictions"]] == ["positive"]
    assert [prediction["label"] for prediction in lines["predictions"]] == ["positive", "negative"]
    assert lines["model"]["source"] == MODEL


def test_a_line_ends_where_a_file_says_so() -> None:
    """Not at each of Unicode's separators, with which one text became two; a mark of byte order is none of it."""
    stdin = "\ufeffA wonderful\u2028film.\r\nAwful.\n".encode()
    lines = json.loads(run("predict", "--lines", "--json", stdin=stdin).stdout)
    assert [prediction["label"] for prediction in lines["predictions"]] == ["positive", "negative"]


def test_top_k_of_a_program() -> None:
    """The likeliest only."""
    answer = json.loads(run("predict", "A wonderful film.", "--top-k", "1", "--json").stdout)

    assert list(answer["predictions"][0]["scores"]) == ["positive"]


@pytest.mark.parametrize("stdin", ["", " \n", b"\xff\xfe"])
def test_nothing_to_read_is_said(stdin: str | bytes) -> None:
    """Not with a traceback."""
    result = run("predict", stdin=stdin)

    assert isinstance(result.exception, InvalidRequest)
    assert "standard input" in result.exception.message


def test_a_blank_text_is_refused_by_its_number() -> None:
    """The caller sees which one it was."""
    result = run("predict", "A wonderful film.", " ")

    assert isinstance(result.exception, InvalidRequest)
    assert result.exception.field == "text 2"


def test_the_matinee_is_judged_by_the_real_model() -> None:
    """All films of the programme and one's own; off a terminal nothing moves."""
    result = run("easter", "An honest little gem, wonderful and moving.")

    assert result.exit_code == 0, result.output
    for title, _ in PROGRAMME:
        assert title in result.output
    assert "Your film" in result.output
    assert result.output.count("★") > result.output.count("Your film")
    assert "\x1b" not in result.output


def test_every_share_of_joy_has_a_verdict() -> None:
    """From nothing to everything."""
    assert {verdict(step / 100) for step in range(101)} == {words for _, words in VERDICTS}


def test_the_animation_ends_with_an_open_curtain() -> None:
    """And the sign is lit all the while."""
    last = list(curtain())[-1]

    assert not str(last).strip()
    assert all("M A T I N E E" in str(frame) for frame in marquees("MATINEE"))
