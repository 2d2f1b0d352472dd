"""Models that ship with the package: read where they are, digest from their manifest."""

import re
from pathlib import Path

import matinee
from matinee.core.bundle import Revision
from matinee.core.digest import content_digest
from matinee.core.errors import InvalidReference, RevisionNotFound
from matinee.core.reference import ModelRef
from matinee.sources.source import SourceOptions
from matinee.sources.tree import hashes, read_manifest, walk

_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,99}$")


class BundledSource:
    """`bundled:name` is the folder `matinee/bundled/name`, installed with the program and as trusted as its code."""

    def __init__(self, options: SourceOptions, root: Path | None = None) -> None:
        self._root = root or Path(matinee.__file__).parent / "bundled"
        self._limits = (options.max_files, options.max_bytes)

    def names(self) -> list[str]:
        """Every model that ships with the package."""
        return sorted(path.parent.name for path in self._root.glob("*/matinee.json"))

    def resolve(self, ref: ModelRef) -> Revision:
        """The digest is computed from the manifest's own digests, which verification compares with the files."""
        if not _NAME.match(ref.rest):
            raise InvalidReference(f"{ref}: the name of a bundled model has lower-case letters, digits, and . _ -")
        folder = self._root / ref.rest
        if not folder.is_dir():
            raise RevisionNotFound(f"{ref}: no such model in this package; it has {', '.join(self.names()) or 'none'}")
        manifest = read_manifest(folder)
        files = walk(folder, *self._limits)
        digest = content_digest(hashes(folder, files, manifest.files if manifest else None))
        version = (manifest.version if manifest else "") or digest.removeprefix("sha256:")[:12]
        return Revision(ref, version, digest, pinned=True)

    def locate(self, revision: Revision) -> Path:
        """The folder inside the installed package."""
        return self._root / revision.reference.rest

    def pull(self, revision: Revision, into: Path) -> None:
        """Copy the model, for `matinee pull`."""
        folder = self.locate(revision)
        for name in walk(folder, *self._limits):
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            (into / name).write_bytes((folder / name).read_bytes())
