"""Who may call which route, and that no trick opens another."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import ADMIN_KEY
from tests.fakes.serving import edge_of, serving

from matinee.api.endpoints import Access

ADMIN = {"authorization": f"Bearer {ADMIN_KEY}"}
EXPECTED_ACCESS = {
    Access.CALLER: {
        "POST /predict",
        "POST /api/predict",
        "POST /models/{name}/predict",
        "GET /api/predict",
        "GET /models",
        "GET /models/{name}",
        "GET /models/{name}/history",
        "GET /metrics",
    },
    Access.ADMIN: {"POST /models/{name}/reload", "POST /models/{name}/rollback"},
    Access.SIGNED: {"POST /webhooks/{registry}"},
    Access.OPEN: {
        "GET /livez",
        "GET /readyz",
        "GET /startupz",
        "GET /api/health",
        "GET /openapi.json",
        "GET /docs",
        "GET /docs/start.js",
        "GET /docs/swagger-ui.css",
        "GET /docs/swagger-ui-bundle.js",
        "GET /redoc",
        "GET /redoc/redoc.standalone.js",
        "GET /",
        "GET /ui/page.css",
        "GET /ui/page.js",
        "GET /ui/icon.svg",
        "GET /favicon.ico",
    },
}


def test_every_route_says_who_may_call_it(client: TestClient) -> None:
    """A new route has to be written down here, too."""
    found: dict[Access, set[str]] = {}
    for endpoint in edge_of(client).table.endpoints:
        found.setdefault(endpoint.access, set()).add(f"{endpoint.method} {endpoint.path}")

    assert found == EXPECTED_ACCESS


def test_the_levers_need_the_administrators_key(client: TestClient) -> None:
    """No key, a wrong key, and a key in the wrong place do not open."""
    for path in ("/models/obedient/reload", "/models/obedient/rollback"):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": ADMIN_KEY}, {"cookie": ADMIN_KEY}):
            response = client.post(path, headers=headers)
            assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
            assert response.headers["www-authenticate"] == "Bearer"
        assert client.post(f"{path}?key={ADMIN_KEY}").status_code == 401


def test_the_administrator_reloads_and_rolls_back(client: TestClient) -> None:
    """The same version stays, and there is nothing to go back to."""
    reloaded = client.post("/models/obedient/reload", headers=ADMIN)
    rolled_back = client.post("/models/obedient/rollback", headers={"x-api-key": ADMIN_KEY})

    assert reloaded.json()["model"]["live"]["version"]
    assert (rolled_back.status_code, rolled_back.json()["code"]) == (409, "conflict")


def test_without_a_key_the_levers_are_switched_off(tmp_path: Path) -> None:
    """Nobody can guess a key that does not exist."""
    with serving(tmp_path) as client:
        response = client.post("/models/obedient/reload", headers={"authorization": "Bearer "})

    assert response.status_code == 401
    assert "ADMIN_KEY" in response.json()["detail"]


def test_with_api_keys_every_route_but_the_open_ones_needs_one(tmp_path: Path) -> None:
    """Probes, page and documentation stay open; they tell nothing about a request."""
    keys = ("a-first-key-of-callers", "a-second-key-of-callers")
    with serving(tmp_path, {"API_KEYS": ", ".join(keys), "ADMIN_KEY": ADMIN_KEY}) as client:
        for endpoint in edge_of(client).table.endpoints:
            path = endpoint.path.replace("{name}", "obedient").replace("{registry}", "wandb")
            status = client.request(endpoint.method, path).status_code
            assert (status == 401) is (endpoint.access is not Access.OPEN), endpoint.path
        for key in (*keys, ADMIN_KEY):
            response = client.post("/predict", json={"text": "good"}, headers={"authorization": f"bearer {key}"})
            assert response.status_code == 200
        assert client.post("/models/obedient/reload", headers={"x-api-key": keys[0]}).status_code == 401


HOSTS = ["a/health?", "a/livez#", "a@b/livez?x=", "a\\livez", "[::1]/x", "a:80/livez?", "", "a b", "xn--\xff"]
PATHS = [
    "//models/obedient/reload",
    "/models/obedient/reload/",
    "/models/obedient//reload",
    "/models/obedient/./reload",
    "/models/x/../obedient/reload",
    "/models/obedient/reload;x=y",
    "/Models/obedient/reload",
    "/models/obedient/%72eload",
    "/models/obedient%2freload",
    "/models/obedient/reload?x=/livez",
    "/livez/../models/obedient/reload",
    "/models/obedient/reload%00",
]


@pytest.mark.parametrize("host", HOSTS)
def test_no_trick_with_host_or_path_opens_a_lever(client: TestClient, host: str) -> None:
    """What is authorized is what is routed."""
    for path in PATHS:
        tricks = {"host": host, "x-original-url": "/livez", "x-http-method-override": "GET"}
        headers = {name.encode(): value.encode("latin-1") for name, value in tricks.items()}
        response = client.post(path, headers=headers)
        assert response.status_code in {401, 404, 405}, path


def test_webhooks_take_only_genuine_calls(client: TestClient) -> None:
    """A call with the shared secret is a hint; anything else is nothing."""
    forged = client.post("/webhooks/wandb", content=b"{}")
    genuine = client.post("/webhooks/wandb", content=b"{}", headers={"authorization": "Bearer a-webhook-secret"})

    assert forged.status_code == 401
    assert (genuine.status_code, genuine.json()) == (202, {"status": "accepted"})
