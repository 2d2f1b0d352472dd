"""A file is read as what it was checked as, whatever a manifest calls it and whatever lies in front of it."""

import json
from pathlib import Path
from typing import Any

import h5py
import pytest
from tests.corpus.graph_cases import graph_cases
from tests.fakes.bundles import CORPUS, bundle_of

from matinee.verify import Policy, check

GRAPH = graph_cases()["onnx-parent-folder"]["model.onnx"]
LAMBDA = (CORPUS / "hostile" / "keras-lambda" / "model.keras").read_bytes()
METHODS = (CORPUS / "hostile" / "skops-method-node" / "model.skops").read_bytes()


def _reasons(folder: Path, flavor: str, files: dict[str, bytes], options: dict[str, str]) -> tuple[str, ...]:
    manifest: dict[str, Any] = {"schema": 1, "name": "x", "flavor": flavor, "labels": ["a", "b"], "options": options}
    for name, content in {"matinee.json": json.dumps(manifest).encode(), **files}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return check(bundle_of(folder)).reasons


@pytest.mark.parametrize(
    ("flavor", "name", "content"),
    [
        ("onnx", "graph.dat", GRAPH),
        ("keras", "model.keras", b"in front" + LAMBDA),
        ("sklearn", "model.skops", b"in front" + METHODS),
        ("keras", "model.h5", LAMBDA),
    ],
)
def test_what_was_not_checked_as_the_loader_reads_it_is_refused(
    flavor: str, name: str, content: bytes, tmp_path: Path
) -> None:
    """An unusual name, or bytes in front of an archive, make a file mere data, which is not looked into."""
    reasons = _reasons(tmp_path, flavor, {name: content}, {"file": name})
    assert any(f"{name} would be read as" in reason for reason in reasons)


def test_an_hdf5_file_behind_a_large_user_block_is_refused(tmp_path: Path) -> None:
    """HDF5 looks for its signature at every power of two."""
    with h5py.File(tmp_path / "model.h5", "w", userblock_size=65_536) as file:
        file["weights"] = h5py.ExternalLink("/etc/passwd", "/")
    reasons = _reasons(tmp_path, "keras", {}, {"file": "model.h5"})
    assert reasons == ("matinee.json: model.h5 would be read as hdf5, and is data by its content and name",)


def test_an_archive_behind_an_hdf5_file_is_refused_without_a_manifest(tmp_path: Path) -> None:
    """By its name Keras takes it for an archive, whose directory is at the end."""
    with h5py.File(tmp_path / "model.keras", "w") as file:
        file["weights"] = [1.0]
    with (tmp_path / "model.keras").open("ab") as content:
        content.write(LAMBDA)
    reasons = check(bundle_of(tmp_path)).reasons
    assert reasons == ("matinee.json: model.keras would be read as keras, and is hdf5 by its content and name",)


@pytest.mark.parametrize(
    ("flavor", "options"),
    [("onnx", {"file": ".more/graph.onnx"}), ("transformers", {"folder": ".more"}), ("onnx", {"file": "absent.onnx"})],
)
def test_what_was_not_looked_at_is_not_opened(flavor: str, options: dict[str, str], tmp_path: Path) -> None:
    """Hidden folders are not read by verification, so no option leads there."""
    files = {".more/graph.onnx": GRAPH, ".more/config.json": b"{}", "model.onnx": b""}
    reasons = _reasons(tmp_path, flavor, files, options)
    assert any("hidden folder" in reason or "the files lack absent.onnx" in reason for reason in reasons)


def test_a_class_of_one_s_own_reads_what_it_likes(tmp_path: Path) -> None:
    """The operator named it."""
    (tmp_path / "weights.dat").write_bytes(b"x")
    assert check(bundle_of(tmp_path), Policy(loader="a:B")).reasons == ()
    manifest = {"schema": 1, "name": "x", "flavor": "custom", "labels": ["a", "b"], "options": {"file": "weights.dat"}}
    (tmp_path / "matinee.json").write_text(json.dumps(manifest))
    assert check(bundle_of(tmp_path), Policy(loader="a:B")).reasons == ()
