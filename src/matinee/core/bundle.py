"""What travels from a source to a flavor: revision, bundle, manifest, and the bundle that passed verification."""

from dataclasses import dataclass, field
from pathlib import Path

from matinee.core.manifest import Manifest
from matinee.core.reference import ModelRef

MANIFEST_NAME = "matinee.json"


@dataclass(frozen=True, slots=True)
class Revision:
    """What a reference means right now: an immutable version.

    Two revisions are compared with "differs" (`key`), never with "newer": a rollback moves an alias back.
    `digest` is the registry's own statement about the content (any algorithm, prefixed: `md5:…`, `sha256:…`),
    empty where it makes none. `pinned` says that the reference cannot come to mean anything else.
    `details` is the source's private note from `resolve` to `pull` (an artifact id, a URL).
    """

    reference: ModelRef
    version: str
    digest: str = ""
    pinned: bool = False
    details: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def key(self) -> tuple[str, str]:
        """Equal keys mean the same content under the same version."""
        return (self.version, self.digest)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder of model files, complete and read-only; `digest` is `sha256:…` over names and contents of its files.

    `stale` says that the registry could not be asked, and this is the last good revision from the cache.
    """

    folder: Path
    revision: Revision
    digest: str
    stale: bool = False


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A bundle that may be loaded. Only `verify.inspect` makes one (a test holds everybody to it)."""

    folder: Path
    revision: Revision
    digest: str
    manifest: Manifest
    stale: bool = False
