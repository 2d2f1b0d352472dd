"""Are these the bytes that the manifest promised: every listed file, its size, its SHA-256, and no file besides."""

import hashlib
from pathlib import PurePosixPath

from matinee.core.bundle import MANIFEST_NAME
from matinee.core.manifest import Manifest
from matinee.verify.folder import Listing, printable
from matinee.verify.report import Check

# Text for people: no loader reads it, so it need not be promised.
_DOCUMENTS = (".md", ".txt", ".rst")
_DOCUMENT_NAMES = ("license", "notice", "card", "readme", "changelog", "model_card")


def check_digests(listing: Listing, manifest: Manifest) -> list[Check]:
    """One line for each listed file that is absent or differs and for each unlisted one; or one `ok` line."""
    if not manifest.files:
        return [Check(MANIFEST_NAME, "digests", "note", "lists no files, so their contents are not compared")]
    refused = [
        Check(printable(name), "digests", "refused", problem)
        for name in manifest.files
        if (problem := _difference(listing, manifest, name))
    ]
    unlisted = sorted(set(listing.files) - set(manifest.files) - {MANIFEST_NAME})
    refused += [
        Check(printable(name), "digests", "refused", f"is not listed in {MANIFEST_NAME}")
        for name in unlisted
        if not _is_document(name)
    ]
    return refused or [Check(MANIFEST_NAME, "digests", "ok", f"{len(manifest.files)} files are as promised")]


def _difference(listing: Listing, manifest: Manifest, name: str) -> str:
    promised = manifest.files[name]
    if name not in listing.files:
        return f"is listed in {MANIFEST_NAME} and absent"
    if listing.files[name] != promised.size:
        return f"is {listing.files[name]} bytes long; {MANIFEST_NAME} says {promised.size}"
    with listing.path(name).open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != promised.sha256.lower():
            return f"differs from its SHA-256 in {MANIFEST_NAME}"
    return ""


def _is_document(name: str) -> bool:
    path = PurePosixPath(name.lower())
    return path.suffix == ".md" or (path.suffix in (*_DOCUMENTS, "") and path.stem in _DOCUMENT_NAMES)
