"""`matinee tune`: what is the fastest way to run this model here, and how sure must a quick one be?"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from matinee.flavors import Trial, Tuning


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(tune)


def tune(
    model: Annotated[str | None, typer.Option(help="Reference of the model; default: the setting MODEL.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="CSV, JSON Lines or Parquet with texts like yours, to measure on.")
    ] = None,
    cascade: Annotated[
        str | None, typer.Option(metavar="DATA", help="Fit a cascade instead, on these texts with labels.")
    ] = None,
    quick: Annotated[str | None, typer.Option(help="Its quick model; default: the setting CASCADE.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder that becomes the cascade's bundle.")] = None,
    texts: Annotated[int, typer.Option(min=1, help="At most so many texts of --data.")] = 100,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Find the fastest runtime, precision, streams and batch size for a model on this machine, in under a minute.

    Only what answers like 32-bit arithmetic is taken: at most 0.1 % other labels, scores 0.005 apart on average. The
    result is kept in the cache folder and used from the next start on. With --cascade, fit instead when the quick model
    may answer alone and how the two are added, and write that as a bundle.
    """
    if cascade is not None:
        _fit_cascade(model, quick, cascade, out, json_output=json_output)
    else:
        _measure(model, data, texts, json_output=json_output)


def _measure(model: str | None, data: Path | None, limit: int, *, json_output: bool) -> None:
    import json

    from rich.console import Console

    from matinee.app import create_stages
    from matinee.cli.train import _open
    from matinee.flavors import tune as run
    from matinee.settings import load_settings

    opened = _open(model)
    opened.classifier.close()
    parcel = opened.parcel.members[1] if opened.parcel.members else opened.parcel
    console = Console(stderr=True)
    options = create_stages(load_settings({"model": model}), lambda _event: None).load
    with console.status("measuring") as status:
        tuning = run(parcel.bundle, options, _texts(data, limit), lambda trial: status.update(_line(trial)))
    if json_output:
        typer.echo(json.dumps(_document(tuning)))
    else:
        Console().print(_table(tuning))


def _texts(data: Path | None, limit: int) -> list[str]:
    """The first texts of a file."""
    from itertools import islice

    from matinee.cli.score import open_reader
    from matinee.score import format_of
    from matinee.score.rows import Reject

    if data is None:
        return []
    with open_reader(str(data), format_of(str(data), None, "--data"), None) as reader:
        rows = islice(reader.rows(), limit)
        return [row.text for row in rows if not isinstance(row, Reject)]


def _line(trial: "Trial") -> str:
    return f"{trial.plan.runtime} {trial.plan.precision}: {trial.texts_per_second:.1f} texts/s"


def _document(tuning: "Tuning") -> dict[str, Any]:
    return {
        "chosen": asdict(tuning.chosen.plan),
        "trials": [asdict(trial) | {"same_answers": trial.same_answers} for trial in tuning.trials],
        "texts": tuning.texts,
        "seconds": round(tuning.seconds, 1),
    }


def _table(tuning: "Tuning") -> "Table":
    from rich.table import Table

    made = Table(
        caption=f"{tuning.texts} texts, {tuning.seconds:.0f} s; used from the next start on. Flips: against f32."
    )
    for name in (
        "runtime",
        "precision",
        "streams",
        "threads",
        "batch tokens",
        "texts/s",
        "other labels",
        "scores apart",
    ):
        made.add_column(name, justify="left" if name in ("runtime", "precision") else "right")
    for trial in tuning.trials:
        plan = trial.plan
        cells = (plan.runtime, plan.precision, plan.streams, plan.threads, plan.batch_tokens)
        figures = (f"{trial.texts_per_second:.1f}", f"{trial.flips:.2%}", f"{trial.mean_difference:.4f}")
        style = "bold green" if trial == tuning.chosen else "" if trial.same_answers else "dim"
        made.add_row(*map(str, cells), *figures, style=style)
    return made


def _fit_cascade(model: str | None, quick: str | None, data: str, out: Path | None, *, json_output: bool) -> None:
    import json

    from matinee.cli.train import _labelled, _open
    from matinee.core.errors import InvalidSettings
    from matinee.settings import load_settings
    from matinee.train.bundles import check_out
    from matinee.train.cascade import Pair, fit_cascade

    quick = quick or load_settings().cascade
    missing = [f"{name} must be given" for name, value in (("--quick", quick), ("--out", out)) if value is None]
    if quick is None or out is None:
        raise InvalidSettings(missing)
    check_out(out)
    pair = Pair(_open(quick), _open(model))
    texts, labels = _labelled(data, None, "label", pair.full.classifier.labels)
    manifest = fit_cascade(pair, texts, labels, out)
    if json_output:
        typer.echo(json.dumps({"options": manifest.options, "metrics": manifest.metrics}))
    else:
        share, accuracy = manifest.metrics["answered_by_quick_alone"], manifest.metrics["fitted_on"]["accuracy"]
        typer.echo(f"{out}: the quick model answers {share:.0%} alone, together right on {accuracy:.2%}")
