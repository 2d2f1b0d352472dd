"""A source whose client library runs in a process of its own, with time limits from outside."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from matinee.core.bundle import Revision
from matinee.core.errors import SourceUnavailable
from matinee.core.reference import ModelRef
from matinee.sources.client import ClientProcess
from matinee.sources.source import Progress, SourceOptions
from matinee.sources.tree import size_of

Workspace = Callable[[], AbstractContextManager[Path]]


class Isolated:
    """The source called `name`, over there: one client kept for `resolve`, until a transfer uses it up.

    `workspace` makes a private folder, where there is room for a model.
    """

    def __init__(self, name: str, options: SourceOptions, workspace: Workspace) -> None:
        self._name = name
        self._options = options
        self._workspace = workspace
        self._lock = threading.Lock()
        self._kept: ClientProcess | None = None

    def resolve(self, ref: ModelRef) -> Revision:
        """Ask the kept client; one that crashed or hung is ended, and the next look starts another."""
        with self._lock:
            request = {"do": "resolve", "reference": ref.text}
            return revision_from(self._usable().ask(request, self._options.resolve_seconds))

    def prepare(self) -> None:
        """Have a client ready for the next look: its library takes a second to import."""
        if self._lock.acquire(blocking=False):  # otherwise there is one, and it is being asked
            try:
                self._usable()
            finally:
                self._lock.release()

    def pull(self, revision: Revision, into: Path) -> None:
        """Transfer, and end the client when time is up or no byte has come for too long.

        The client that looked does it: it has its library imported, and nothing in its cache yet.
        """
        client = self._take_kept() or self._client()
        request = {"do": "pull", "revision": revision_to(revision), "into": str(into)}
        self._transfer(client, request, self._watch(revision, into, client.workspace))

    def push(self, folder: Path, ref: ModelRef) -> Revision:
        """Publish in a fresh client."""
        request = {"do": "push", "folder": str(folder.absolute()), "reference": ref.text}
        return revision_from(self._transfer(self._client(), request, lambda: None))

    def close(self) -> None:
        """End the kept client."""
        with self._lock:
            self._end_kept()

    def _client(self) -> ClientProcess:
        return ClientProcess(self._name, self._options, self._workspace())

    def _usable(self) -> ClientProcess:
        """The kept client, or a new one to keep."""
        if self._kept is None or not self._kept.is_usable:
            self._end_kept()
            self._kept = self._client()
        return self._kept

    def _take_kept(self) -> ClientProcess | None:
        """The kept client, which is not kept any more; None while it is being asked."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            client, self._kept = self._usable(), None
            return client
        finally:
            self._lock.release()

    def _transfer(self, client: ClientProcess, request: dict[str, Any], tick: Callable[[], None]) -> dict[str, Any]:
        try:
            return client.ask(request, self._options.pull_seconds, tick)
        finally:
            client.close()

    def _watch(self, revision: Revision, *folders: Path) -> Callable[[], None]:
        """Report how much has arrived; raise when nothing did for `stall_seconds`."""
        total = int(revision.details.get("size", "0"))
        seen, seen_at = -1, time.monotonic()

        def look() -> None:
            nonlocal seen, seen_at
            size = sum(map(size_of, folders))
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
