"""`matinee verify`, `inspect` and `convert`: what is this model, and may it be loaded?"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matinee.core.errors import InvalidSettings, MatineeError, ModelRejected

if TYPE_CHECKING:
    from matinee.core.bundle import Bundle
    from matinee.rollout import Stages
    from matinee.verify import Report

_STYLES = {"ok": "green", "note": "yellow", "refused": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(verify)
    app.command()(inspect)
    app.command()(convert)


def verify(
    model: Annotated[str, typer.Argument(metavar="DIR", help="Folder or file of a model, or any other reference.")],
    json_output: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Check every file of a model without loading it. Exit code 3: it would be refused."""
    from matinee.verify import check

    stages = _stages()
    report = check(_pull(stages, model)[0], stages.policy)
    if json_output:
        checks = [
            {"subject": c.subject, "what": c.what, "outcome": c.outcome, "detail": c.detail} for c in report.checks
        ]
        typer.echo(json.dumps({"passed": report.passed, "checks": checks}, indent=2, ensure_ascii=False))
    else:
        _print_checks(report)
    if not report.passed:
        raise typer.Exit(ModelRejected.exit_code)


def inspect(
    model: Annotated[str, typer.Argument(metavar="REF", help="Reference of a model.")],
    json_output: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what a model is, and whether it would be served here. Exit code 3: it would not."""
    from matinee.verify import check

    stages = _stages()
    bundle, version = _pull(stages, model)
    report = check(bundle, stages.policy)
    about = _describe(report, bundle) | {"reference": model, "version": version, "digest": bundle.digest}
    about |= _try(stages, model) if report.passed else {"loads": False, "refused": list(report.reasons)}
    if json_output:
        typer.echo(json.dumps(about, indent=2, ensure_ascii=False))
    else:
        _print_description(about)
    if not about["loads"]:
        raise typer.Exit(ModelRejected.exit_code)


def convert(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A scikit-learn model: .joblib, .pkl or .skops.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="A new .skops file, or a new folder.")],
) -> None:
    """Write a pickled scikit-learn model in a form that holds no code.

    A `.skops` file keeps every pipeline that may be loaded. A folder holds a linear text pipeline as plain arrays,
    with equal answers (the difference is at most 1e-6): it is served without scikit-learn.
    """
    from matinee.flavors import convert_sklearn
    from matinee.verify import inspect as inspect_bundle

    if target.exists():
        raise InvalidSettings([f"DST: {target} exists already; name a new file or folder"])
    stages = _stages()
    bundle = inspect_bundle(_pull(stages, source)[0], stages.policy)
    convert_sklearn(bundle, target)
    typer.echo(f"Wrote {target}", err=True)


def _stages() -> "Stages":
    from matinee.app import create_stages
    from matinee.core.events import Event
    from matinee.settings import load_settings

    def ignore(_event: Event) -> None:
        """Nobody listens to a command that serves nobody."""

    return create_stages(load_settings({}), ignore)


def _pull(stages: "Stages", model: str) -> "tuple[Bundle, str]":
    from matinee.core.reference import ModelRef

    revision = stages.sources.resolve(ModelRef.parse(model))
    return stages.sources.pull(revision), revision.version


def _describe(report: "Report", bundle: "Bundle") -> dict[str, Any]:
    sizes = [path.stat().st_size for path in bundle.folder.rglob("*") if path.is_file()]
    about: dict[str, Any] = {"files": len(sizes), "bytes": sum(sizes)}
    if (manifest := report.manifest) is not None:
        about |= {
            "name": manifest.name,
            "flavor": manifest.flavor,
            "manifest": "inferred from the files" if manifest.inferred else "matinee.json",
            "labels": list(manifest.labels),
            "max_tokens": manifest.text.max_tokens,
            "overflow": manifest.text.overflow,
            "metrics": dict(manifest.metrics),
            "lineage": dict(manifest.lineage),
        }
    return about


def _try(stages: "Stages", model: str) -> dict[str, Any]:
    """Load it, to see; of a cascade the members too."""
    from matinee.core.reference import ModelRef
    from matinee.rollout import open_model

    began = time.perf_counter()
    try:
        classifier = open_model("inspected", ModelRef.parse(model), stages).classifier
    except MatineeError as error:
        return {"loads": False, "refused": [error.message]}
    labels = list(classifier.labels)
    classifier.close()
    return {"loads": True, "labels": labels, "load_seconds": round(time.perf_counter() - began, 3)}


def _print_checks(report: "Report") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("file", "looked at as", "outcome", "why", box=None, pad_edge=False)
    for line in report.checks:
        style = _STYLES[line.outcome]
        table.add_row(escape(line.subject), line.what, f"[{style}]{line.outcome}[/]", escape(line.detail))
    console = Console(file=sys.stdout)
    console.print(table)
    count = len(report.reasons)
    console.print("It may be loaded." if report.passed else f"It would be refused, for {count} reason(s).")


def _print_description(about: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(overflow="fold")
    for key, value in _rows(about):
        table.add_row(f"[bold]{key}[/]", escape(value))
    Console(file=sys.stdout).print(table)


def _rows(about: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """One row for each single value; longer tables and lists of tables are for `--json`."""
    for key, value in about.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{prefix}{key} ")
        elif not isinstance(value, list):
            yield prefix + key, str(value)
        elif all(isinstance(item, str) for item in value):
            yield prefix + key, ", ".join(value)
