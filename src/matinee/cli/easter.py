"""`matinee easter`: take a seat. The curtain is ASCII, the films are invented, the verdicts are the model's own."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.panel import Panel

    from matinee.core.prediction import Prediction

WIDTH = 64
STARS = 5
PROGRAMME = (
    ("The Last Semicolon", "I laughed, I wept, I recompiled. A wonderful film, and it runs in constant time."),
    (
        "Gradient Descent II",
        "Goes downhill fast, then sits there for two hours. A dull, lifeless and pointless sequel.",
    ),
    ("A Fistful of Tokens", "Gripping from the first subword to the last. The best western I have ever tokenized."),
    ("Overfitted", "It learned the trailer by heart and has nothing to say after that. Awful, a waste of time."),
    ("Some Like It Cached", "Charming, quick on its feet, and just as funny the second time. Simply delightful."),
)
VERDICTS = (
    (0.90, "Standing ovation. Somebody threw a hat."),
    (0.65, "Warm applause, and the popcorn lasted."),
    (0.35, "The audience is of two minds, and so is the model."),
    (0.10, "Polite coughing. A seat squeaks."),
    (0.00, "The projectionist has asked for his money back."),
)


def register(app: typer.Typer) -> None:
    """Add the command; it is no secret, only not in the programme."""
    app.command(hidden=True)(easter)


def easter(
    line: Annotated[str | None, typer.Argument(help="A review of your own, in one line.")] = None,
    model: Annotated[str | None, typer.Option(help="Reference of the critic; default: the setting MODEL.")] = None,
) -> None:
    """Take a seat."""
    from rich.console import Console

    from matinee.api.predict import Limits, check_text
    from matinee.cli.asking import ask
    from matinee.settings import load_settings

    settings = load_settings({"model": model})
    programme = list(PROGRAMME)
    if line is not None:
        check_text(line, "line", Limits())
        programme.append(("Your film", line))
    console = Console(highlight=False)
    _play(console, marquees("MATINEE"), 0.18)
    critic, predictions = ask(settings, [review for _, review in programme])
    if console.is_terminal:
        _play(console, curtain(), 0.07)
    for (title, review), prediction in zip(programme, predictions, strict=True):
        console.print(card(title, review, prediction))
        if console.is_terminal:
            time.sleep(0.6)
    console.print(
        f"  Reviewed by [bold]{critic.name}[/] {critic.version}, who saw all {len(programme)} this afternoon."
    )
    console.print('  Bring your own: [bold]matinee easter "one line about your film"[/]\n')


def marquees(title: str) -> Iterator["RenderableType"]:
    """The sign over the door, its bulbs chasing one another."""
    from rich.text import Text

    for turn in range(9):
        bulbs = "".join("*" if (position + turn) % 3 == 0 else "." for position in range(WIDTH))
        middle = " ".join(title).center(WIDTH - 4)
        yield Text.assemble(
            (bulbs + "\n", "bold yellow"),
            (f"{bulbs[0]} ", "bold yellow"),
            (middle, "bold red"),
            (f" {bulbs[-1]}\n", "bold yellow"),
            (f"{bulbs[1]} {'now showing: films that do not exist'.center(WIDTH - 4)} {bulbs[-2]}\n", "yellow"),
            (bulbs[::-1], "bold yellow"),
        )


def curtain() -> Iterator["RenderableType"]:
    """It opens."""
    from rich.text import Text

    half = WIDTH // 2
    for gap in range(0, half + 1, 2):
        cloth = ("|)" * half)[: half - gap]
        row = cloth + " " * (2 * gap) + cloth[::-1].replace(")", "(")
        yield Text("\n".join([row] * 3), style="red")


def card(title: str, review: str, prediction: "Prediction") -> "Panel":
    """One film: the review as it was written, the stars and the verdict as the model sees it."""
    from rich.panel import Panel
    from rich.text import Text

    joy = max(0.0, min(1.0, joy_of(prediction)))
    stars = 1 + round(joy * (STARS - 1))
    body = Text.assemble(
        (f"“{review}”\n", "italic"),
        ("★" * stars + "☆" * (STARS - stars), "yellow"),
        f"  {joy:.0%}  ",
        (verdict(joy), "dim"),
    )
    return Panel(body, title=Text(title, style="bold"), title_align="left", width=WIDTH + 4, border_style="red")


def joy_of(prediction: "Prediction") -> float:
    """How much the model liked it: the score of `positive`, or of the last label for a model with other words."""
    return prediction.scores.get("positive", list(prediction.scores.values())[-1])


def verdict(joy: float) -> str:
    """What happens in the hall."""
    return next(words for least, words in VERDICTS if joy >= least)


def _play(console: "Console", frames: Iterator["RenderableType"], seconds: float) -> None:
    """Show frames in place on a terminal; elsewhere, only the last one."""
    from rich.live import Live

    if not console.is_terminal:
        console.print(list(frames)[-1])
        return
    with Live(console=console, auto_refresh=False) as live:
        for frame in frames:
            live.update(frame, refresh=True)
            time.sleep(seconds)
