"""A server process swaps its version under closed-loop clients, and nobody notices."""

import asyncio
from pathlib import Path

import pytest
from benchmarks.swaps import measure


@pytest.mark.parametrize(("swaps", "warm_seconds"), [(20, 600.0), (3, 0.0)], ids=["warm", "loaded anew"])
def test_swaps_lose_no_request_and_every_answer_is_what_its_version_says(
    tmp_path: Path, swaps: int, warm_seconds: float
) -> None:
    """Not one failure, not one answer that differs from what the version named in it says (see benchmarks/swaps.py)."""
    report = asyncio.run(measure(tmp_path, swaps, 32, warm_seconds, steady_seconds=0.5))
    assert report.failed == 0
    assert report.wrong == 0
    assert report.requests > 100
