"""Where long texts are cut, and how the windows' outputs come together."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.flavors.windows import cut, pool


@st.composite
def cuts(draw: st.DrawFn) -> tuple[int, int, int]:
    """Tokens, size and overlap that fit together."""
    size = draw(st.integers(1, 64))
    return draw(st.integers(0, 500)), size, draw(st.integers(0, size - 1))


@given(cuts())
def test_windows_cover_every_token_with_exact_overlap(sizes: tuple[int, int, int]) -> None:
    """Nothing is left out, no window is too large or useless, neighbours share what was asked for."""
    tokens, size, overlap = sizes
    windows = cut(tokens, size, overlap)
    assert windows[0].start == 0
    assert windows[-1].stop == tokens
    assert all(len(window) == size for window in windows[:-1])
    assert len(windows[-1]) <= size
    for one, two in pairwise(windows):
        assert one.stop - two.start == overlap
        assert two.stop > one.stop


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (4, 4), (4, -1)])
def test_impossible_windows_are_refused(size: int, overlap: int) -> None:
    """An overlap as large as the window would never come to an end."""
    with pytest.raises(ValueError, match="overlap"):
        cut(10, size, overlap)


OUTPUTS = np.array([[1.0, 0.0], [4.0, -2.0]], dtype=np.float32)


@pytest.mark.parametrize(
    ("how", "expected"),
    [("mean", [2.5, -1.0]), ("max", [4.0, 0.0]), ("weighted", [2.0, -2 / 3]), ("first", [1.0, 0.0])],
)
def test_pooling(how: str, expected: list[float]) -> None:
    """Each way of putting two windows together, the first twice as long as the second."""
    assert pool(OUTPUTS, [20, 10], how).tolist() == pytest.approx(expected)
    assert pool(OUTPUTS[:1], [20], how).tolist() == [1.0, 0.0]


def test_an_empty_text_has_a_weight_too() -> None:
    """One window without tokens of its own is not divided by zero."""
    assert pool(OUTPUTS[:1], [0], "weighted").tolist() == [1.0, 0.0]
