"""`matinee pull`, `push` and `models`: move models between registries and this machine, and see what is here."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matinee.core.errors import InvalidSettings
from matinee.core.reference import ModelRef

if TYPE_CHECKING:
    from matinee.sources import Progress, Sources

_UNITS = ("bytes", "kB", "MB", "GB")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(pull)
    app.command()(push)
    app.command()(models)


def pull(
    model: Annotated[str, typer.Argument(metavar="REF", help="Reference of a model, such as hf:org/name.")],
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Copy the files into this new folder as well.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Bring a model into the cache, so that `matinee serve` starts at once. Exit code 4: no registry answers."""
    if to is not None and to.exists() and any(to.iterdir()):
        raise InvalidSettings([f"--to: {to} is not empty; name a new folder"])
    with _progress(quiet=json_output) as progress, _sources(progress) as sources:
        revision = sources.resolve(ModelRef.parse(model))
        bundle = sources.pull(revision)
        if to is not None:
            _copy(bundle.folder, to)
    files = [path for path in bundle.folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    if json_output:
        about = {"reference": model, "version": revision.version, "digest": bundle.digest}
        _print_json(about | {"folder": str(to or bundle.folder), "files": len(files), "bytes": size})
    else:
        typer.echo(f"{model} is version {revision.version}: {len(files)} files, {_size(size)}, {bundle.digest[:19]}")
        typer.echo(str(to or bundle.folder))


def _copy(folder: Path, target: Path) -> None:
    """All files of `folder` become those of `target`, or it stays as it is."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".matinee-", dir=target.parent) as made:
        beside = Path(made) / "files"
        # Folders anew, without the modes of the cache's: those may not be written to or moved, nor read by others.
        for path in (path for path in folder.rglob("*") if path.is_file()):
            copy = beside / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        beside.replace(target)


def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a model, with its matinee.json.")],
    target: Annotated[
        str, typer.Argument(metavar="REF", help="Where to: wandb:…:alias, models:/…@alias, s3://…, dir.")
    ],
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Publish a model, with its metrics and lineage as the registry's own metadata."""
    with _sources() as sources:
        revision = sources.push(folder, ModelRef.parse(target))
    if json_output:
        _print_json({"reference": target, "version": revision.version, "digest": revision.digest})
    else:
        typer.echo(f"{folder} is now version {revision.version} of {target}")


def models(
    json_output: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the models on this machine: those that ship with matinee, and those in the cache."""
    with _sources() as sources:
        rows = [*_bundled(sources), *_cached(sources)]
    if json_output:
        _print_json([row.as_json() for row in rows])
    else:
        _print_table(rows)


@dataclass(frozen=True, slots=True)
class _Row:
    reference: str
    digest: str
    size: int
    state: str
    used: str = ""

    def as_json(self) -> dict[str, Any]:
        row = {"reference": self.reference, "digest": self.digest, "bytes": self.size, "state": self.state}
        return row | ({"used": self.used} if self.used else {})


def _bundled(sources: "Sources") -> Iterator[_Row]:
    for name in sources.bundled():
        bundle = sources.pull(sources.resolve(ModelRef.parse(f"bundled:{name}")))
        size = sum(path.stat().st_size for path in bundle.folder.rglob("*") if path.is_file())
        yield _Row(f"bundled:{name}", bundle.digest, size, "bundled")


def _cached(sources: "Sources") -> Iterator[_Row]:
    for entry in sources.cached():
        used = datetime.fromtimestamp(entry.used_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        state = "in use" if entry.live else "cached"
        yield _Row(", ".join(entry.names) or "(no reference)", entry.digest, entry.size, state, used)


def _print_table(rows: list[_Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("model", overflow="fold")
    for heading in ("digest", "size", "state", "last used"):
        table.add_column(heading, justify="right" if heading == "size" else "left", no_wrap=True)
    for row in rows:
        table.add_row(row.reference, row.digest.removeprefix("sha256:")[:12], _size(row.size), row.state, row.used[:16])
    Console().print(table)


def _size(count: int) -> str:
    amount, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if amount < 1000 or unit == _UNITS[-1]:
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == _UNITS[0] else f"{amount:.1f} {unit}"


def _print_json(document: object) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


@contextmanager
def _sources(progress: "Callable[[Progress], None] | None" = None) -> "Iterator[Sources]":
    from dataclasses import replace

    from matinee.app import source_options
    from matinee.settings import load_settings
    from matinee.sources import Sources

    options = source_options(load_settings({}))
    sources = Sources(options if progress is None else replace(options, progress=progress))
    try:
        yield sources
    finally:
        sources.close()


@contextmanager
def _progress(*, quiet: bool) -> "Iterator[Callable[[Progress], None] | None]":
    """A progress bar on standard error, where that is a terminal."""
    from rich import progress as bars
    from rich.console import Console

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
    )
    with bars.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("downloading", total=None)

        def show(step: "Progress") -> None:
            bar.update(task, completed=step.done, total=step.total or None)

        yield show
