"""HDF5 files that are small, and endless when they are read."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.fakes.bundles import bundle_of

from matinee.verify import Policy, check
from matinee.verify.hdf5 import check_hdf5_bytes

_REFERENCE = 16  # bytes: length, address and number of a piece in the heap
_ITEMS = 20_000


def _endless(path: Path, kind: Any, piece: object) -> Path:
    """All items are the one piece: what is written once would be read twenty thousand times."""
    with h5py.File(path, "w") as file:
        items = file.create_dataset("weights", (_ITEMS,), dtype=kind)
        items[0] = piece
        items[1] = piece
        start = items.id.get_offset()
    content = bytearray(path.read_bytes())
    content[start : start + _REFERENCE * _ITEMS] = content[start : start + _REFERENCE] * _ITEMS
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("kind", "piece"),
    [(h5py.vlen_dtype(np.float32), np.zeros(100_000, np.float32)), (h5py.string_dtype(), "a" * 400_000)],
)
def test_items_of_any_size_are_refused(kind: Any, piece: object, tmp_path: Path) -> None:
    """Less than two megabytes, of which reading makes eight gigabytes."""
    path = _endless(tmp_path / "model.weights.h5", kind, piece)
    assert path.stat().st_size < 2_000_000
    assert "model.weights.h5: has data that is no numbers, or whose items differ in size" in _reasons(tmp_path)


@pytest.mark.parametrize(("name", "texts"), [("model_config", 2), ("layer_names", 10_001)])
def test_very_many_texts_of_any_size_in_an_attribute_are_refused(name: str, texts: int, tmp_path: Path) -> None:
    """Verification itself would read them where it looks for Keras' description."""
    with h5py.File(tmp_path / "model.h5", "w", libver="latest") as file:
        file.attrs[name] = ["a"] * texts
    assert "model.h5: has an attribute with more texts than any model needs" in _reasons(tmp_path)


def test_what_unpacks_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    """Though it is packed within reason; what lies there unpacked is no more than the file."""
    numbers = np.tile(np.arange(256, dtype=np.uint8), 4_000)
    with h5py.File(tmp_path / "packed.h5", "w") as file:
        file.create_dataset("weights", data=numbers, compression="gzip")
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["weights"] = numbers
    found = {
        name: check_hdf5_bytes(tmp_path / name, (tmp_path / name).stat().st_size, Policy(max_unpacked_bytes=500_000))
        for name in ("packed.h5", "plain.h5")
    }
    assert found == {"packed.h5": ["declares more data than the limit"], "plain.h5": []}


def _reasons(folder: Path) -> tuple[str, ...]:
    return check(bundle_of(folder)).reasons
