"""One look at each file, chosen by what it is: is there anything in it that could run code, reach out or blow up?"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

from matinee.verify.folder import Listing
from matinee.verify.formats import Kind, recognize
from matinee.verify.policy import Policy
from matinee.verify.report import Findings

Checker = Callable[[Listing, str, Policy], Findings]

# Imported when the first file of the kind is met: the start of a server that serves ONNX does not wait for the rest.
_CHECKERS: Mapping[Kind, str] = {
    "pickle": "pickles:check_pickle",
    "skops": "skops_files:check_skops",
    "keras": "keras_files:check_keras",
    "torch": "leftovers:check_torch",
    "npz": "arrays:check_npz",
    "npy": "arrays:check_npy",
    "hdf5": "keras_files:check_hdf5",
    "safetensors": "tensors:check_safetensors",
    "onnx": "onnx_files:check_onnx",
    "savedmodel": "savedmodels:check_savedmodel",
    "mlmodel": "mlmodel:check_mlmodel",
    "config": "configs:check_config",
    "zip": "leftovers:check_archive",
    "tar": "leftovers:check_archive",
}


def recognize_all(listing: Listing) -> dict[str, Kind]:
    """The kind of each file."""
    return {name: recognize(listing.path(name), name) for name in listing.files}


def check_file(listing: Listing, name: str, kind: Kind, policy: Policy) -> Findings:
    """Look at one file; what is only data is read by no loader that does not know it."""
    if kind not in _CHECKERS:
        return Findings()
    module, _, function = _CHECKERS[kind].partition(":")
    checker = cast("Checker", getattr(import_module(f"matinee.verify.{module}"), function))
    return checker(listing, name, policy)
