"""`matinee predict "text"`: the sentiment of a text, here and now."""

import sys
from io import StringIO
from typing import TYPE_CHECKING, Annotated

import typer

from matinee.core.errors import InvalidRequest

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from matinee.core.prediction import ModelIdentity, Prediction

BAR = 20
SHOWN = 60  # characters of a text in the table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(predict)


def predict(
    texts: Annotated[list[str] | None, typer.Argument(help="Texts; none, or -, reads standard input.")] = None,
    model: Annotated[str | None, typer.Option(help="Reference of the model; default: the setting MODEL.")] = None,
    lines: Annotated[bool, typer.Option("--lines", help="Each line of standard input is a text of its own.")] = False,
    overflow: Annotated[str | None, typer.Option(help="window, truncate or error; default: the model's own.")] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Only the k likeliest labels.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what POST /predict would answer.")] = False,
) -> None:
    """Classify texts from the command line or from standard input."""
    from matinee.api.predict import Limits, check_text, new_ids, render
    from matinee.cli.asking import ask
    from matinee.settings import load_settings

    settings = load_settings({"model": model, "overflow": overflow})
    asked = read_texts(texts, lines=lines)
    for position, text in enumerate(asked):
        check_text(text, f"text {position + 1}", Limits(max_text_chars=settings.max_text_chars))
    identity, predictions = ask(settings, asked, settings.overflow)
    if as_json:
        sys.stdout.buffer.write(render(predictions, identity, top_k, new_ids()) + b"\n")
    else:
        from rich.console import Console

        Console().print(table(asked, predictions, identity, top_k))


def read_texts(texts: list[str] | None, *, lines: bool) -> list[str]:
    """The texts of the command line, or of standard input: all of it as one text, or one for each line."""
    if texts and texts != ["-"]:
        return texts
    if sys.stdin.isatty() and not texts:
        raise InvalidRequest("text", 'give a text, as in: matinee predict "A film to fall in love with."')
    content = sys.stdin.buffer.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest("standard input", "is not UTF-8") from None
    # As a file has lines: `splitlines` would cut a text at each of Unicode's separators as well.
    each = (line.rstrip("\n") for line in StringIO(text, newline=None))
    found = [line for line in each if line.strip()] if lines else [text.strip()]
    if not found or not found[0]:
        raise InvalidRequest("standard input", "holds no text")
    return found


def table(texts: list[str], predictions: "list[Prediction]", model: "ModelIdentity", top_k: int | None) -> "Table":
    """A row for each text: the text as it was sent (never as markup), its label, and a bar for each score."""
    from rich.table import Table
    from rich.text import Text

    made = Table(caption=f"{model.name} {model.version} from {model.source}", caption_justify="left")
    made.add_column("text", overflow="fold", max_width=SHOWN)
    made.add_column("label")
    made.add_column("scores", no_wrap=True)
    made.add_column("read", justify="right")
    for text, prediction in zip(texts, predictions, strict=True):
        shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
        read = f"{prediction.tokens} tokens" + (", cut" if prediction.truncated else "")
        made.add_row(Text(shown), Text(prediction.label, style="bold"), bars(prediction, top_k), read)
    return made


def bars(prediction: "Prediction", top_k: int | None) -> "Text":
    """One line for each label, the likeliest first."""
    from rich.text import Text

    ranked = sorted(prediction.scores.items(), key=lambda item: -item[1])[:top_k]
    width = max(len(label) for label, _ in ranked)
    lines = []
    for label, score in ranked:
        filled = round(score * BAR)
        style = "green" if label == prediction.label else "dim"
        lines.append(
            Text.assemble(f"{label:<{width}} ", ("█" * filled, style), ("░" * (BAR - filled), "dim"), f" {score:7.2%}")
        )
    return Text("\n").join(lines)
