"""Write a bundle: its files, `matinee.json` with their digests, and `card.md`, all at once or not at all."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from matinee.core.bundle import MANIFEST_NAME
from matinee.core.errors import InvalidManifest, InvalidSettings
from matinee.core.manifest import FileEntry, Manifest

CARD_NAME = "card.md"


def check_out(folder: Path) -> None:
    """Raise `InvalidSettings` unless a bundle may take the place of ``folder``.

    It may when it is new, empty, or a bundle and nothing else: whatever else is in there would be lost.
    """
    if folder.name in ("", ".."):
        raise InvalidSettings([f"--out: {folder} has no name of its own; name a new folder"])
    if folder.exists() and not folder.is_dir():
        raise InvalidSettings([f"--out: {folder} is a file; name a new folder"])
    if folder.is_dir() and (strangers := {path.name for path in folder.iterdir()} - _names(folder)):
        raise InvalidSettings([f"--out: {folder} holds {min(strangers)}, which would be lost; name a new folder"])


def _names(folder: Path) -> set[str]:
    """What belongs to the bundle in ``folder``; nothing when there is none."""
    try:
        files = read_manifest(folder).files
    except (OSError, InvalidManifest):
        return set()
    return {MANIFEST_NAME, CARD_NAME, *(Path(name).parts[0] for name in files)}


def write_bundle(
    folder: Path, manifest: Manifest, card: Callable[[Manifest], str], write_files: Callable[[Path], None]
) -> Manifest:
    """Fill a folder beside ``folder`` with what ``write_files`` puts there, add manifest and card, and swap it in.

    The manifest's `files` are measured here; ``card`` renders the complete manifest. Returns the manifest as written.
    Raises `InvalidSettings` as `check_out` does.
    """
    check_out(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
        fresh = Path(name) / "new"
        fresh.mkdir()
        write_files(fresh)
        manifest = replace(manifest, files=measure_files(fresh))
        (fresh / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
        (fresh / CARD_NAME).write_text(card(manifest), encoding="utf-8")
        if folder.exists():
            folder.replace(Path(name) / "old")
        fresh.replace(folder)
    return manifest


def rewrite(folder: Path, manifest: Manifest, card: str) -> None:
    """Replace manifest and card of a bundle whose other files stay."""
    for name, content in ((MANIFEST_NAME, manifest.to_json()), (CARD_NAME, card)):
        partial = folder / f".{name}.partial"
        partial.write_text(content, encoding="utf-8")
        partial.replace(folder / name)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the bundle in ``folder``."""
    return Manifest.from_json((folder / MANIFEST_NAME).read_text(encoding="utf-8"))


def copy_files(source: Path, *names: str) -> Callable[[Path], None]:
    """A `write_files` that copies the named files of ``source``."""

    def copy(folder: Path) -> None:
        for name in names:
            shutil.copyfile(source / name, folder / name)

    return copy


def measure_files(folder: Path) -> dict[str, FileEntry]:
    """Size and SHA-256 of every file in ``folder``, by name."""
    return {
        path.name: FileEntry(path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in (MANIFEST_NAME, CARD_NAME)
    }
