"""One application for the tests that only ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.fakes.serving import serving

ADMIN_KEY = "an-admin-key-of-some-length"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The application with small limits and an administrator's key."""
    folder: Path = tmp_path_factory.mktemp("app")
    environ = {
        "MAX_TEXT_CHARS": "10000",
        "MAX_BODY_BYTES": str(8 * 1024 * 1024),
        "ADMIN_KEY": ADMIN_KEY,
        "WEBHOOK_SECRET": "a-webhook-secret",
    }
    with serving(folder, environ) as client:
        yield client
