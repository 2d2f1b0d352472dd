"""The JSON that goes in and out. Requests are validated with these models; answers are described by them."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from matinee.core.errors import InvalidRequest
from matinee.core.prediction import Overflow
from matinee.rollout import DeploymentState, Entry

# For the document only: how long a text and a list may be is a setting, and checked after the types.
_NOT_BLANK: dict[str, JsonValue] = {"type": "string", "pattern": r"\S"}
_EITHER: list[JsonValue] = [
    {"required": ["text"], "properties": {"text": _NOT_BLANK, "texts": {"type": "null"}}},
    {
        "required": ["texts"],
        "properties": {"texts": {"type": "array", "items": _NOT_BLANK, "minItems": 1}, "text": {"type": "null"}},
    },
]


def _whole(value: object) -> object:
    """JSON does not tell 3.0 from 3, and neither does its schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class PredictRequest(BaseModel):
    """One text or a list of texts, with options."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, json_schema_extra={"oneOf": _EITHER})

    text: str | None = Field(None, description="One text", examples=["A film to fall in love with."])
    texts: list[str] | None = Field(None, description="Several texts, answered in this order")
    overflow: Overflow | None = Field(
        None, description="For texts longer than the model's window; unset: the model's own"
    )
    top_k: Annotated[int | None, BeforeValidator(_whole)] = Field(
        None, ge=1, description="Give only the scores of the k likeliest labels, best first"
    )


class Described(BaseModel):
    """An answer; only the documentation and the tests need its validator, so that starting does not wait for it."""

    model_config = ConfigDict(defer_build=True)


class PredictionOut(Described):
    """The answer to one text."""

    id: str
    label: str = Field(examples=["positive"])
    scores: dict[str, float] = Field(examples=[{"negative": 0.01, "positive": 0.99}])
    tokens: int = Field(description="The text's own tokens")
    windows: int = Field(description="How many windows of the text the model read")
    truncated: bool = Field(description="Some of the text was not read")
    stages: list[str] = Field(description="The stages that gave the answer; a cascade names those that ran")


class ModelOut(Described):
    """Which model answered."""

    name: str
    version: str
    digest: str
    source: str


class PredictResponse(Described):
    """Predictions in the order of the texts, and the one version that gave them all."""

    predictions: list[PredictionOut]
    model: ModelOut


class OriginalResponse(Described):
    """The answer of the original route."""

    text: str
    sentiment: str = Field(examples=["Positive"])
    confidences: dict[str, float] = Field(examples=[{"negative": 0.01, "positive": 0.99}])


class OriginalHealth(Described):
    """The answer of the original health route."""

    status: bool


class Probe(Described):
    """The answer of a probe."""

    status: Literal["ok", "starting", "draining", "failed"]


class ReadyModel(Described):
    """One deployment, as readiness sees it."""

    name: str
    ready: bool
    version: str | None = None
    stale: bool = Field(default=False, description="The registry could not be asked; this is the last good revision")


class Readiness(Probe):
    """Able to answer, model by model."""

    models: list[ReadyModel]


class ModelList(Described):
    """All deployments, the default one first."""

    models: list[DeploymentState]


class History(Described):
    """What was live or refused, when and why, oldest first."""

    name: str
    entries: list[Entry]


class ModelState(Described):
    """One deployment."""

    model: DeploymentState


class Accepted(Described):
    """The hint was taken; what comes of it shows in the model's state."""

    status: Literal["accepted"]


class Problem(Described):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str = Field(description="A stable word for programs")
    detail: str
    field: str | None = None
    request_id: str | None = None


def validate(body: object) -> PredictRequest:
    """A request from its parsed JSON; raises `InvalidRequest` that names the field and repeats no value."""
    if type(body) is not dict:
        raise InvalidRequest("body", "must be a JSON object with text or texts")
    try:
        return PredictRequest.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "extra_forbidden":
        raise InvalidRequest("body", f"has an unknown field; known are {', '.join(PredictRequest.model_fields)}")
    raise InvalidRequest(_path(first["loc"]) or "body", _sentence(first["msg"]))


def _path(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else str(part) for part in location)


def _sentence(message: str) -> str:
    return message.replace("Input should be", "must be")
