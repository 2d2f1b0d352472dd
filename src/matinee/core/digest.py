"""SHA-256 of files, and the one digest that names a folder of them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_digest(files: Mapping[str, str]) -> str:
    """`sha256:…` over relative POSIX names and the SHA-256 of each file; the order of `files` does not matter."""
    listing = hashlib.sha256()
    for name in sorted(files):
        listing.update(f"{files[name]}  {name}\n".encode("utf-8", "surrogateescape"))
    return f"sha256:{listing.hexdigest()}"
