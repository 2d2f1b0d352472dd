"""What was live when, and why it changed: JSON lines that survive a crash and a restart.

A record is one appended line, flushed to the disk; a line that a crash cut short is passed over when reading.
A file that has grown past `MAX_BYTES` becomes `….1` and a new one begins, so the history stays bounded. Each
append opens the file anew and locks it, so that the processes of one server can share it.
"""

import errno
import fcntl
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matinee.core.bundle import Revision
from matinee.core.prediction import ModelIdentity
from matinee.core.reference import ModelRef

Key = tuple[str, str]
MAX_BYTES = 1_000_000
MAX_REASON = 500  # characters
MOST_REASONS = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One change, or one refusal, of one deployment.

    `event` is `live` or `refused`; `cause` is that of `ModelSwapped`, or the stage that refused; `at` is in
    seconds since the epoch, `process` the id of the process that changed (each worker process switches on its
    own, so one change of the reference is an entry for each). `version` and `digest` are those of the answers,
    `key` those of the registry, and `held` is the key of the revision that is passed over from now on, if any.
    """

    event: str
    cause: str
    version: str
    digest: str
    source: str
    key: Key
    at: float = field(default_factory=time.time)
    process: int = field(default_factory=os.getpid)
    previous: str = ""
    reasons: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)
    held: Key | None = None

    @classmethod
    def live(cls, model: ModelIdentity, revision: Revision, cause: str, **more: Any) -> "Entry":
        """`model` began to answer."""
        return cls("live", cause, model.version, model.digest, model.source, revision.key,
                   details=revision.details, **more)  # fmt: skip

    @classmethod
    def refused(cls, revision: Revision, stage: str, reasons: tuple[str, ...], **more: Any) -> "Entry":
        """`revision` was looked at and is not going to answer."""
        short = tuple(reason[:MAX_REASON] for reason in reasons[:MOST_REASONS])
        if left_out := len(reasons) - len(short):
            short += (f"… and {left_out} more; `matinee verify` lists what is wrong with the files",)
        return cls("refused", stage, revision.version, revision.digest, str(revision.reference), revision.key,
                   reasons=short, held=revision.key, **more)  # fmt: skip

    def revision(self, reference: ModelRef) -> Revision:
        """The revision again, to be pulled (from the cache, where it still is)."""
        return Revision(reference, *self.key, pinned=False, details=dict(self.details))

    def to_line(self) -> bytes:
        """The record as one line of JSON (ASCII, so that no text in it can break the line)."""
        document = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(document, default=dict).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Entry | None":
        """Read one line; None for one that was cut short or is not ours."""
        try:
            document = json.loads(line)
            document["key"] = tuple(document["key"])
            document["held"] = tuple(document["held"]) if document["held"] else None
            document["reasons"] = tuple(document["reasons"])
            return cls(**document)
        except (ValueError, KeyError, TypeError):
            return None


class History:
    """The entries of one deployment, newest last; with no `path` they live as long as the process."""

    def __init__(self, path: Path | None, keep: int = 1000) -> None:
        self._path = path
        self._keep = keep
        self._entries = self._read() if path else []

    @property
    def entries(self) -> list[Entry]:
        """The newest `keep` entries, oldest first."""
        return list(self._entries)

    def add(self, entry: Entry) -> None:
        """Remember `entry` at once; `write` makes it last."""
        self._entries = [*self._entries[-self._keep + 1 :], entry]

    def write(self, entry: Entry) -> None:
        """Append `entry` to the file and wait until it is on the disk; blocking, raises `OSError`."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        while not self._appended(self._path, entry.to_line()):
            continue

    def _appended(self, path: Path, line: bytes) -> bool:
        """Whether `line` is in the file: not if that was full, or was put aside by another process at this moment."""
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            status = os.fstat(descriptor)
            if not _is_at(status, path):
                return False
            if status.st_size > MAX_BYTES:
                path.replace(self._older)
                return False
            torn = status.st_size > 0 and os.pread(descriptor, 1, status.st_size - 1) != b"\n"
            line = (b"\n" if torn else b"") + line
            if os.write(descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return True

    def held(self, source: str) -> set[Key]:
        """The keys that are passed over: refused, or rolled back from, and not live by another way since."""
        held: set[Key] = set()
        for entry in self._entries:
            if entry.source != source:
                continue
            if entry.event == "live":
                held.discard(entry.key)
            if entry.held is not None:
                held.add(entry.held)
        return held

    @property
    def _older(self) -> Path:
        assert self._path is not None  # noqa: S101 - only asked for when there is a file
        return self._path.with_name(self._path.name + ".1")

    def _read(self) -> list[Entry]:
        lines: list[bytes] = []
        for path in (self._older, self._path):
            if path is not None and path.exists():
                lines += path.read_bytes().split(b"\n")
        found = (Entry.from_line(line) for line in lines[-self._keep :] if line)
        return [entry for entry in found if entry is not None]


def _is_at(status: os.stat_result, path: Path) -> bool:
    """Whether the open file with this `status` still has this name."""
    try:
        return os.path.samestat(status, path.stat())
    except FileNotFoundError:
        return False
