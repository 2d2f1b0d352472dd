"""`matinee train linear | transformer`: make a model from a data set."""

from pathlib import Path
from typing import Annotated

import typer

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
    teacher: Annotated[Path, typer.Option(help="Bundle of the linear model that helps to label more reviews.")],
    base: Annotated[str, typer.Option(help="minilm, a folder, or a name on the Hugging Face Hub.")] = "minilm",
    seed: Annotated[int, typer.Option(help="Of the split, the windows and the order.")] = 0,
) -> None:
    """Train a small encoder in two stages, and write it as an int8 ONNX graph."""
    from matinee.train.dataset import read_dataset
    from matinee.train.transformer import Plan, train_transformer

    train_transformer(read_dataset(data), Plan(base=base, work=work, teacher=teacher, seed=seed))
    typer.echo(f"{out}")


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(train)


if __name__ == "__main__":
    train()
