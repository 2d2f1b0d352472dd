"""Functions that come with an ONNX graph: a runtime unfolds them, so they have to end, and soon."""

from pathlib import Path

import pytest
from tests.corpus.graph_cases import field
from tests.fakes.bundles import bundle_of

from matinee.verify import check


def _node(operation: str, *, inside: bytes = b"") -> bytes:
    attribute = field(5, field(1, b"then_branch") + field(6, inside)) if inside else b""
    return field(4, operation.encode()) + attribute


def _function(name: str, *nodes: bytes, domain: str = "own") -> bytes:
    return field(25, field(1, name.encode()) + b"".join(field(7, node) for node in nodes) + field(10, domain.encode()))


def _reasons(folder: Path, *functions: bytes) -> tuple[str, ...]:
    graph = field(7, field(1, _node("f0")))
    (folder / "model.onnx").write_bytes(field(1, 9) + graph + b"".join(functions))
    return tuple(reason for reason in check(bundle_of(folder)).reasons if reason.startswith("model.onnx"))


def _doubling(levels: int) -> list[bytes]:
    """Each calls the next one twice."""
    calls = [_function(f"f{level}", _node(f"f{level + 1}"), _node(f"f{level + 1}")) for level in range(levels)]
    return [*calls, _function(f"f{levels}", _node("Relu"))]


def test_functions_that_unfold_to_very_many_operations_are_refused(tmp_path: Path) -> None:
    """1,441 bytes of them took ONNX Runtime all memory and time."""
    assert _reasons(tmp_path, *_doubling(10)) == ()
    assert _reasons(tmp_path, *_doubling(15)) == ("model.onnx: has functions that unfold without end",)
    assert _reasons(tmp_path, *_doubling(1000)) == ("model.onnx: has functions that unfold without end",)


@pytest.mark.parametrize(
    "functions",
    [
        (_function("f0", _node("f0")), _function("f0", _node("Relu"), domain="other")),
        (_function("f0", _node("If", inside=field(1, _node("f0")))),),
        (_function("f0", _node("f1")), _function("f1", _node("f0"))),
    ],
)
def test_a_circle_is_found_wherever_it_goes_through(functions: tuple[bytes, ...], tmp_path: Path) -> None:
    """Behind a namesake of another domain, through the branch of an `If`, or by way of another function."""
    assert _reasons(tmp_path, *functions) == ("model.onnx: has a function that calls itself",)


def test_more_functions_than_any_model_has_are_not_followed(tmp_path: Path) -> None:
    """A chain of them takes as many rounds as it has links."""
    many = [_function(f"f{number}", _node("Relu")) for number in range(2_001)]
    assert _reasons(tmp_path, *many) == ("model.onnx: has more functions than any model",)
