"""A progress bar for people; a line a minute where the output goes to a file."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_SECONDS = 60.0


class Report(Protocol):
    """Told how much is done, in the unit of the total, with a note such as the loss."""

    def __call__(self, done: int, note: str = "") -> None:
        """Show it."""


@contextmanager
def progress(title: str, total: int, *, done: int = 0, console: Console | None = None) -> Iterator[Report]:
    """Show how far ``title`` has come, beginning at ``done`` of ``total``, on standard error by default."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _lines(title, total, console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, completed=done, note="")
        yield lambda done, note="": bar.update(task, completed=done, note=note)


def _lines(title: str, total: int, console: Console) -> Report:
    begun = last = time.monotonic()

    def report(done: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LINE_SECONDS or (done >= total and now - begun >= 1.0):
            last = now
            console.print(f"{title}: {done}/{total} after {now - begun:.0f} s {note}", highlight=False)

    return report
