"""Pickles made to take long, and names that are refused with a word on what to do."""

from pathlib import Path

import pytest

from matinee.verify import Policy
from matinee.verify.pickles import scan


def reasons(tmp_path: Path, content: bytes) -> tuple[str, ...]:
    """Why a pickle of these bytes is refused."""
    (tmp_path / "model.pkl").write_bytes(content)
    return scan(tmp_path / "model.pkl", Policy()).reasons


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04N" + b"\x85" * 100_000 + b".",
        b"\x80\x04N" + b"\x94h\x00\x86" * 100 + b".",
        b"\x80\x04" + b"(" * 100_000 + b"t" * 100_000 + b".",
    ],
    ids=["one in another", "twice in another", "by marks"],
)
def test_tuples_in_tuples_without_end_are_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever walks them, once or in every way, would take long or crash."""
    assert reasons(tmp_path, content) == ("nests tuples deeper than any model does",)


def test_an_ordinary_depth_is_read(tmp_path: Path) -> None:
    """The states of arrays have tuples in tuples."""
    assert reasons(tmp_path, b"\x80\x04N" + b"\x85" * 20 + b".") == ()


def test_a_million_forbidden_names_are_not_collected(tmp_path: Path) -> None:
    """Some are told, and then the file is not read on."""
    names = b"".join(b"cmodule\nname%d\n0" % number for number in range(20_000))
    told = reasons(tmp_path, b"\x80\x04" + names + b"N.")
    assert len(told) == 21
    assert told[-1] == "and 981 more of the kind"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        (b"scipy.stats._distn_infrastructure\nrv_continuous_frozen", "save the search's best_estimator_"),
        (b"numpy.random._pickle\n__randomstate_ctor", "as its random_state"),
    ],
)
def test_a_name_that_people_meet_comes_with_advice(tmp_path: Path, name: bytes, advice: str) -> None:
    """A search over distributions cannot be read safely; what it found can."""
    (reason,) = reasons(tmp_path, b"\x80\x04c" + name + b"\n.")
    assert advice in reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"}\x940" * 500_001, "is made of more objects than any model"),
        (b"\x8c\xf0" + b"a" * 240 + b"\x94", "holds more words than any model"),
        (b"Nr\xff\xff\xff\x7f", "remembers something under a number that no pickle has"),
    ],
    ids=["objects", "words", "number"],
)
def test_what_is_remembered_is_bounded(
    content: bytes, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packed, 600 bytes of empty dictionaries took two gigabytes of the process that serves."""
    monkeypatch.setattr("matinee.verify.pickle_machine._MAX_REMEMBERED_BYTES", 200)
    assert reasons(tmp_path, b"\x80\x04" + content + b"N.") == (reason,)


def test_numbers_as_python_2_gave_them_are_read(tmp_path: Path) -> None:
    """It began at 1."""
    assert reasons(tmp_path, b"\x80\x02X\x01\x00\x00\x00aq\x010h\x01.") == ()
