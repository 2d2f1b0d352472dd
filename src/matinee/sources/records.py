"""What the cache remembers beside the bundles: which bundle a revision is, and what a reference was lately."""

import hashlib
import json
import os
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from matinee.core.bundle import Revision
from matinee.core.reference import ModelRef
from matinee.sources.locks import exclusive

_LOCK_SECONDS = 10.0
_REMEMBERED = 8  # revisions of one reference


@dataclass(frozen=True, slots=True)
class Record:
    """One revision as it was pulled; `bundle` is the digest of its files, `confirmed` that it was served."""

    reference: str
    identity: str
    version: str
    digest: str
    pinned: bool
    bundle: str = ""
    confirmed: bool = False

    @classmethod
    def of(cls, revision: Revision) -> "Record":
        """The record of a revision; sources that know a name for all its references put it into `identity`."""
        reference = revision.reference.text
        identity = revision.details.get("identity", reference)
        return cls(reference, identity, revision.version, revision.digest, revision.pinned)

    @property
    def key(self) -> str:
        """Names the revision in the cache; equal for all references that mean it."""
        return _name(json.dumps([self.identity, self.version, self.digest]))

    def revision(self) -> Revision:
        """The revision again, without the source's private details."""
        return Revision(ModelRef.parse(self.reference), self.version, self.digest, self.pinned)


class Records:
    """Small JSON files, each replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self._revisions = folder / "revisions"
        self._references = folder / "references"
        self._locks = folder / "locks"

    def bundle_of(self, record: Record) -> str:
        """The digest of the bundle that a revision is, empty if it was never pulled."""
        found = _read(self._revisions / f"{record.key}.json")
        return found[0].bundle if found else ""

    def remember(self, record: Record, bundle: str) -> None:
        """Note that a revision is this bundle, and that its reference meant it just now."""
        record = replace(record, bundle=bundle)
        with self._locked(record.key):
            _write(self._revisions / f"{record.key}.json", [record])
        with self._locked(_name(record.reference)):
            history = self.of_reference(record.reference)
            confirmed = any(old.bundle == bundle and old.confirmed for old in history)
            others = [old for old in history if old.key != record.key]
            _write(self._reference(record.reference), [replace(record, confirmed=confirmed), *others][:_REMEMBERED])

    def confirm(self, reference: str, bundle: str) -> None:
        """Note that a bundle was loaded and answers."""
        with self._locked(_name(reference)):
            history = [
                replace(record, confirmed=record.confirmed or record.bundle == bundle)
                for record in self.of_reference(reference)
            ]
            _write(self._reference(reference), history)

    def of_reference(self, reference: str) -> list[Record]:
        """What a reference was, newest first."""
        return _read(self._reference(reference))

    def names(self) -> dict[str, list[str]]:
        """Bundle digest -> `reference (version)` of everything that it is known as."""
        found: dict[str, list[str]] = {}
        for path in sorted(self._references.glob("*.json")):
            for record in _read(path):
                found.setdefault(record.bundle, []).append(f"{record.reference} ({record.version})")
        return found

    def _locked(self, name: str) -> AbstractContextManager[None]:
        return exclusive(self._locks / f"record-{name}.lock", _LOCK_SECONDS)

    def _reference(self, reference: str) -> Path:
        return self._references / f"{_name(reference)}.json"


def _name(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:40]


def _read(path: Path) -> list[Record]:
    """The records in a file; a file that is not there or damaged has none."""
    try:
        return [Record(**fields) for fields in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


def _write(path: Path, records: list[Record]) -> None:
    """Replace a file as a whole; its lock is held, so one temporary name is enough and none is ever left over."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump([asdict(record) for record in records], file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
