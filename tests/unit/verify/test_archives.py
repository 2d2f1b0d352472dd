"""Zip files whose directory is the attack."""

import struct
from pathlib import Path

import pytest

from matinee.verify.archives import zip_names
from matinee.verify.report import Broken

_MEMBER = b"PK\x01\x02" + struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 0, 0, 33, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0)


def _archive(path: Path, members: int, *, zip64: bool) -> Path:
    """A directory of so many members; with `zip64` the end record itself speaks of one."""
    directory = b"".join(_MEMBER + b"%06d" % number for number in range(members))
    shown, counted = (len(_MEMBER) + 6, 1) if zip64 else (len(directory), members & 0xFFFF)
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, members, members, len(directory), 0)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, len(directory), 1)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, counted, counted, shown, 0, 0)
    path.write_bytes(directory + (record + locator if zip64 else b"") + end)
    return path


@pytest.mark.parametrize(("members", "zip64"), [(90_000, False), (90_000, True), (3, True)])
def test_a_gigantic_directory_is_not_read(members: int, zip64: bool, tmp_path: Path) -> None:
    """Nor one whose size stands where `zipfile` looks and a glance at the end record does not."""
    with pytest.raises(Broken, match="a directory larger than any model needs"):
        zip_names(_archive(tmp_path / "model.skops", members, zip64=zip64))


def test_the_directory_of_a_large_forest_is_read(tmp_path: Path) -> None:
    """A thousand trees have some three thousand arrays."""
    assert len(zip_names(_archive(tmp_path / "model.skops", 10_000, zip64=False))) == 10_000
