"""The sources together, asked by several deployments at the same time."""

import threading
import time
from pathlib import Path

import pytest

from matinee import sources as module
from matinee.core.bundle import Bundle
from matinee.core.reference import ModelRef
from matinee.sources import SourceOptions, Sources
from matinee.sources.cache import Cache


class Slow(Cache):
    """Takes a moment to be opened, as on a busy disk."""

    def __init__(self, folder: Path, max_bytes: int, max_files: int, max_bundle_bytes: int) -> None:
        time.sleep(0.1)
        super().__init__(folder, max_bytes, max_files, max_bundle_bytes)


def test_deployments_that_begin_together_share_one_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one each, what the first had pulled would be held for ever, because the other is told of its release."""
    monkeypatch.setattr(module, "Cache", Slow)
    together = Sources(SourceOptions(cache_dir=tmp_path / "cache", settle_seconds=0.0, attempts=1))
    bundles: list[Bundle] = []
    threads = []
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
        ref = ModelRef.parse(str(tmp_path / name))
        threads.append(threading.Thread(target=lambda ref=ref: bundles.append(together.pull(together.resolve(ref)))))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.live for entry in together.cached()] == [True, True]
    for bundle in bundles:
        together.release(bundle)
    assert [entry.live for entry in together.cached()] == [False, False]
