"""Whatever is sent, the answer is a prediction or a small problem that names the field and repeats nothing."""

import gzip
import json

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

CANARY = "canary-7f3a"
JSON = {"content-type": "application/json"}


def problem(response: httpx2.Response, status: int) -> dict[str, object]:
    """The problem document, after checking what holds for every one of them."""
    assert response.status_code == status, response.text[:300]
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) <= 1024
    assert CANARY not in response.text
    document: dict[str, object] = response.json()
    assert document["status"] == status
    assert document["code"]
    assert document["request_id"] == response.headers["x-request-id"]
    return document


EDGE_BODIES: dict[str, tuple[bytes, int]] = {
    "lone surrogate in a value": (rb'{"text": "canary-7f3a \ud800"}', 422),
    "lone surrogate in a list": (rb'{"texts": ["fine", "\udfff"]}', 422),
    "lone surrogate in a key": (rb'{"text": "fine", "\ud800": 1}', 422),
    "NaN for a number": (b'{"text": "canary-7f3a", "top_k": NaN}', 400),
    "Infinity for a number": (b'{"text": "canary-7f3a", "top_k": Infinity}', 400),
    "1e999 for a number": (b'{"text": "canary-7f3a", "top_k": 1e999}', 422),
    "NaN for the text": (b'{"text": NaN}', 400),
    "a very deep list as text": (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "a deep list as text": (b'{"text": ' + b"[" * 900 + b"]" * 900 + b"}", 422),
    "an integer of 5,000 digits": (b'{"text": ' + b"7" * 5000 + b"}", 400),
    "an integer of 4,000 digits": (b'{"text": ' + b"7" * 4000 + b"}", 422),
    "a float of 400 digits": (b'{"text": ' + b"7" * 400 + b".0}", 422),
    "duplicate keys": (b'{"text": "canary-7f3a", "text": "good"}', 422),
    "invalid UTF-8": (b'{"text": "canary-7f3a \xff"}', 400),
    "overlong UTF-8": (b'{"text": "canary-7f3a \xc0\xaf"}', 400),
    "UTF-16": ('{"text": "canary-7f3a"}'.encode("utf-16"), 400),
    "UTF-8 with a mark": (b'\xef\xbb\xbf{"text": "canary-7f3a"}', 400),
    "nothing": (b"", 400),
    "a list": (b"[]", 422),
    "null": (b"null", 422),
    "trailing garbage": (b'{"text": "canary-7f3a"} x', 400),
    "a comment": (b'{"text": "canary-7f3a" /* no */}', 400),
    "20,000 characters": (json.dumps({"text": CANARY + "x" * 20_000}).encode(), 413),
    "30 MB": (json.dumps({"text": CANARY + "x" * 30_000_000}).encode(), 413),
    "10,000 texts": (json.dumps({"texts": [CANARY] * 10_000}).encode(), 413),
    "neither text nor texts": (b"{}", 422),
    "text and texts": (b'{"text": "canary-7f3a", "texts": ["good"]}', 422),
    "an empty text": (b'{"text": ""}', 422),
    "white space": (b'{"text": " \\n\\t"}', 422),
    "an empty list": (b'{"texts": []}', 422),
    "a number in the list": (b'{"texts": ["canary-7f3a", 7]}', 422),
    "an unknown field": (b'{"text": "good", "canary-7f3a": 1}', 422),
    "an unknown overflow": (b'{"text": "good", "overflow": "canary-7f3a"}', 422),
    "no labels wanted": (b'{"text": "good", "top_k": 0}', 422),
    "a boolean for a number": (b'{"text": "good", "top_k": true}', 422),
}


@pytest.mark.parametrize("path", ["/predict", "/api/predict", "/models/obedient/predict"])
@pytest.mark.parametrize(("body", "status"), EDGE_BODIES.values(), ids=EDGE_BODIES.keys())
def test_edge_bodies_are_small_problems(client: TestClient, path: str, body: bytes, status: int) -> None:
    """None of them is an error of the server, and none of them comes back."""
    problem(client.post(path, content=body, headers=JSON), status)


def test_the_field_is_named(client: TestClient) -> None:
    """A program and a person can tell what to change."""
    fields = {
        b'{"texts": ["good", 7]}': "texts[1]",
        b'{"texts": ["good", ""]}': "texts[1]",
        b'{"text": 7}': "text",
        b'{"text": "good", "top_k": 0}': "top_k",
        b'{"text": "good", "nonsense": 0}': "body",
        rb'{"text": "good", "\ud800": 0}': "body",
    }

    found = {body: problem(client.post("/predict", content=body, headers=JSON), 422)["field"] for body in fields}

    assert found == fields


@pytest.mark.parametrize(
    "headers",
    [{}, {"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}],
    ids=["none", "text", "form"],
)
def test_other_media_types_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    """A form on a foreign page cannot make a browser send JSON."""
    response = client.post("/predict", content=b'{"text": "good"}', headers=headers)

    assert problem(response, 415)["field"] == "content-type"


def test_compressed_bodies_are_refused(client: TestClient) -> None:
    """What is small on the wire and huge in memory is not unpacked."""
    body = gzip.compress(b'{"text": "good"}')

    problem(client.post("/predict", content=body, headers=JSON | {"content-encoding": "gzip"}), 415)


EXACT = ["👍🏽 good", "good שלום", "e\u0301 good", "good\x00good", "good \u202e evil", "\U0001d11e good", "ﷺ"]


@pytest.mark.parametrize("text", EXACT, ids=[ascii(text) for text in EXACT])
def test_unicode_arrives_as_it_was_sent(client: TestClient, text: str) -> None:
    """Emoji, right-to-left, combining marks and NUL are text like any other."""
    original = client.get("/api/predict", params={"text": text})
    listed = client.post("/predict", json={"texts": [text, text]})

    assert original.json()["text"] == text
    assert len(listed.json()["predictions"]) == 2


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda leaf: (
            st.lists(leaf) | st.dictionaries(st.sampled_from(["text", "texts", "overflow", "top_k", "x"]), leaf)
        ),
    )
)
def test_any_json_is_answered_or_refused(client: TestClient, body: object) -> None:
    """No JSON value whatever makes the server fail."""
    response = client.post("/predict", content=json.dumps(body).encode(), headers=JSON)

    assert response.status_code in {200, 400, 413, 422}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200))
def test_any_bytes_are_answered_or_refused(client: TestClient, body: bytes) -> None:
    """Nor do any bytes."""
    assert client.post("/predict", content=body, headers=JSON).status_code in {400, 422}


QUERIES = {
    "no text": ("", 422),
    "an empty text": ("text=", 422),
    "two texts": ("text=good&text=bad", 422),
    "not UTF-8": ("text=%ff%fe", 422),
    "half a surrogate pair": ("text=%ed%a0%80", 422),
    "many parameters": ("&".join(["a=b"] * 50), 422),
    "too long": ("text=" + "x" * 10_001, 413),
}


@pytest.mark.parametrize(("query", "status"), QUERIES.values(), ids=QUERIES.keys())
def test_edge_queries_are_small_problems(client: TestClient, query: str, status: int) -> None:
    """The original route refuses what it cannot read, by the same rules."""
    problem(client.get(f"/api/predict?{query}"), status)
