"""Files that are never read: PyTorch's pickles (alone they are refused, beside safetensors left alone), archives."""

from pathlib import PurePosixPath

from matinee.verify.folder import Listing
from matinee.verify.policy import Policy
from matinee.verify.report import Findings

# What training leaves beside a model; no loader here reads any of them.
_TRAINING = ("training_args.bin", "optimizer.pt", "optimizer.bin", "scheduler.pt", "scheduler.bin", "scaler.pt")


def check_torch(listing: Listing, name: str, _: Policy) -> Findings:
    """A note for what training left behind, a refusal for weights that would have to be unpickled."""
    path = PurePosixPath(name)
    if path.name in _TRAINING or path.name.startswith("rng_state"):
        return Findings(notes=("is left from training and not read",))
    beside = str(path.parent / "model.safetensors")
    if path.name == "pytorch_model.bin" and beside in listing.files:
        return Findings(notes=("is not read: model.safetensors holds the same weights",))
    return Findings(("holds weights as a pickle, which can run code: save them with safe_serialization=True",))


def check_archive(_listing: Listing, _name: str, _policy: Policy) -> Findings:
    """Archives are refused whole, whatever is in them."""
    return Findings(("is an archive, and archives are never unpacked: put the files themselves there",))
