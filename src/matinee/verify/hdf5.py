"""HDF5: everything in the one file (no external links or storage), sizes that are really there, no soft tricks."""

import io
from pathlib import Path
from typing import Any

from matinee.core.errors import MissingExtra
from matinee.verify.policy import Policy
from matinee.verify.report import Broken

_MAX_OBJECTS = 100_000
_MAX_DEPTH = 32
_MAX_ATTRIBUTE = 16 * 1024 * 1024
_MAX_NAMES = 10_000  # of layers or weights, in one attribute
_CONFIG = "model_config"
_MAX_RATIO = 1000  # weights that are mostly zeros pack well; what is declared and absent packs without limit


def check_hdf5_bytes(source: Path | bytes, size: int, policy: Policy) -> list[str]:
    """Reasons not to read the file of `size` bytes, or its content; datasets are not read."""
    try:
        with _open(source) as file:
            walk = _Walk(policy, size)
            walk.group(file, 0)
    except Broken as broken:
        return [str(broken)]
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError):
        return ["is not a complete HDF5 file"]
    return walk.reasons


def read_model_config(path: Path, limit: int) -> bytes:
    """Keras' description of the model, or nothing where the file holds weights alone; raises `Broken`."""
    try:
        with _open(path) as file:
            config = file.attrs.get(_CONFIG, b"")
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        raise Broken("has attributes that cannot be read") from None
    content = config.encode() if isinstance(config, str) else bytes(config)
    if len(content) > limit:
        raise Broken(f"has a configuration of more than {limit} bytes")
    return content


def _open(source: Path | bytes) -> Any:
    try:
        import h5py
    except ModuleNotFoundError as error:
        of_transformers = isinstance(source, Path) and source.name == "tf_model.h5"
        raise MissingExtra("reading an HDF5 file", "tensorflow" if of_transformers else "keras") from error
    return h5py.File(source if isinstance(source, Path) else io.BytesIO(source), "r")


class _Walk:
    """Visits every group once, by links of the ordinary kind only."""

    def __init__(self, policy: Policy, size: int) -> None:
        self._policy = policy
        self._size = size
        self._declared = 0
        self._objects = 0
        self._seen: set[Any] = set()
        self.reasons: list[str] = []

    def group(self, group: Any, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise Broken(f"nests groups deeper than {_MAX_DEPTH}")
        self._attributes(group)
        for name in group:
            self._objects += 1
            if self._objects > _MAX_OBJECTS:
                raise Broken(f"holds more than {_MAX_OBJECTS} objects")
            kind = type(group.get(name, getlink=True)).__name__
            if kind != "HardLink":
                self.reasons.append(f"has a link ({kind}) instead of data ({name[:80]!a})")
                continue
            self._object(group[name], depth)

    def _object(self, found: Any, depth: int) -> None:
        import h5py

        address = h5py.h5o.get_info(found.id).addr
        if address in self._seen:
            self.reasons.append("holds one object under two names")
            return
        self._seen.add(address)
        if isinstance(found, h5py.Group):
            self.group(found, depth + 1)
        elif isinstance(found, h5py.Dataset):
            self._dataset(found)

    def _dataset(self, dataset: Any) -> None:
        self._attributes(dataset)
        if dataset.external or dataset.is_virtual:
            self.reasons.append("has data that lies in another file")
            return
        if dataset.dtype.hasobject:  # each item a reference, and all of them may be to one large piece
            self.reasons.append("has data that is no numbers, or whose items differ in size")
        size = int(dataset.size or 0) * int(dataset.dtype.itemsize)
        self._declared += size
        if size > 4096 and size > _MAX_RATIO * max(1, dataset.id.get_storage_size()):
            self.reasons.append("has data that is declared and not there, or packed beyond reason")
        elif self._declared > max(self._size, self._policy.max_unpacked_bytes):
            self.reasons.append("declares more data than the limit")

    def _attributes(self, owner: Any) -> None:
        for name in owner.attrs:
            attribute = owner.attrs.get_id(name)
            # An empty attribute, such as the weight names of a dropout layer, has no storage to ask for.
            points = attribute.get_space().get_simple_extent_npoints()
            if points > (1 if name == _CONFIG else _MAX_NAMES) and attribute.dtype.hasobject:
                raise Broken("has an attribute with more texts than any model needs")
            if points and int(attribute.get_storage_size()) > min(_MAX_ATTRIBUTE, self._size):
                raise Broken("has an attribute larger than any model needs")
