"""`matinee train linear | transformer`: make a model from a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from matinee.rollout import Opened

train = typer.Typer(name="train", help="Train a model and write its bundle.", no_args_is_help=True)


@train.callback()
def _root() -> None:
    pass


@train.command()
def linear(
    data: Annotated[Path, typer.Option(help="Folder, archive or Parquet files of the data set.")],
    out: Annotated[Path, typer.Option(help="Folder that becomes the bundle.")],
    seed: Annotated[int, typer.Option(help="Of the split by film.")] = 0,
) -> None:
    """Train the linear model: minutes, no random numbers, the same bytes every time."""
    from matinee.train.dataset import read_dataset
    from matinee.train.linear import train_linear

    manifest = train_linear(read_dataset(data), out, seed=seed)
    typer.echo(f"{out}: {manifest.metrics['test']['accuracy']:.2%} of the test reviews")


@train.command()
def transformer(
    data: Annotated[Path, typer.Option(help="Folder, archive or Parquet files of the data set.")],
    out: Annotated[Path, typer.Option(help="Folder that becomes the bundle.")],
    work: Annotated[Path, typer.Option(help="Folder for checkpoints; the same command goes on from there.")],
    teacher: Annotated[
        Path | None, typer.Option(help="Folder of a linear bundle that helps to label more reviews; default: none.")
    ] = None,
    base: Annotated[str, typer.Option(help="minilm, a folder, or a name on the Hugging Face Hub.")] = "minilm",
    unlabelled: Annotated[int, typer.Option(help="How many reviews the teacher labels.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the split, the windows and the order.")] = 0,
) -> None:
    """Train a small encoder in two stages, and write it as an int8 ONNX graph."""
    from matinee.train.dataset import read_dataset
    from matinee.train.transformer import Plan, train_transformer
    from matinee.train.transformer_bundle import write_transformer

    dataset = read_dataset(data)
    plan = Plan(base=base, work=work, teacher=teacher, unlabelled=unlabelled, seed=seed)
    manifest = write_transformer(train_transformer(dataset, plan), dataset, plan, out, _open)
    typer.echo(f"{out}: {manifest.metrics['test']['accuracy']:.2%} of the test reviews")


@train.command()
def cascade(
    data: Annotated[Path, typer.Option(help="Folder, archive or Parquet files of the data set.")],
    out: Annotated[Path, typer.Option(help="Folder that becomes the bundle.")],
    quick: Annotated[str, typer.Option(help="Reference of the model that answers when it is sure.")],
    full: Annotated[str, typer.Option(help="Reference of the model that joins it otherwise.")],
    seed: Annotated[int, typer.Option(help="Of the split by film: the members' own.")] = 0,
) -> None:
    """Put two models together: fit the threshold and the weights on held-out films."""
    from matinee.train.cascade import train_cascade
    from matinee.train.dataset import read_dataset

    manifest = train_cascade(read_dataset(data), quick, full, out, _open, seed)
    typer.echo(f"{out}: {manifest.metrics['test']['accuracy']:.2%} of the test reviews")


def _open(reference: str) -> "Opened":
    """Open a model as the settings say."""
    from matinee.app import create_stages
    from matinee.core.events import Event
    from matinee.core.reference import ModelRef
    from matinee.rollout import open_model
    from matinee.settings import load_settings

    def ignore(_event: Event) -> None:
        """Nobody is served, so that nobody listens."""

    return open_model("default", ModelRef.parse(reference), create_stages(load_settings(), ignore))


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(train)
