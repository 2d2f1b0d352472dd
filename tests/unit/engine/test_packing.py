"""Which rows make a batch."""

from hypothesis import given
from hypothesis import strategies as st

from matinee.engine.packing import MAX_PADDING, pack

LENGTHS = st.lists(st.integers(1, 512), min_size=1, max_size=60).map(sorted)


@given(LENGTHS, st.data(), st.integers(1, 4096))
def test_batch_holds_its_first_row_and_respects_budget_and_padding(
    lengths: list[int], data: st.DataObject, budget: int
) -> None:
    """However the lengths are spread, the row whose turn it is runs, within the bounds or alone."""
    first = data.draw(st.integers(0, len(lengths) - 1))
    chosen = pack(lengths, first, budget)
    assert first in chosen
    rows = lengths[chosen.start : chosen.stop]
    padded = len(rows) * rows[-1]
    assert len(rows) == 1 or padded <= budget
    assert padded - sum(rows) <= padded * MAX_PADDING


@given(st.integers(1, 300), st.integers(1, 100), st.integers(1, 4096))
def test_equal_rows_fill_the_budget(length: int, count: int, budget: int) -> None:
    """Rows of one length need no padding, so that only the budget bounds the batch."""
    assert len(pack([length] * count, count // 2, budget)) == max(1, min(count, budget // length))


def test_the_nearer_neighbour_joins_first() -> None:
    """A row of 100 goes with one of 101, not with one of 60, although that one is shorter."""
    assert list(pack([60, 100, 101], 1, 210)) == [1, 2]
