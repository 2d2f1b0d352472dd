"""A folder or a single file on this machine: `./dir`, `file:///dir`, `./ml/model/model.pkl`."""

import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from matinee.core.bundle import MANIFEST_NAME, Revision
from matinee.core.digest import content_digest, file_sha256
from matinee.core.errors import CorruptBundle, InvalidReference, RevisionNotFound
from matinee.core.reference import ModelRef
from matinee.sources.source import SourceOptions
from matinee.sources.tree import read_manifest, safe_names

# what tells two states of a file apart without reading it: size, time of the last change, and which file it is
Stamp = tuple[int, int, int]


class FolderSource:
    """Local files, copied before they are checked, so that the bytes checked are the bytes loaded.

    Files and folders whose names start with a dot do not count, nor does a link to a folder; a link to a file
    stands for that file.
    """

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._seen: dict[str, tuple[dict[str, Stamp], str]] = {}

    def resolve(self, ref: ModelRef) -> Revision:
        """The digest of the files' content; nothing is read again while sizes and times stay the same."""
        path = _path(ref)
        files = self._files(path, ref)
        stamps = {name: _stamp(file) for name, file in files.items()}
        seen, digest = self._seen.get(ref.text, ({}, ""))
        if stamps != seen:
            digest = _digest(files)
            self._seen[ref.text] = (stamps, digest)
        return Revision(ref, version=digest.removeprefix("sha256:")[:12], digest=digest)

    def pull(self, revision: Revision, into: Path) -> None:
        """Copy the files; raises `CorruptBundle` when they are no longer, or not yet, what `resolve` saw."""
        path = _path(revision.reference)
        files = self._files(path, revision.reference)
        for name, file in files.items():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, into / name)
        if read_manifest(into) is None:
            self._settle(files)
        if _digest({name: into / name for name in files}) != revision.digest:
            raise CorruptBundle(f"{path} was changed while it was read; try again when it is complete")

    def push(self, folder: Path, ref: ModelRef) -> Revision:
        """Write the files beside the target and put them in its place, the old folder last seen whole.

        Raises `InvalidReference` where something else than a model would be lost.
        """
        target = _path(ref)
        if target.is_file():
            raise InvalidReference(f"{ref}: is a file; push to the name of a folder")
        if target.is_dir():
            _check_replaceable(target, ref)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh, old = (target.with_name(f".{target.name}.{kind}.{os.getpid()}") for kind in ("new", "old"))
        shutil.copytree(folder, fresh)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)
        return self.resolve(ref)

    def _settle(self, files: dict[str, Path]) -> None:
        """Without a manifest nobody can tell half a model from a whole one: wait until its files are left alone."""
        stamps = {name: _stamp(file) for name, file in files.items()}
        age = time.time() - max(file.stat().st_mtime for file in files.values())
        if age < self._options.settle_seconds:
            time.sleep(min(self._options.settle_seconds, self._options.settle_seconds - age))
        if stamps != {name: _stamp(file) for name, file in files.items()}:
            raise CorruptBundle("the files are still being written; try again when they are complete")

    def _files(self, path: Path, ref: ModelRef) -> dict[str, Path]:
        """Name in the bundle -> file: all of a folder, or one file with the manifest beside it that names it."""
        if path.is_file():
            files = {path.name: path}
            manifest = read_manifest(path.parent)
            if manifest is not None and set(manifest.files) == {path.name}:
                files[MANIFEST_NAME] = path.parent / MANIFEST_NAME
            return files
        if not path.is_dir():
            raise RevisionNotFound(f"{ref}: no such file or folder: {path.absolute()}")
        files = dict(_below(path, path))
        if not files:
            raise RevisionNotFound(f"{ref}: the folder {path.absolute()} is empty")
        if len(files) > self._options.max_files:
            raise CorruptBundle(f"{ref}: the folder has more than {self._options.max_files:,} files")
        safe_names(files)
        return files


def _check_replaceable(target: Path, ref: ModelRef) -> None:
    names = sorted(path.name for path in target.iterdir())
    if names and MANIFEST_NAME not in names:
        raise InvalidReference(f"{ref}: holds {names[0]} and no {MANIFEST_NAME}; push to a new folder, or over a model")
    if hidden := [name for name in names if name.startswith(".")]:
        raise InvalidReference(f"{ref}: holds {hidden[0]}, which would be lost; push to another folder")


def _path(ref: ModelRef) -> Path:
    if ref.scheme != "file":
        return Path(ref.rest).expanduser()
    rest = unquote(ref.rest)
    if not rest.startswith("//"):
        return Path(rest)
    host, _, path = rest[2:].partition("/")
    if host not in ("", "localhost"):
        raise InvalidReference(f"{ref}: file:// names a file on this machine: file:///folder")
    return Path("/" + path)


def _below(root: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda item: item.name):
            if entry.name.startswith("."):
                continue
            path = Path(entry.path)
            name = path.relative_to(root).as_posix()
            if entry.is_dir(follow_symlinks=False):
                yield from _below(root, path)
            elif entry.is_file():
                yield name, path
            elif not entry.is_symlink():
                raise CorruptBundle(f"{name!r} is a device or a pipe; a bundle holds plain files only")


def _stamp(file: Path) -> Stamp:
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise CorruptBundle(f"{file.name!r} is not a plain file")
    return (status.st_size, status.st_mtime_ns, status.st_ino)


def _digest(files: dict[str, Path]) -> str:
    return content_digest({name: file_sha256(file) for name, file in files.items()})
