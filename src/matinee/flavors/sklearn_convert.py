"""From a pickled scikit-learn model to a form without code: `.skops`, or a bundle of plain arrays."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from matinee.core.bundle import MANIFEST_NAME, VerifiedBundle
from matinee.core.errors import MissingExtra, ModelRejected
from matinee.core.manifest import FileEntry, Manifest
from matinee.flavors.sklearn import ask_helper
from matinee.flavors.sklearn_labels import name_classes
from matinee.flavors.sklearn_linear import ARRAYS, DESCRIPTION


def convert(bundle: VerifiedBundle, target: Path) -> None:
    """Write `target`, whole or not at all; raises `ModelRejected` for a model that has no such form."""
    if bundle.manifest.flavor != "sklearn" or not isinstance(bundle.manifest.options.get("file"), str):
        raise ModelRejected([f"only scikit-learn models are converted, and this is {bundle.manifest.flavor}"])
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".matinee-", dir=target.parent) as made:
        beside = Path(made) / target.name
        if target.suffix == ".skops":
            _write_skops(bundle, beside)
        else:
            beside.mkdir()
            _write_arrays(bundle, beside)
        shutil.move(beside, target)


def _write_skops(bundle: VerifiedBundle, target: Path) -> None:
    from matinee.flavors.sklearn_reading import quietly_read

    try:
        from skops.io import dump
    except ModuleNotFoundError as error:
        raise MissingExtra("writing .skops", "sklearn") from error
    options = bundle.manifest.options
    model, _ = quietly_read(bundle.folder / str(options["file"]), options.get("pickle_names", ()))
    dump(model, target)


def _write_arrays(bundle: VerifiedBundle, folder: Path) -> None:
    options, manifest = bundle.manifest.options, bundle.manifest
    about = ask_helper(bundle.folder / str(options["file"]), options.get("pickle_names", ()), folder)
    if not about["linear"]:
        raise ModelRejected([f"the pipeline is not linear ({about['why']}): convert it to .skops instead"])
    labels, _ = name_classes(about["classes"], manifest.labels, numeric=about["numeric"])
    written = Manifest(
        name=manifest.name,
        flavor="sklearn",
        labels=labels,
        version=manifest.version,
        files={name: _entry(folder / name) for name in (DESCRIPTION, ARRAYS)},
        options={"file": ARRAYS},
        metrics=manifest.metrics,
        lineage={**manifest.lineage, "converted_from": bundle.digest},
        examples=manifest.examples,
    )
    (folder / MANIFEST_NAME).write_text(written.to_json(), encoding="utf-8")


def _entry(path: Path) -> FileEntry:
    with path.open("rb") as file:
        return FileEntry(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
