"""What is this file: told by its first bytes, and by its name where the bytes do not say."""

from pathlib import Path, PurePosixPath
from typing import IO, Literal

from matinee.verify.compression import compression
from matinee.verify.report import Broken

Kind = Literal[
    "pickle", "skops", "keras", "torch", "npz", "npy", "hdf5", "safetensors", "onnx", "savedmodel",
    "mlmodel", "config", "zip", "tar", "data",
]  # fmt: skip

PICKLE_SUFFIXES = (".pkl", ".pickle", ".joblib", ".sav", ".dill")
TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".mar")
CONFIG_NAMES = (
    "config.json", "tokenizer_config.json", "adapter_config.json", "preprocessor_config.json", "processor_config.json",
    "generation_config.json",
)  # fmt: skip

_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_NPY = b"\x93NUMPY"
_TAR = b"ustar"
_TAR_AT = 257
_PEEK = 512


def recognize(path: Path, name: str) -> Kind:
    """The kind of one file; what is not recognized is `data`, which only a loader that asks for it reads."""
    with path.open("rb") as file:
        head = file.read(_PEEK)
        if head.startswith((_ZIP, _EMPTY_ZIP)):
            return _zip_kind(path)
        if head.startswith(_HDF5) or _has_user_block(file):
            return "hdf5"
    if head.startswith(_NPY):
        return "npy"
    unpacked = peek_unpacked(path) if compression(head) else head
    if unpacked[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        return "tar"
    return _by_name_or_pickle(name, unpacked)


def peek_unpacked(path: Path) -> bytes:
    """The first bytes of a compressed file after unpacking, or nothing when it cannot be unpacked."""
    from matinee.verify.unpacking import Unpacked

    try:
        with Unpacked(path, limit=1 << 40) as content:
            return content.read(_PEEK)
    except Broken:
        return b""


def _has_user_block(file: IO[bytes]) -> bool:
    """HDF5 may start at byte 512, 1024, 2048 and so on."""
    for start in (512, 1024, 2048, 4096):
        file.seek(start)
        if file.read(len(_HDF5)) == _HDF5:
            return True
    return False


def _zip_kind(path: Path) -> Kind:
    from matinee.verify.archives import zip_names

    try:
        names = set(zip_names(path))
    except (Broken, OSError):
        return "zip"
    if "schema.json" in names:
        return "skops"
    if {"config.json", "metadata.json"} <= names:
        return "keras"
    if any(PurePosixPath(name).name == "data.pkl" for name in names):
        return "torch"
    return "npz" if names and all(name.endswith(".npy") for name in names) else "zip"


def _by_name_or_pickle(name: str, unpacked: bytes) -> Kind:
    path = PurePosixPath(name.lower())
    pickled = len(unpacked) > 1 and unpacked[0] == 0x80 and 2 <= unpacked[1] <= 5
    if path.suffix in PICKLE_SUFFIXES:
        return "pickle"
    if path.suffix in TORCH_SUFFIXES and (pickled or path.name.startswith("pytorch_model")):
        return "torch"
    if pickled:
        return "pickle"
    if path.name in CONFIG_NAMES:
        return "config"
    named: dict[str, Kind] = {".safetensors": "safetensors", ".onnx": "onnx", ".tar": "tar", ".tgz": "tar"}
    if path.name == "saved_model.pb":
        return "savedmodel"
    return "mlmodel" if name.endswith("MLmodel") else named.get(path.suffix, "data")
