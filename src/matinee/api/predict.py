"""`POST /predict`: one text or a list in, predictions out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import nlargest
from itertools import count
from secrets import token_hex

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from matinee.api.answers import Json
from matinee.api.bodies import read_json
from matinee.api.endpoints import Access, Endpoint
from matinee.api.schemas import PredictRequest, PredictResponse, validate
from matinee.core.errors import InvalidRequest, TextTooLong, TooManyTexts
from matinee.core.prediction import ModelIdentity, Prediction
from matinee.rollout import Deployments

SCORE_DIGITS = 6
ERRORS = (400, 413, 415, 422, 429, 503, 504)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for; the time is in seconds."""

    max_body_bytes: int = 4 * 1024 * 1024
    max_text_chars: int = 50_000
    max_texts: int = 1000


def predict_endpoints(deployments: Deployments, limits: Limits) -> list[Endpoint]:
    """The routes that answer texts; those without a name ask the default deployment."""
    ids = new_ids()

    async def predict(request: Request) -> Response:
        scope = request.scope
        name = scope["path_params"].get("name")
        deployment = deployments.default if name is None else deployments.get(name)
        if deployment.live is not None:  # what is wrong with the request is this model's to tell
            scope["matinee.model"] = deployment.live.identity
        body = await read_json(scope["headers"], request.receive, limits.max_body_bytes)
        asked = validate(body)
        texts = texts_of(asked, limits)
        with deployment.acquire() as live:
            scope["matinee.model"], scope["matinee.stale"] = live.identity, live.stale
            predictions = await live.engine.predict(
                texts, overflow=asked.overflow, request_id=scope["matinee.request_id"]
            )
        return Json(render(predictions, live.identity, asked.top_k, ids))

    def endpoint(path: str, summary: str, *, hidden: bool = False) -> Endpoint:
        return Endpoint(
            "POST",
            path,
            predict,
            Access.CALLER,
            summary=summary,
            tag="predict",
            request=PredictRequest,
            response=PredictResponse,
            errors=(*ERRORS, 404) if "{" in path else ERRORS,
            hidden=hidden,
        )

    return [
        endpoint("/predict", "Classify one text or a list of texts"),
        endpoint("/api/predict", "The same under the path of the original endpoint"),
        endpoint("/models/{name}/predict", "Classify with one of several models"),
    ]


def texts_of(asked: PredictRequest, limits: Limits) -> Sequence[str]:
    """The texts of a request; raises `InvalidRequest`, `TooManyTexts` or `TextTooLong`."""
    if (asked.text is None) == (asked.texts is None):
        raise InvalidRequest("body", "needs either text or texts")
    if asked.text is not None:
        check_text(asked.text, "text", limits)
        return (asked.text,)
    texts = asked.texts or []
    if not texts:
        raise InvalidRequest("texts", "must hold at least one text")
    if len(texts) > limits.max_texts:
        raise TooManyTexts("texts", f"must hold at most {limits.max_texts} texts")
    for position, text in enumerate(texts):
        check_text(text, f"texts[{position}]", limits)
    return texts


def check_text(text: str, field: str, limits: Limits) -> None:
    """Raise unless `text` is one that a model can be asked about."""
    if not text or text.isspace():
        raise InvalidRequest(field, "must not be empty")
    if len(text) > limits.max_text_chars:
        raise TextTooLong(field, f"is longer than {limits.max_text_chars} characters")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidRequest(field, "holds half of a surrogate pair, which is no character") from None


def new_ids() -> Iterator[bytes]:
    """An id for each prediction, 32 hex digits: a random beginning for this process, then one after the other."""
    beginning = token_hex(10).encode()
    return (b"%b%012x" % (beginning, number) for number in count())


def render(
    predictions: Sequence[Prediction], identity: ModelIdentity, top_k: int | None, ids: Iterator[bytes]
) -> bytes:
    """The answer's JSON; the half that names the model is the same for each answer and made once."""
    listed = [b'{"id":"%b",%b' % (next(ids), _told(prediction, top_k)) for prediction in predictions]
    return b'{"predictions":[%b],%b' % (b",".join(listed), _model_half(identity))


def scores_of(prediction: Prediction, top_k: int | None = None) -> Mapping[str, float]:
    """Scores with six digits: all of them in the model's order, or the `top_k` largest, best first."""
    items = prediction.scores.items()
    kept = items if top_k is None else nlargest(top_k, items, key=lambda item: item[1])
    return {label: round(score, SCORE_DIGITS) for label, score in kept}


def _told(prediction: Prediction, top_k: int | None) -> bytes:
    """A prediction's JSON from behind its id on; the usual form is made once for all who ask."""
    if prediction.rendered and top_k is None:
        return prediction.rendered
    members = {
        "label": prediction.label,
        "scores": scores_of(prediction, top_k),
        "tokens": prediction.tokens,
        "windows": prediction.windows,
        "truncated": prediction.truncated,
        "stages": prediction.stages,
    }
    told = to_json(members)[1:]
    if top_k is None:
        prediction.rendered = told
    return told


@lru_cache(maxsize=64)
def _model_half(identity: ModelIdentity) -> bytes:
    model = {
        "name": identity.name,
        "version": identity.version,
        "digest": identity.digest,
        "source": identity.source,
    }
    return b'"model":%b}' % to_json(model)
