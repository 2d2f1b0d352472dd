"""Which routes there are, and what every answer carries."""

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from starlette.testclient import TestClient
from tests.fakes.serving import edge_of, serving, write_bundle

from matinee.api.schemas import ModelList, OriginalResponse, PredictResponse, Readiness


def test_the_original_route_answers_in_its_own_words(client: TestClient) -> None:
    """Text, capitalized sentiment, and the scores under the label names."""
    response = client.get("/api/predict", params={"text": "good good"})

    assert response.json() == {
        "text": "good good",
        "sentiment": "Positive",
        "confidences": {"negative": 0.058824, "positive": 0.941176},
    }
    OriginalResponse.model_validate(response.json())


def test_the_original_health_route(client: TestClient) -> None:
    """It says what it always said."""
    assert client.get("/api/health").json() == {"status": True}


@pytest.mark.parametrize("path", ["/predict", "/api/predict", "/models/obedient/predict"])
def test_one_text_and_a_list_have_the_same_answer(client: TestClient, path: str) -> None:
    """The shape does not depend on how many texts were asked."""
    one = client.post(path, json={"text": "good"}).json()
    many = client.post(path, json={"texts": ["good", "bad bad"]}).json()

    PredictResponse.model_validate(one, strict=True)
    assert [prediction["label"] for prediction in many["predictions"]] == ["positive", "negative"]
    assert one["predictions"][0]["scores"] == many["predictions"][0]["scores"] == {"negative": 0.2, "positive": 0.8}
    assert one["model"] == many["model"]


def test_top_k_keeps_the_likeliest_labels(client: TestClient) -> None:
    """The best first."""
    answer = client.post("/predict", json={"text": "bad", "top_k": 1}).json()

    same = client.post("/predict", json={"text": "bad", "top_k": 1.0}).json()

    assert answer["predictions"][0]["scores"] == same["predictions"][0]["scores"] == {"negative": 0.8}


def test_who_asks_again_gets_the_same_under_an_id_of_its_own_and_as_asked_for(client: TestClient) -> None:
    """An answer is kept without its id and whole, however many labels the first one wanted."""
    asked: list[dict[str, object]] = [
        {"texts": ["good", "good"], "top_k": 1},
        {"texts": ["good"] * 3},
        {"text": "good"},
    ]
    answers = [client.post("/predict", json=body).json()["predictions"] for body in asked]

    assert len({each.pop("id") for predictions in answers for each in predictions}) == 6
    best, whole = {"positive": 0.8}, {"negative": 0.2, "positive": 0.8}
    assert [[each["scores"] for each in predictions] for predictions in answers] == [[best] * 2, [whole] * 3, [whole]]
    assert answers[1] == answers[2] * 3


def test_overflow_is_the_callers_choice(client: TestClient) -> None:
    """A long text is read in windows, cut or refused, and the answer says which."""
    long = "good " * 100

    cut = client.post("/predict", json={"text": long, "overflow": "truncate"})
    refused = client.post("/predict", json={"text": long, "overflow": "error"})

    assert cut.json()["predictions"][0]["truncated"] is True
    assert (refused.status_code, refused.json()["code"]) == (413, "text_too_long")


def test_the_setting_says_what_becomes_of_long_texts(tmp_path: Path) -> None:
    """Where the request does not: it goes before the model's own rule."""
    with serving(tmp_path, {"OVERFLOW": "error"}) as client:
        refused = client.post("/predict", json={"text": "good " * 100})
        cut = client.post("/predict", json={"text": "good " * 100, "overflow": "truncate"})
    assert (refused.status_code, cut.status_code) == (413, 200)


def test_every_answer_names_request_and_model(client: TestClient) -> None:
    """Also the ones that went wrong."""
    for method, path in (("GET", "/livez"), ("GET", "/nowhere"), ("DELETE", "/predict"), ("POST", "/predict")):
        headers = client.request(method, path).headers
        assert headers["x-request-id"]
        assert headers["x-matinee-model"] == "obedient"
        assert headers["x-matinee-version"]
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc-1.2_X", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("with space", False),
        ('"quoted"', False),
        ("<script>", False),
        ("", False),
    ],
)
def test_a_well_formed_request_id_is_taken_over(client: TestClient, given: str, kept: bool) -> None:
    """Anything else could forge a line in somebody's log."""
    answered = client.get("/livez", headers={"x-request-id": given}).headers["x-request-id"]

    assert (answered == given) is kept
    assert answered


def test_unknown_routes_and_methods_are_problems(client: TestClient) -> None:
    """A 405 says what would be right."""
    missing = client.get("/nowhere")
    wrong = client.get("/predict")
    both = client.delete("/api/predict")

    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert both.headers["allow"] == "GET, HEAD, POST"
    assert wrong.headers["content-type"] == "application/problem+json"


def test_head_is_answered_like_get(client: TestClient) -> None:
    """As the standard wants it."""
    assert client.head("/livez").status_code == 200


def test_unknown_models_are_problems(client: TestClient) -> None:
    """The names that exist are told."""
    response = client.post("/models/other/predict", json={"text": "good"})

    assert (response.status_code, response.json()["code"]) == (404, "unknown_model")
    assert "obedient" in response.json()["detail"]


def test_an_error_is_that_of_the_model_which_was_asked(tmp_path: Path) -> None:
    """In the header and in the figures, also when the request never came as far as the model."""
    models = {name: write_bundle(tmp_path / name, version=name) for name in ("first", "second")}
    named = ", ".join(f"{name}={folder}" for name, folder in models.items())
    with serving(tmp_path, {"MODEL": "", "MODELS": named}) as client:
        response = client.post("/models/second/predict", json={"texts": []})
        metrics = client.get("/metrics").text

    assert (response.status_code, response.headers["x-matinee-model"]) == (422, "second")
    (counted,) = [line for line in metrics.splitlines() if '_total{code="invalid_request"' in line]
    assert 'model="second"' in counted


def test_models_tell_what_is_live(client: TestClient) -> None:
    """Version, digest, reference, labels and figures, as the document promises."""
    response = client.get("/models")
    model = response.json()["models"][0]

    TypeAdapter(ModelList).validate_python(response.json())
    assert model["live"]["labels"] == ["negative", "positive"]
    assert model["live"]["metrics"] == {"accuracy": 0.9}
    assert client.get("/models/obedient").json()["model"]["live"] == model["live"]
    assert client.get("/models/obedient/history").json()["entries"][0]["event"] == "live"


def test_readiness_tells_each_model(client: TestClient) -> None:
    """Whether it answers, and whether the registry could be asked."""
    answer = client.get("/readyz").json()

    Readiness.model_validate(answer)
    assert answer["models"][0] | {"version": ""} == {"name": "obedient", "ready": True, "version": "", "stale": False}
    assert client.get("/startupz").json() == {"status": "ok"}


def test_before_the_first_model_requests_are_put_off(tmp_path: Path) -> None:
    """Alive, not ready, and a 503 that says when to come again."""
    missing = str(tmp_path / "missing")
    with serving(tmp_path, {"MODEL": missing}, wait=False) as client:
        refused = client.post("/predict", json={"text": "good"})
        ready, started, live = (client.get(path) for path in ("/readyz", "/startupz", "/livez"))

    assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
    assert int(refused.headers["retry-after"]) >= 1
    assert (ready.status_code, started.status_code, live.status_code) == (503, 503, 200)
    assert "x-matinee-model" not in refused.headers


def test_the_document_describes_every_visible_route(client: TestClient) -> None:
    """It is made from the same table, and every reference in it leads somewhere."""
    document = client.get("/openapi.json").json()
    shown = {(e.method.lower(), e.path) for e in edge_of(client).table.endpoints if not e.hidden}

    assert {(method, path) for path, methods in document["paths"].items() for method in methods} == shown
    assert document["openapi"].startswith("3.1")
    names = set(document["components"]["schemas"])
    references = {part.split('"')[0] for part in json.dumps(document).split("#/components/schemas/")[1:]}
    assert references <= names


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc"])
def test_pages_run_no_script_but_their_own(client: TestClient, path: str) -> None:
    """Scripts come from files of this server; none is inline, none comes from elsewhere."""
    response = client.get(path)

    policy = response.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe-eval" not in policy
    assert "<script>" not in response.text
    assert "http" not in response.text.replace("https://www.w3.org", "")
    for line in response.text.split("src=")[1:] + response.text.split("<link")[1:]:
        source = line.split('"')[1] if line.startswith('"') else line.split('href="')[1].split('"')[0]
        assert client.get(source).status_code == 200, source


def test_the_page_sets_text_and_never_markup(client: TestClient) -> None:
    """What a model or a person says cannot become a script."""
    script = client.get("/ui/page.js").text

    assert "textContent" in script
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in script


def test_no_origin_is_allowed_across(client: TestClient) -> None:
    """A foreign page can neither read an answer nor ask beforehand."""
    response = client.post("/predict", json={"text": "good"}, headers={"origin": "https://elsewhere.example"})
    asked = client.options("/predict", headers={"origin": "null", "access-control-request-method": "POST"})

    assert "access-control-allow-origin" not in response.headers
    assert asked.status_code == 405


def test_metrics_are_prometheus_text(client: TestClient) -> None:
    """With requests counted."""
    client.post("/predict", json={"text": "good"})
    response = client.get("/metrics")

    assert response.headers["content-type"].startswith("text/plain")
    assert 'matinee_requests_total{model="obedient"' in response.text
