"""`matinee train linear | transformer | cascade` makes a model from a data set; `matinee evaluate` measures any."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from matinee.rollout import Opened
    from matinee.train.reviews import Dataset

Data = Annotated[
    str, typer.Option(help="aclImdb_v1.tar.gz, its folder, a folder of Parquet files, or imdb to download it.")
]
Out = Annotated[Path, typer.Option(help="Folder that becomes the bundle.")]
Seed = Annotated[int, typer.Option(help="Of the split by film, and of whatever the recipe draws.")]

train = typer.Typer(name="train", help="Train a model and write its bundle.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(train)
    app.command()(evaluate)


@train.command()
def linear(
    data: Data,
    out: Out,
    labels: Annotated[
        Path | None, typer.Option(help="What `matinee train labels` wrote: learn from these reviews, too.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Train the linear model: a minute or less, no random numbers, the same bytes every time."""
    _check(out)
    with _extra_named():
        from matinee.train.linear import train_linear

    _say(out, train_linear(_read(data), out, labels=labels, seed=seed).metrics)


@train.command()
def labels(
    data: Data,
    out: Annotated[Path, typer.Option(help="File (.npz) for the labels.")],
    model: Annotated[str | None, typer.Option(help="Reference of the teacher; default: the setting MODEL.")] = None,
    seed: Seed = 0,
) -> None:
    """Let a model label the reviews that nobody labelled, for another one to learn from."""
    from matinee.train.taught import write_labels

    opened = _open(model)
    sure = write_labels(_read(data), opened.classifier, out, seed=seed)
    opened.classifier.close()
    typer.echo(f"{out}: sure of {sure:,} reviews")


@train.command()
def transformer(
    data: Data,
    out: Out,
    work: Annotated[Path, typer.Option(help="Folder for checkpoints; the same command goes on from there.")],
    teacher: Annotated[
        Path | None, typer.Option(help="Folder of a linear bundle that helps to label more reviews; default: none.")
    ] = None,
    base: Annotated[str, typer.Option(help="minilm, a folder, or a name on the Hugging Face Hub.")] = "minilm",
    unlabelled: Annotated[int, typer.Option(help="How many reviews the teacher labels.")] = 45_000,
    seed: Seed = 0,
) -> None:
    """Train a small encoder in stages, and write it as an int8 ONNX graph."""
    _check(out)
    with _extra_named():
        from matinee.train.transformer import Plan, train_transformer
        from matinee.train.transformer_bundle import write_transformer

    dataset = _read(data)
    plan = Plan(base=base, work=work, teacher=teacher, unlabelled=unlabelled, seed=seed)
    _say(out, write_transformer(train_transformer(dataset, plan), dataset, plan, out, _open).metrics)


@train.command()
def cascade(
    data: Data,
    out: Out,
    quick: Annotated[str, typer.Option(help="Reference of the model that answers when it is sure.")],
    full: Annotated[str, typer.Option(help="Reference of the model that joins it otherwise.")],
    seed: Seed = 0,
) -> None:
    """Put two models together: fit the threshold and the weights on held-out films."""
    from matinee.train.cascade import train_cascade

    _check(out)
    _say(out, train_cascade(_read(data), quick, full, out, _open, seed).metrics)


def evaluate(
    data: Annotated[
        str,
        typer.Argument(help="CSV, JSON Lines or Parquet with labels, or what train reads: its test part."),
    ],
    model: Annotated[str | None, typer.Option(help="Reference of the model; default: the setting MODEL.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Default: text, or the only one.")] = None,
    label_column: Annotated[str, typer.Option(help="Holds the labels' names, beginnings or numbers.")] = "label",
    overflow: Annotated[str | None, typer.Option(help="window, truncate or error; default: the model's own.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure a model: accuracy, AUC, log loss, calibration error, confusion, accuracy by length."""
    import json

    from rich.console import Console

    from matinee.settings import load_settings
    from matinee.train.evaluate import evaluate as run
    from matinee.train.evaluate import render

    opened = _open(model)
    texts, labels = _labelled(data, text_column, label_column, opened.classifier.labels)
    document = run(opened, texts, labels, load_settings({"overflow": overflow}).overflow)
    opened.classifier.close()
    if json_output:
        typer.echo(json.dumps(document))
    else:
        Console().print(render(document))


def _labelled(
    data: str, text_column: str | None, label_column: str, labels: tuple[str, ...]
) -> "tuple[list[str], NDArray[np.int64]]":
    """Texts and label indices of a file of rows, or of the test part of the data set."""
    from matinee.score import InvalidInput, format_of, is_of_rows
    from matinee.train.evaluate import index_labels

    if not is_of_rows(data):
        dataset = _read(data)
        return dataset.test.texts, index_labels([dataset.labels[i] for i in dataset.test.labels], labels)
    from matinee.cli.score import open_reader
    from matinee.score.rows import Reject

    texts, names = [], []
    with open_reader(data, format_of(data, None, "DATA"), text_column) as reader:
        for row in reader.rows():
            if isinstance(row, Reject):
                raise InvalidInput(f"DATA: row {row.number}: {row.reason}")
            if label_column not in row.fields:
                raise InvalidInput(f"--label-column: there is no column {label_column} in {', '.join(row.fields)}")
            texts.append(row.text)
            names.append(str(row.fields[label_column]))
    if not texts:
        raise InvalidInput(f"DATA: {data} has no rows")
    return texts, index_labels(names, labels)


@contextmanager
def _extra_named() -> Iterator[None]:
    from matinee.core.errors import MissingExtra

    try:
        yield
    except ImportError as error:
        raise MissingExtra(f"training ({error.name})", "train") from None


def _check(out: Path) -> None:
    """Before the hours that training takes, not after them."""
    from matinee.train.bundles import check_out

    check_out(out)


def _say(out: Path, metrics: Mapping[str, Any]) -> None:
    typer.echo(f"{out}: right on {metrics['test']['accuracy']:.2%} of the test reviews")


def _read(data: str) -> "Dataset":
    from matinee.settings import load_settings
    from matinee.train.dataset import read_dataset

    return read_dataset(data, load_settings().cache_dir.expanduser() / "data")


def _open(reference: str | None) -> "Opened":
    """Open a model as the settings say."""
    from matinee.app import create_stages
    from matinee.core.events import Event
    from matinee.core.reference import ModelRef
    from matinee.rollout import open_model
    from matinee.settings import load_settings

    def ignore(_event: Event) -> None:
        """Nobody is served, so that nobody listens."""

    settings = load_settings({"model": reference})
    name, reference = next(iter(settings.references().items()))
    return open_model(name, ModelRef.parse(reference), create_stages(settings, ignore))
