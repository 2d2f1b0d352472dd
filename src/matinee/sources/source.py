"""What a source is, and the options that all of them get."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from matinee.core.bundle import Revision
from matinee.core.reference import ModelRef

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transfer is, in bytes; `total` is 0 where the registry does not say."""

    what: str
    done: int
    total: int


def bare(address: str) -> str:
    """An address as it may be shown: without user, password and query."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def silent(progress: Progress) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What every source is made with.

    `cache_dir` is where pulled bundles are kept (default: `matinee` in the user's cache folder), `cache_bytes` its
    bound. `resolve_seconds` limits one look at a registry, `pull_seconds` one whole transfer, and
    `stall_seconds` the time in which not one byte arrives. A bundle of more than `max_bytes` or `max_files` is
    refused. `settle_seconds` is how long files of a local folder without a manifest must have been left alone.
    `copies` (text of a reference -> path) says which bundles are also copied to a place of the operator's, once
    they answer.
    """

    cache_dir: Path | None = None
    cache_bytes: int = 20 * GIB
    resolve_seconds: float = 20.0
    pull_seconds: float = 1800.0
    stall_seconds: float = 60.0
    attempts: int = 3
    backoff_seconds: float = 1.0
    max_bytes: int = 20 * GIB
    max_files: int = 10_000
    settle_seconds: float = 1.0
    wandb_api_key: str | None = field(default=None, repr=False)
    copies: Mapping[str, Path] = field(default_factory=dict)
    progress: Callable[[Progress], None] = silent


class Source(Protocol):
    """A place where models come from."""

    def resolve(self, ref: ModelRef) -> Revision:
        """Say what the reference means right now; cheap, asked at every poll.

        Raises `InvalidReference`, `RevisionNotFound`, `SourceUnavailable`, `SourceDenied`.
        """

    def pull(self, revision: Revision, into: Path) -> None:
        """Fill the empty private folder `into` with the files of exactly this revision.

        Whatever a client needs on disk meanwhile goes into the temporary folder (`tempfile`), which is private too.

        Raises `CorruptBundle` for bytes or names that are not as they should be, and what `resolve` raises.
        """


@runtime_checkable
class InPlace(Protocol):
    """A source whose files cannot change under us, so that they are used where they are."""

    def locate(self, revision: Revision) -> Path:
        """The folder that holds the revision's files."""


@runtime_checkable
class Remote(Protocol):
    """A source somewhere else."""

    @property
    def settings(self) -> str:
        """Names of the settings and variables to look at when it cannot be reached."""


@runtime_checkable
class Publisher(Protocol):
    """A source that takes models too."""

    def push(self, folder: Path, ref: ModelRef) -> Revision:
        """Store the files of `folder`, which has a manifest; metrics and lineage are the registry's own metadata."""


SourceFactory = Callable[[SourceOptions], Source]
