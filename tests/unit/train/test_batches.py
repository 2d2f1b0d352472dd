"""Training batches: every review once, little padding, the same plan for the same seed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matinee.train.batches import Batch, group_by_length, pack, padded_length, plan_epoch

lengths = st.lists(st.integers(0, 900), min_size=1, max_size=120).map(lambda sizes: np.array(sizes, dtype=np.int64))


@given(lengths, st.integers(0, 5))
def test_an_epoch_reads_one_window_of_every_review(sizes: "np.typing.NDArray[np.int64]", seed: int) -> None:
    """Each row once, its window inside the text and as long as allowed."""
    batches = plan_epoch(sizes, window=256, budget=4096, rng=np.random.default_rng(seed))
    rows = np.concatenate([batch.rows for batch in batches])
    assert sorted(rows) == list(range(len(sizes)))
    for batch in batches:
        assert (batch.starts >= 0).all()
        assert (batch.stops <= sizes[batch.rows]).all()
        assert (batch.stops - batch.starts == np.minimum(sizes[batch.rows], 254)).all()


@given(lengths)
def test_batches_stay_within_the_budget(sizes: "np.typing.NDArray[np.int64]") -> None:
    """Count x padded length is at most the budget, unless one row alone is longer."""
    for group in group_by_length(np.argsort(sizes, kind="stable"), sizes, 2048):
        longest = padded_length(int(sizes[group].max()) + 2)
        assert len(group) == 1 or len(group) * longest <= 2048


def test_the_plan_depends_on_the_seed_alone() -> None:
    """A run that goes on after a kill sees the same batches."""
    sizes = np.random.default_rng(0).integers(5, 600, 300)
    plans = [plan_epoch(sizes, window=256, budget=4096, rng=np.random.default_rng(seed)) for seed in (7, 7, 8)]
    first, same, other = ([batch.rows.tolist() for batch in plan] for plan in plans)
    assert first == same
    assert first != other


def test_padding_is_little() -> None:
    """Rows of a batch have similar lengths: less than a tenth of what is computed is padding."""
    sizes = np.random.default_rng(0).lognormal(5.3, 0.6, 5_000).astype(np.int64)
    batches = plan_epoch(sizes, window=384, budget=4096, rng=np.random.default_rng(0))
    used = sum(int((batch.stops - batch.starts + 2).sum()) for batch in batches)
    paid = sum(len(batch.rows) * padded_length(int((batch.stops - batch.starts).max()) + 2) for batch in batches)
    assert used / paid > 0.9


def test_pack_puts_special_tokens_around_and_padding_after() -> None:
    """Ids and mask of two windows of different lengths."""
    tokens = [np.array([5, 6, 7, 8], dtype=np.int32), np.array([9], dtype=np.int32)]
    batch = Batch(np.array([0, 1]), np.array([1, 0]), np.array([3, 1]))
    ids, mask = pack(tokens, batch, first=1, last=2, limit=512)
    assert ids.shape == (2, 32)
    assert ids[:, :5].tolist() == [[1, 6, 7, 2, 0], [1, 9, 2, 0, 0]]
    assert mask.sum(axis=1).tolist() == [4, 3]


def test_padding_never_exceeds_what_the_model_takes() -> None:
    """A limit that is no multiple of 32 holds."""
    tokens = [np.arange(38, dtype=np.int32)]
    ids, _ = pack(tokens, Batch(np.array([0]), np.array([0]), np.array([38])), first=1, last=2, limit=40)
    assert ids.shape == (1, 40)
