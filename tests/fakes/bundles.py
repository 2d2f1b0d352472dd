"""Bundles made of folders, as a source would hand them on."""

import shutil
from pathlib import Path

from matinee.core.bundle import Bundle, Revision
from matinee.core.reference import ModelRef

CORPUS = Path(__file__).parent.parent / "corpus"


def bundle_of(folder: Path) -> Bundle:
    """The bundle in `folder`; its digest is made up."""
    return Bundle(folder, Revision(ModelRef.parse(str(folder)), "1"), "sha256:" + "0" * 64)


def write_bundle(folder: Path, **files: bytes) -> Bundle:
    """A bundle of these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return bundle_of(folder)


def copied(case: str, folder: Path) -> Path:
    """A copy of one case of the corpus, such as `benign/logistic`, in `folder`."""
    return Path(shutil.copytree(CORPUS / case, folder / Path(case).name))
