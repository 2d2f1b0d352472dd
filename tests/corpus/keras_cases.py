"""Hostile Keras archives and HDF5 files."""

import io
import json
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
from tests.corpus.files import Files, to_json, to_zip
from tests.corpus.pickled import COMMAND


def _layer(name: str, module: str = "keras.layers", registered: str | None = None, /, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "registered_name": registered, "config": config}


def keras(*layers: dict[str, Any], weights: bytes = b"") -> bytes:
    """A `.keras` archive of a Sequential with these layers."""
    config = _layer("Sequential", "keras", name="model", layers=list(layers))
    members = {"metadata.json": to_json({"keras_version": "3.11.0"}), "config.json": to_json(config)}
    return to_zip(members | ({"model.weights.h5": weights} if weights else {}))


def hdf5(fill: Callable[[h5py.File], None], config: dict[str, Any] | None = None) -> bytes:
    """An HDF5 file, filled by `fill`, with Keras' description as an attribute."""
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        if config is not None:
            opened.attrs["model_config"] = json.dumps(config)
        fill(opened)
    return file.getvalue()


def _fill_weights(file: h5py.File) -> None:
    file.create_dataset("dense/kernel", data=np.ones((4, 2), dtype="f4"))


def _external_link(file: h5py.File) -> None:
    file["dense"] = h5py.ExternalLink("/etc/passwd", "/")


def _soft_link(file: h5py.File) -> None:
    file["dense"] = h5py.SoftLink("/elsewhere")


def _external_storage(file: h5py.File) -> None:
    file.create_dataset("kernel", (8,), "u1", external=[("/etc/passwd", 0, 8)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(4,))
    file.create_virtual_dataset("kernel", layout)


def _declared(file: h5py.File) -> None:
    file.create_dataset("kernel", (1 << 20, 1 << 20), "f4", chunks=(1024, 1024), compression="gzip")


def _two_names(file: h5py.File) -> None:
    file["one"] = np.ones(4)
    file["two"] = file["one"]


def keras_cases() -> dict[str, Files]:
    """Keras archives and HDF5 files."""
    code = ["4wEAAAAAAAAA", None, None]
    lambda_old = {
        "class_name": "Sequential",
        "config": {"layers": [{"class_name": "Lambda", "config": {"function": code}}]},
    }
    traversal = {"metadata.json": b"{}", "config.json": to_json(_layer("Sequential", "keras")), "../../evil": b"x"}
    bomb = {"metadata.json": b"{}", "config.json": b"{}", "model.weights.h5": bytes(80_000_000)}
    fetch = {"module": "keras.utils", "class_name": "get_file", "registered_name": "get_file", "config": {}}
    return {
        "keras-lambda": {"model.keras": keras(_layer("Lambda", function={"class_name": "__lambda__", "config": {}}))},
        "keras-get-file": {"model.keras": keras(fetch)},
        "keras-builtins-function": {"model.keras": keras(_layer("function", "builtins", config="system"))},
        "keras-os-module": {"model.keras": keras(_layer("system", "os", command=COMMAND))},
        "keras-tfsm-layer": {"model.keras": keras(_layer("TFSMLayer", filepath="/var/other"))},
        "keras-torch-wrapper": {"model.keras": keras(_layer("TorchModuleWrapper", module="abc"))},
        "keras-vocabulary-path": {"model.keras": keras(_layer("TextVectorization", vocabulary="/etc/passwd"))},
        "keras-custom-object": {"model.keras": keras(_layer("Mine", "mine.layers", "mine>Mine"))},
        "keras-impossible-size": {"model.keras": keras(_layer("Dense", units=1 << 40))},
        "keras-zip-traversal": {"model.keras": to_zip(traversal)},
        "keras-zip-bomb": {"model.keras": to_zip(bomb, packed=True)},
        "keras-weights-external-link": {"model.keras": keras(_layer("Dense", units=2), weights=hdf5(_external_link))},
        "h5-lambda": {"model.h5": hdf5(_fill_weights, lambda_old)},
        "h5-external-link": {"model.h5": hdf5(_external_link)},
        "h5-soft-link": {"model.h5": hdf5(_soft_link)},
        "h5-external-storage": {"model.h5": hdf5(_external_storage)},
        "h5-virtual": {"model.h5": hdf5(_virtual)},
        "h5-declared-only": {"model.h5": hdf5(_declared)},
        "h5-two-names": {"model.h5": hdf5(_two_names)},
        "h5-cut": {"model.h5": hdf5(_fill_weights)[:600]},
    }
