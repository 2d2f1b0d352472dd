"""A manifest's promises are kept, or the bundle is refused."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.bundles import bundle_of, copied

from matinee.verify import Report, check


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle with a manifest."""
    folder = copied("benign/logistic", tmp_path)
    write(folder)
    return folder


def write(folder: Path, **changes: Any) -> None:
    """Write the manifest, with changes."""
    content = (folder / "model.joblib").read_bytes()
    files = {"model.joblib": {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}}
    document = {"schema": 1, "name": "m", "flavor": "sklearn", "labels": ["bad", "good"], "files": files}
    (folder / "matinee.json").write_text(json.dumps(document | changes))


def look(folder: Path) -> Report:
    """The report on a folder."""
    return check(bundle_of(folder))


def test_a_kept_promise_passes(folder: Path) -> None:
    """And the manifest is what is loaded, with the model's file and names filled in."""
    report = look(folder)
    assert report.passed
    assert report.manifest is not None
    assert report.manifest.labels == ("bad", "good")
    assert report.manifest.options["file"] == "model.joblib"
    assert "sklearn.pipeline.Pipeline" in report.manifest.options["pickle_names"]


def test_one_changed_bit_is_found(folder: Path) -> None:
    """The size is the same, the digest is not."""
    content = bytearray((folder / "model.joblib").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.joblib").write_bytes(content)
    assert any("differs from its SHA-256" in reason for reason in look(folder).reasons)


def test_a_cut_file_is_found(folder: Path) -> None:
    """The size differs."""
    content = (folder / "model.joblib").read_bytes()
    (folder / "model.joblib").write_bytes(content[:-1])
    assert any("matinee.json says" in reason for reason in look(folder).reasons)


def test_a_file_that_is_not_listed_is_refused(folder: Path) -> None:
    """Nothing may be slipped in beside what was promised."""
    (folder / "sitecustomize.py").write_text("x = 1\n")
    assert look(folder).reasons == ("sitecustomize.py: is not listed in matinee.json",)


@pytest.mark.parametrize("name", ["README.md", "card.md", "LICENSE", "NOTICE.txt"])
def test_documents_need_not_be_listed(folder: Path, name: str) -> None:
    """Text for people is read by no loader."""
    (folder / name).write_text("words\n")
    assert look(folder).passed


def test_a_manifest_without_files_is_noted(folder: Path) -> None:
    """Somebody wrote it by hand to name the labels."""
    write(folder, files={})
    report = look(folder)
    assert report.passed
    assert any("lists no files" in line.detail for line in report.checks)


def test_a_manifest_cannot_allow_names(folder: Path) -> None:
    """What a pickle may refer to is said by verification, whatever the manifest's options hold."""
    write(folder, options={"file": "model.joblib", "pickle_names": ["os.system"], "class": "os:system"})
    report = look(folder)
    assert report.manifest is not None
    assert "os.system" not in report.manifest.options["pickle_names"]
    assert "class" not in report.manifest.options


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b"{" * 100_000, b'{"schema": 2}'])
def test_what_is_no_manifest_is_refused(folder: Path, content: bytes) -> None:
    """Never a crash, always a reason."""
    (folder / "matinee.json").write_bytes(content)
    assert look(folder).reasons != ()
