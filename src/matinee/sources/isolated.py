"""A source whose client library runs in a process of its own, with time limits from outside."""

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matinee.core.bundle import Revision
from matinee.core.errors import SourceUnavailable
from matinee.core.reference import ModelRef
from matinee.sources.client import ClientProcess
from matinee.sources.source import Progress, SourceOptions
from matinee.sources.tree import size_of


class Isolated:
    """The source called `name`, over there: one client kept for `resolve`, a fresh one for each transfer."""

    def __init__(self, name: str, options: SourceOptions) -> None:
        self._name = name
        self._options = options
        self._lock = threading.Lock()
        self._kept: ClientProcess | None = None

    def resolve(self, ref: ModelRef) -> Revision:
        """Ask the kept client; one that crashed or hung is ended, and the next look starts another."""
        with self._lock:
            if self._kept is None or not self._kept.is_usable:
                self._end_kept()
                self._kept = ClientProcess(self._name, self._options, Path(tempfile.mkdtemp(prefix="matinee-")))
            request = {"do": "resolve", "reference": ref.text}
            return revision_from(self._kept.ask(request, self._options.resolve_seconds))

    def pull(self, revision: Revision, into: Path) -> None:
        """Transfer in a fresh client, and end it when time is up or no byte has come for too long."""
        request = {"do": "pull", "revision": revision_to(revision), "into": str(into)}
        self._transfer(request, into.parent / "client", self._watch(revision, into.parent))

    def push(self, folder: Path, ref: ModelRef) -> Revision:
        """Publish in a fresh client."""
        request = {"do": "push", "folder": str(folder.absolute()), "reference": ref.text}
        workspace = Path(tempfile.mkdtemp(prefix="matinee-"))
        return revision_from(self._transfer(request, workspace, lambda: None))

    def close(self) -> None:
        """End the kept client."""
        with self._lock:
            self._end_kept()

    def _transfer(self, request: dict[str, Any], workspace: Path, tick: Callable[[], None]) -> dict[str, Any]:
        workspace.mkdir(mode=0o700, exist_ok=True)
        client = ClientProcess(self._name, self._options, workspace)
        try:
            return client.ask(request, self._options.pull_seconds, tick)
        finally:
            client.close()

    def _watch(self, revision: Revision, folder: Path) -> Callable[[], None]:
        """Report how much has arrived; raise when nothing did for `stall_seconds`."""
        total = int(revision.details.get("size", "0"))
        seen, seen_at = -1, time.monotonic()

        def look() -> None:
            nonlocal seen, seen_at
            size = size_of(folder)
            if size != seen:
                seen, seen_at = size, time.monotonic()
                self._options.progress(Progress(revision.reference.text, min(size, total or size), total))
            elif time.monotonic() - seen_at > self._options.stall_seconds:
                raise SourceUnavailable(f"{self._name}: not a byte arrived for {self._options.stall_seconds:g} s")

        return look

    def _end_kept(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


def revision_to(revision: Revision) -> dict[str, Any]:
    """A revision as JSON."""
    return {
        "reference": revision.reference.text,
        "version": revision.version,
        "digest": revision.digest,
        "pinned": revision.pinned,
        "details": revision.details,
    }


def revision_from(document: dict[str, Any]) -> Revision:
    """The revision that `revision_to` wrote."""
    return Revision(
        reference=ModelRef.parse(document["reference"]),
        version=document["version"],
        digest=document["digest"],
        pinned=document["pinned"],
        details=document["details"],
    )
