"""`matinee score IN OUT`: the rows of a whole file, with their predictions."""

import asyncio
import codecs
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from matinee.rollout import Opened
    from matinee.score import Job, Summary
    from matinee.score.readers import Reader

# Three chunks of 512 rows wait at once, and a single row may be asked for again.
QUEUE_TEXTS = 4096
TEXT_SECONDS = 3600.0
# First bytes -> what it is, and what writes it out.
_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "zcat"),
    b"BZh": ("bzip2", "bzcat"),
    b"\xfd7zXZ": ("xz", "xzcat"),
    b"\x28\xb5\x2f\xfd": ("zstd", "zstdcat"),
    b"PK\x03\x04": ("zip", "unzip -p"),
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(score)


def score(
    source: Annotated[str, typer.Argument(metavar="IN", help="CSV, JSON Lines or Parquet; - reads standard input.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="Where to write; - writes to standard output.")],
    model: Annotated[str | None, typer.Option(help="Reference of the model; default: the setting MODEL.")] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column with the texts; default: text, or the only one.")
    ] = None,
    input_format: Annotated[str | None, typer.Option(help="csv, jsonl or parquet; default: by the name.")] = None,
    output_format: Annotated[str | None, typer.Option(help="csv, jsonl or parquet; default: by the name.")] = None,
    prefix: Annotated[str, typer.Option(help="Of the names of the added columns.")] = "predicted_",
    overflow: Annotated[str | None, typer.Option(help="window, truncate or error; default: the model's own.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Start over; an existing OUT is replaced.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the summary as JSON (on standard error).")] = False,
) -> None:
    """Answer every row of a file, in order and in constant memory.

    A run that was interrupted continues with the same command: no row is lost or answered twice. Rows that cannot
    be answered go to OUT.rejects.jsonl with their number and the reason.
    """
    from matinee.core.events import Event
    from matinee.core.reference import ModelRef
    from matinee.rollout import open_model
    from matinee.score import InvalidInput, Job, check_target, format_of
    from matinee.score.rows import Columns
    from matinee.settings import load_settings

    formats = (format_of(source, input_format, "--input-format"), format_of(target, output_format, "--output-format"))
    settings = load_settings({"model": model, "overflow": overflow})
    if target != "-" and Path(source).exists() and Path(target).exists() and Path(source).samefile(target):
        raise InvalidInput(f"OUT: {target} is the input itself; name another file")
    if target != "-":
        check_target(Path(target), restart=restart)  # said before a model is fetched for nothing
    if target == "-" and isinstance(sys.stdout, TextIOWrapper):  # whatever the terminal's own encoding is
        sys.stdout.reconfigure(encoding="utf-8", errors="strict")
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(source, formats[0], text_column))

        def ignore(_event: Event) -> None:
            """Nobody listens to a run that serves nobody."""

        from matinee.app import create_stages

        name, reference = next(iter(settings.references().items()))
        opened = open_model(name, ModelRef.parse(reference), create_stages(settings, ignore))
        job = Job(
            reader=reader,
            target=None if target == "-" else Path(target),
            format=formats[1],
            columns=Columns(prefix, opened.classifier.labels),
            identity=_identity(source, opened, reader.columns, formats, text_column, prefix, settings.overflow),
            overflow=settings.overflow,
            restart=restart,
        )
        try:
            summary = asyncio.run(_run(job, opened, stack.enter_context(_progress())))
        except KeyboardInterrupt:
            again = "" if target == "-" else "; the same command goes on where this one was"
            sys.stderr.write(f"Stopped{again}.\n")
            raise typer.Exit(130) from None
    _print(summary, target, json_output=json_output)


@contextmanager
def open_reader(source: str, form: str, column: str | None) -> "Iterator[Reader]":
    """The reader of a file or of standard input; raises `InvalidInput`."""
    from matinee.score import InvalidInput
    from matinee.score.readers import CsvReader, JsonlReader, ParquetReader

    if form == "parquet":
        if source == "-":
            raise InvalidInput("IN: Parquet cannot be read from standard input; name a file")
        yield ParquetReader(Path(source), column)
        return
    with ExitStack() as stack:
        raw = _standard_input() if source == "-" else stack.enter_context(_opened(source))
        if source != "-":  # there, a look ahead would wait for the first line
            _check_encoding(source, raw)
        size = Path(source).stat().st_size if source != "-" else 0
        # What is not UTF-8 becomes a lone surrogate, so that only its own row is refused.
        stream = TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")

        def done() -> float:
            return raw.tell() / size if size else 0.0

        yield CsvReader(stream, column, done) if form == "csv" else JsonlReader(stream, column, done)
        stream.detach()


def _standard_input() -> BufferedReader:
    """Beside `sys.stdin`, whose lock Python wants when it ends: a thread that waits for a line has it."""
    return os.fdopen(sys.stdin.fileno(), "rb", closefd=False)


def _opened(source: str) -> BufferedReader:
    from matinee.score.readers import unreadable

    try:
        return Path(source).open("rb")
    except OSError as error:
        raise unreadable(source, error) from error


def _check_encoding(source: str, raw: BufferedReader) -> None:
    """What is no text, or UTF-16 as spreadsheets write it, is told by its first bytes; raises `InvalidInput`."""
    from matinee.score import InvalidInput

    begin = raw.peek(6)[:6]
    if begin[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        raise InvalidInput(f"IN: {source} is UTF-16: convert it, as in iconv -f UTF-16 -t UTF-8")
    for magic, (kind, tool) in _COMPRESSED.items():
        if begin.startswith(magic):
            raise InvalidInput(
                f"IN: {source} is compressed ({kind}): {tool} {source} | matinee score - OUT --input-format FORMAT"
            )


def _identity(source: str, opened: "Opened", *options: object) -> str:
    """Tells this job from another: the input's path, size and time of change, the model, the options."""
    stat = Path(source).stat() if source != "-" else None
    model = (opened.identity.digest, opened.classifier.labels)
    described = (source, stat and (stat.st_size, stat.st_mtime_ns), *model, *options)
    return hashlib.sha256(repr(described).encode()).hexdigest()


async def _run(job: "Job", opened: "Opened", report: Callable[[int, float], None]) -> "Summary":
    from matinee.engine import Admission, Engine, EngineLimits
    from matinee.score import score_file

    limits = EngineLimits(timeout_seconds=TEXT_SECONDS, cache_entries=0)
    engine = Engine(opened.classifier, opened.identity, Admission(QUEUE_TEXTS), limits, lambda _event: None)
    await engine.start()
    try:
        return await score_file(job, engine, sys.stdout, report)
    finally:
        await engine.close()


@contextmanager
def _progress() -> Iterator[Callable[[int, float], None]]:
    """A bar with share, rate and time left, where a person looks on."""
    if not sys.stderr.isatty():
        yield lambda _rows, _share: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.fields[rows]:,} rows"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]:,.0f} rows/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("score", total=1.0, rows=0, rate=0.0)
        began: list[int] = []

        def report(rows: int, share: float) -> None:
            began.append(rows)
            seconds = progress.tasks[0].elapsed or 1e-9
            progress.update(task, completed=share or None, rows=rows, rate=(rows - began[0]) / seconds)

        yield report


def _print(summary: "Summary", target: str, *, json_output: bool) -> None:
    import json

    if json_output:
        document = {"rows": summary.rows, "refused": summary.refused, "resumed_at": summary.resumed_at}
        sys.stderr.write(json.dumps(document | {"rejects": str(summary.rejects) if summary.rejects else None}) + "\n")
        return
    where = "standard output" if target == "-" else target
    line = f"{summary.rows - summary.refused:,} rows answered into {where}"
    if summary.resumed_at:
        line += f", {summary.resumed_at:,} of them earlier"
    if summary.refused:
        line += f"; {summary.refused:,} refused" + (f", reasons in {summary.rejects}" if summary.rejects else "")
    sys.stderr.write(line + "\n")
