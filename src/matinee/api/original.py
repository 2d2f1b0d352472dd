"""The two routes of the original endpoint, in its own words."""

from urllib.parse import parse_qsl

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from matinee.api.answers import Json
from matinee.api.endpoints import Access, Endpoint
from matinee.api.predict import Limits, check_text, scores_of
from matinee.api.schemas import OriginalHealth, OriginalResponse
from matinee.core.errors import InvalidRequest
from matinee.rollout import Deployments

MAX_PARAMETERS = 16
_TEXT_PARAMETER = {"name": "text", "in": "query", "required": True, "schema": {"type": "string", "pattern": r"\S"}}


def original_endpoints(deployments: Deployments, limits: Limits) -> list[Endpoint]:
    """`GET /api/predict?text=` and `GET /api/health`."""

    async def predict(request: Request) -> Response:
        text = query_text(request.scope["query_string"])
        check_text(text, "text", limits)
        with deployments.default.acquire() as live:
            request.scope["matinee.model"], request.scope["matinee.stale"] = live.identity, live.stale
            (prediction,) = await live.engine.predict((text,), request_id=request.scope["matinee.request_id"])
        answer = {"text": text, "sentiment": prediction.label.capitalize(), "confidences": scores_of(prediction)}
        return Json(to_json(answer))

    async def health(_request: Request) -> Response:
        return Json(b'{"status":true}')

    return [
        Endpoint(
            "GET",
            "/api/predict",
            predict,
            Access.CALLER,
            summary="Classify one text",
            tag="original",
            response=OriginalResponse,
            parameters=(_TEXT_PARAMETER,),
            errors=(422, 413, 429, 503, 504),
        ),
        Endpoint(
            "GET",
            "/api/health",
            health,
            Access.OPEN,
            summary="The process answers",
            tag="original",
            response=OriginalHealth,
        ),
    ]


def query_text(query: bytes) -> str:
    """The parameter `text`, exactly once; parameters that the original did not know are ignored, as it did."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except UnicodeDecodeError:
        raise InvalidRequest("text", "must be percent-encoded UTF-8") from None
    except ValueError:
        raise InvalidRequest("query", f"must have at most {MAX_PARAMETERS} parameters") from None
    texts = [value for name, value in pairs if name == "text"]
    if len(texts) != 1:
        raise InvalidRequest("text", "must be given once, as ?text=…")
    return texts[0]
