"""One look at each file, chosen by what it is: is there anything in it that could run code, reach out or blow up?"""

from collections.abc import Callable, Mapping

from matinee.verify.arrays import check_npy, check_npz
from matinee.verify.configs import check_config
from matinee.verify.folder import Listing
from matinee.verify.formats import Kind, recognize
from matinee.verify.keras_files import check_hdf5, check_keras
from matinee.verify.leftovers import check_torch
from matinee.verify.mlmodel import check_mlmodel
from matinee.verify.onnx_files import check_onnx
from matinee.verify.pickles import check_pickle
from matinee.verify.policy import Policy
from matinee.verify.report import Findings
from matinee.verify.savedmodels import check_savedmodel
from matinee.verify.skops_files import check_skops
from matinee.verify.tensors import check_safetensors

Checker = Callable[[Listing, str, Policy], Findings]


def recognize_all(listing: Listing) -> dict[str, Kind]:
    """The kind of each file."""
    return {name: recognize(listing.path(name), name) for name in listing.files}


def check_file(listing: Listing, name: str, kind: Kind, policy: Policy) -> Findings:
    """Look at one file."""
    return _CHECKERS[kind](listing, name, policy)


def _plain(check: Callable[[Listing, str], list[str]]) -> Checker:
    return lambda listing, name, _: Findings(tuple(check(listing, name)))


def _unread(_listing: Listing, _name: str, _policy: Policy) -> Findings:
    return Findings()


def _archive(_listing: Listing, _name: str, _policy: Policy) -> Findings:
    return Findings(("is an archive, and archives are never unpacked: put the files themselves there",))


_CHECKERS: Mapping[Kind, Checker] = {
    "pickle": check_pickle,
    "skops": check_skops,
    "keras": check_keras,
    "torch": check_torch,
    "npz": check_npz,
    "npy": check_npy,
    "hdf5": check_hdf5,
    "safetensors": _plain(check_safetensors),
    "onnx": check_onnx,
    "savedmodel": check_savedmodel,
    "mlmodel": _plain(check_mlmodel),
    "config": _plain(check_config),
    "zip": _archive,
    "tar": _archive,
    "data": _unread,
}
