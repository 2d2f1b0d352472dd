"""Will the file be read as what it was checked as? A loader goes by the manifest's `options` and by names.

Bytes in front of an archive, an unusual name or a hidden folder would otherwise carry a file past its check.
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from matinee.core.manifest import Manifest
from matinee.verify.folder import UNREAD_FOLDERS, leads_out, printable
from matinee.verify.formats import Kind

_DEFAULTS = {"linear": "model.safetensors", "onnx": "model.onnx", "keras": "model.keras", "tensorflow": "tf_model.h5"}
_READ_AS: Mapping[str, tuple[Kind, ...]] = {
    "linear": ("safetensors",),
    "onnx": ("onnx",),
    "sklearn": ("pickle", "skops", "npz"),
    "tensorflow": ("hdf5",),
    "transformers": ("config",),
    "keras": ("keras", "hdf5", "savedmodel"),
}


def reading_problems(manifest: Manifest, kinds: Mapping[str, Kind]) -> Iterator[str]:
    """What speaks against opening the files that `manifest` names, where it is for a loader of matinee's own."""
    names = [(key, value) for key, value in manifest.options.items() if isinstance(value, str)]
    problems = [f"options.{key} {problem}" for key, value in names if (problem := _path_problem(value))]
    yield from problems
    name = _opened(manifest, kinds)
    if problems or not name:
        return
    wanted = _keras_kinds(name) if manifest.flavor == "keras" else _READ_AS[manifest.flavor]
    found = kinds.get(name)
    if found is None:
        yield f"the files lack {printable(name)}, which the flavor {manifest.flavor} reads"
    elif found not in wanted:
        yield f"{printable(name)} would be read as {' or '.join(wanted)}, and is {found} by its content and name"


def _path_problem(name: str) -> str:
    if leads_out(name):
        return "leads out of the folder"
    parts = PurePosixPath(name.replace("\\", "/")).parts
    hidden = any(part.startswith(".") or part in UNREAD_FOLDERS for part in parts)
    return "leads into a hidden folder, whose files are not checked" if hidden else ""


def _opened(manifest: Manifest, kinds: Mapping[str, Kind]) -> str:
    """The file that decides what is loaded, or nothing for a flavor that has none."""
    if manifest.flavor == "transformers":
        return str(PurePosixPath(str(manifest.options.get("folder", "")), "config.json"))
    if manifest.flavor not in _READ_AS or not {manifest.flavor, "file"} & {*_DEFAULTS, *manifest.options}:
        return ""
    name = str(PurePosixPath(str(manifest.options.get("file", _DEFAULTS.get(manifest.flavor)))))
    inside = str(PurePosixPath(name, "saved_model.pb"))
    return inside if manifest.flavor == "keras" and inside in kinds else name


def _keras_kinds(name: str) -> tuple[Kind, ...]:
    """Keras takes what is called `.keras` for an archive, and other files for HDF5."""
    suffix = PurePosixPath(name).suffix
    return ("savedmodel",) if suffix == ".pb" else ("keras",) if suffix == ".keras" else ("hdf5",)
