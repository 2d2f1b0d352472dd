"""A server process swaps its version under closed-loop clients, and nobody notices."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from benchmarks.swaps import make_versions, measure, point, request, serving, until_ready


@pytest.mark.parametrize(("swaps", "warm_seconds"), [(20, 600.0), (3, 0.0)], ids=["warm", "loaded anew"])
def test_swaps_lose_no_request_and_every_answer_is_what_its_version_says(
    tmp_path: Path, swaps: int, warm_seconds: float
) -> None:
    """Not one failure, not one answer that differs from what the version named in it says (see benchmarks/swaps.py)."""
    report = asyncio.run(measure(tmp_path, swaps, 32, warm_seconds, steady_seconds=0.5))
    assert report.failed == 0
    assert report.wrong == 0
    assert report.requests > 100


def test_two_workers_go_to_and_fro_together(tmp_path: Path) -> None:
    """Whichever is asked, also before the other is level with it: every rollback ends with both on one version."""

    async def scene() -> None:
        make_versions(tmp_path)
        point(tmp_path, "one")
        settings = {"MODELS": f"films={tmp_path / 'current'}", "POLL_SECONDS": "0", "WORKERS": "2"}
        with serving(tmp_path, **settings) as (port, _):
            async with asyncio.timeout(60):
                await until_ready(port)  # one of them; the other may be opening its first version
                while await readiness(port) != {200}:
                    continue
            point(tmp_path, "two")
            assert (await once(port, "POST", "/models/films/reload"))[0] == 200
            for _ in range(4):
                status, _, answer = await once(port, "POST", "/models/films/rollback")
                if status == 409:  # of the worker that had never been there and was not told yet
                    continue
                async with asyncio.timeout(60):
                    while await versions(port) != {answer["model"]["live"]["version"]}:
                        continue

    asyncio.run(scene())


async def once(port: int, method: str, path: str) -> tuple[int, dict[str, str], Any]:
    """One request on a connection of its own, which either worker may take."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await request(reader, writer, method, path)
    finally:
        writer.close()


async def readiness(port: int) -> set[int]:
    """Both workers' statuses."""
    return {(await once(port, "GET", "/readyz"))[0] for _ in range(24)}


async def versions(port: int) -> set[str]:
    """What new connections are answered by; with so many, both workers have their turn."""
    return {(await once(port, "GET", "/livez"))[1]["x-matinee-version"] for _ in range(24)}
