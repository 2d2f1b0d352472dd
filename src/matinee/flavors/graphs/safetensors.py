"""Reads `model.safetensors`, whole or in shards, with NumPy alone; bfloat16, which NumPy lacks, becomes float32.

Format: eight bytes of header length, a JSON header with type, shape and byte range of each tensor, then the bytes
(https://huggingface.co/docs/safetensors). The file is mapped, so only what is asked for is read.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matinee.core.errors import ModelRejected

FILE_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
_MAX_HEADER = 100 * 1024 * 1024  # what the format's own library allows
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}


class Safetensors(Mapping[str, NDArray[Any]]):
    """The tensors of one or more files under their names; each access gives a read-only view or a float32 copy."""

    def __init__(self, paths: list[Path]) -> None:
        self._tensors: dict[str, tuple[Path, dict[str, Any]]] = {}
        self._files: dict[Path, NDArray[np.uint8]] = {}
        for path in paths:
            header, content = _open(path)
            self._files[path] = content
            self._tensors.update({name: (path, entry) for name, entry in header.items() if name != "__metadata__"})

    def __getitem__(self, name: str) -> NDArray[Any]:
        path, entry = self._tensors[name]
        kind = entry["dtype"]
        if kind not in _TYPES:
            raise ModelRejected(
                [f"{path.name}: tensor {name!r} is of type {kind}; float and integer types can be read"]
            )
        start, end = entry["data_offsets"]
        content = self._files[path]
        if not 0 <= start <= end <= content.size:
            raise ModelRejected([f"{path.name}: tensor {name!r} lies outside of the file"])
        array: NDArray[Any] = np.frombuffer(content[start:end], dtype=_TYPES[kind]).reshape(entry["shape"])
        return (array.astype("<u4") << 16).view("<f4") if kind == "BF16" else array

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def open_folder(folder: Path) -> Safetensors:
    """The tensors of a saved model: `model.safetensors`, or the shards that its index names.

    Raises `ModelRejected` when there are none, or when the index points out of the folder.
    """
    if (folder / FILE_NAME).is_file():
        return Safetensors([folder / FILE_NAME])
    if not (folder / INDEX_NAME).is_file():
        raise ModelRejected([f"there is no {FILE_NAME}; other weight formats can run code and are not read"])
    names = sorted(set(json.loads((folder / INDEX_NAME).read_bytes())["weight_map"].values()))
    missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
    if missing:
        raise ModelRejected([f"{INDEX_NAME}: {name!r} is not a file of the bundle" for name in missing])
    return Safetensors([folder / name for name in names])


def _open(path: Path) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MAX_HEADER):
            raise ModelRejected([f"{path.name}: the header is longer than the file"])
        try:
            header = json.loads(file.read(length))
        except ValueError:
            raise ModelRejected([f"{path.name}: the header is not JSON"]) from None
    if size == 8 + length:
        return header, np.empty(0, np.uint8)
    return header, np.memmap(path, dtype=np.uint8, mode="r", offset=8 + length)
