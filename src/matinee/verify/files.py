"""One look at each file, chosen by what it is: is there anything in it that could run code, reach out or blow up?"""

from collections.abc import Callable, Mapping

from matinee.verify.configs import check_config
from matinee.verify.folder import Listing
from matinee.verify.formats import Kind, recognize
from matinee.verify.mlmodel import check_mlmodel
from matinee.verify.policy import Policy
from matinee.verify.report import Findings
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


def _unchecked(_listing: Listing, _name: str, _policy: Policy) -> Findings:
    return Findings()


def _archive(_listing: Listing, _name: str, _policy: Policy) -> Findings:
    return Findings(("is an archive, and archives are never unpacked: put the files themselves there",))


_CHECKERS: Mapping[Kind, Checker] = {
    "pickle": _unchecked,
    "skops": _unchecked,
    "keras": _unchecked,
    "torch": _unchecked,
    "npz": _unchecked,
    "npy": _unchecked,
    "hdf5": _unchecked,
    "safetensors": _plain(check_safetensors),
    "onnx": _unchecked,
    "savedmodel": _unchecked,
    "mlmodel": _plain(check_mlmodel),
    "config": _plain(check_config),
    "zip": _archive,
    "tar": _archive,
    "data": _unchecked,
}
