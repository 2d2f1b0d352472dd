"""Every setting of the program, read once, frozen; seen by `cli` and `app` only.

A setting is a field below. `PORT` may be written `PORT` or `MATINEE_PORT`, in the environment, in `.env`, or as
`port` in `matinee.toml` of the working directory; the first of these that has it wins, in this order, and
the longer spelling before the shorter. An empty value counts as not set. All problems are told in one message.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from matinee.core.errors import InvalidSettings
from matinee.core.prediction import Overflow

PREFIX = "MATINEE_"
DEFAULT_MODEL = "bundled:imdb-sentiment"
ORIGINAL_NAMES = frozenset(
    {"project_name", "local_model_dir", "local_model_name", "model_version", "model_loader", "wandb_api_key"}
)


def _split(value: object) -> object:
    """`"a, b"` is the list of its parts; a list from TOML stays what it is."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _pairs(value: object) -> object:
    """`"a=x, b=y"` is a table; a table from TOML stays what it is."""
    if not isinstance(value, str):
        return value
    parts = [part.partition("=") for part in value.split(",") if part.strip()]
    if not all(name.strip() and reference.strip() for name, _, reference in parts):
        raise ValueError("must look like name=reference, name=reference")
    if len({name.strip() for name, _, _ in parts}) < len(parts):
        raise ValueError("must have each name once")
    return {name.strip(): reference.strip() for name, _, reference in parts}


def _long_enough(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < 16:
        raise ValueError("a key needs at least 16 characters")
    return key


Key = Annotated[SecretStr, AfterValidator(_long_enough)]
DeploymentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Texts = Annotated[tuple[str, ...], BeforeValidator(_split)]


class Settings(BaseModel):
    """What the environment, `.env` and `matinee.toml` say; the descriptions are the reference documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # --- which model ---
    model: str | None = Field(None, description=f"Reference of the model to serve; unset means `{DEFAULT_MODEL}`")
    models: Annotated[dict[DeploymentName, str], BeforeValidator(_pairs)] = Field(
        {}, description="Several deployments, `name=reference, name=reference`; the first is the default one"
    )
    cascade: str | None = Field(None, description="Reference of the quick model that answers alone when it is sure")
    labels: Texts = Field((), description="Label names in the order of the scores, for a model that does not say them")
    overflow: Overflow | None = Field(
        None,
        description="For texts longer than the window: `window`, `truncate` or `error`; unset: the model's own",
    )
    poll_seconds: float = Field(
        30, ge=0, le=86400, description="How often, in seconds, an alias is looked up again; 0 never"
    )
    warm_seconds: float = Field(
        600, ge=0, le=86400, description="How long, in seconds, the version before stays in memory for a rollback"
    )
    webhook_secret: SecretStr | None = Field(
        None, description="Shared secret of registry webhooks, which cause an early look"
    )

    # --- what a new version must prove ---
    gate_golden: Path | None = Field(
        None, description='File of JSON lines `{"text", "label"}` that must come out right; unset: the model\'s own'
    )
    gate_golden_share: float = Field(
        1.0, ge=0, le=1, description="Share of the golden examples that must come out right"
    )
    gate_flips: float = Field(
        0.2, ge=0, le=1, description="Most of the last 200 texts that may change their label with a new version"
    )
    gate_latency_ms: float = Field(
        2000, gt=0, description="Longest time for one text, in milliseconds (95th percentile)"
    )
    gate_load_seconds: float = Field(60, gt=0, le=3600, description="Time limit of loading a new version, in seconds")
    gate_memory_bytes: int = Field(
        0, ge=0, description="Most memory that loading a new version may take; 0: nine tenths of what is free"
    )
    gate_label_names: Annotated[dict[str, str], BeforeValidator(_pairs)] = Field(
        {}, description="New names for a new version's labels, `theirs=ours, theirs=ours`"
    )
    probation_seconds: float = Field(
        300,
        ge=0,
        le=86400,
        description="For this long, in seconds, a new version that fails or is slow is taken back; 0 never",
    )

    # --- the names of the original endpoint ---
    project_name: str = Field("imdb-sentiment-api", description="Original name: W&B project of the artifact")
    local_model_dir: str = Field("./ml/model/", description="Original name: folder of the model file")
    local_model_name: str = Field("model.pkl", description="Original name: file or folder in `LOCAL_MODEL_DIR`")
    model_version: str = Field("latest", description="Original name: alias or version of the W&B artifact")
    model_loader: str = Field(
        "",
        description="Original name: what a bare model is: `joblib`, `keras`, `transformers`, another flavor, or "
        "`package.module:Class` for a class of your own; unset: the files tell",
    )
    wandb_api_key: SecretStr | None = Field(None, description="Key for Weights & Biases")
    debug: bool = Field(default=False, description="Original name: log at level `debug`; answers never change")
    secret_key: SecretStr | None = Field(None, description="Original name: accepted, and used for nothing")

    # --- what a model may contain ---
    allow_pickle_names: Texts = Field((), description="Further `module.name` pairs that a pickle may refer to")
    allow_keras_names: Texts = Field((), description="Further Keras classes, `package>Name` or `module.Name`")
    allow_python_function: bool = Field(
        default=False, description="Allow MLflow's `python_function` models, which run code of their own"
    )

    # --- the server ---
    host: str = Field("0.0.0.0", description="Address to listen on")  # noqa: S104 - a container listens on all
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    workers: int = Field(1, ge=1, le=64, description="Worker processes on the one port")
    admin_key: Key | None = Field(
        None, description="Key for reload and rollback, at least 16 characters; unset switches them off"
    )
    api_keys: Annotated[tuple[Key, ...], BeforeValidator(_split)] = Field(
        (), description="Keys, separated by commas; when set, every route but probes, page and documentation needs one"
    )
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024, description="Longest request body, in bytes")
    max_text_chars: int = Field(50_000, ge=1, description="Longest text, in characters (code points)")
    max_texts: int = Field(1000, ge=1, description="Most texts in one request")
    queue_texts: int = Field(
        2048, ge=1, description="Most texts that may wait for the model; more are refused with 429"
    )
    deadline_seconds: float = Field(
        30, gt=0, le=3600, description="A request that waits longer is given up, in seconds"
    )
    header_seconds: float = Field(5, gt=0, le=60, description="Time to send the request line and headers, in seconds")
    body_seconds: float = Field(8, gt=0, le=300, description="Time to send the body, in seconds")
    unread_seconds: float = Field(30, gt=0, le=300, description="Time to take the answer, in seconds")
    keep_alive_seconds: float = Field(
        75, gt=0, le=3600, description="An idle connection stays open this long, in seconds"
    )
    drain_seconds: float = Field(
        1, ge=0, le=60, description="After SIGTERM: not ready, yet still accepting, for this long, in seconds"
    )
    shutdown_seconds: float = Field(
        5, gt=0, le=60, description="After draining: time for requests in flight, in seconds"
    )
    log_format: Literal["auto", "pretty", "json"] = Field(
        "auto", description="`pretty` for people, `json` for programs; `auto` asks whether a terminal looks on"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged"
    )
    log_requests: bool = Field(default=False, description="Log a line for each answer; never its text")
    traces: str = Field("", description="Address of an OpenTelemetry collector (OTLP over HTTP); empty sends none")

    # --- how the model runs ---
    runtime: Literal["auto", "openvino", "onnxruntime"] = Field("auto", description="What runs an ONNX graph")
    precision: Literal["auto", "f32", "bf16", "int8"] = Field(
        "auto", description="Arithmetic of the graph: `auto`, `f32`, `bf16` or `int8`"
    )
    threads: int = Field(0, ge=0, le=1024, description="Threads of one model; 0 asks the machine")
    batch_tokens: int = Field(
        0, ge=0, description="Token budget of one batch, padding included; 0 leaves it to the model"
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="Where the model runs")
    answer_cache: int = Field(10_000, ge=0, description="Answers kept for repeated texts; 0 keeps none")

    # --- registries and files ---
    cache_dir: Path = Field(Path("~/.cache/matinee"), description="Folder of downloaded models")
    cache_bytes: int = Field(20 * 1024**3, ge=0, description="Most bytes of models to keep in `CACHE_DIR`")
    registry_seconds: float = Field(20, gt=0, le=3600, description="Time limit of one look at a registry, in seconds")
    pull_seconds: float = Field(1800, gt=0, le=86400, description="Time limit of one download, in seconds")
    wandb_log: bool = Field(default=False, description="Record every inference in one W&B run")
    wandb_offline: bool = Field(default=False, description="Keep that run in `CACHE_DIR`, for `wandb sync`")
    wandb_texts: float = Field(
        0, ge=0, le=1, description="Share of the texts that are recorded themselves; texts are personal data"
    )

    def references(self) -> dict[str, str]:
        """Deployment name -> model reference, the default deployment first."""
        if self.models:
            return dict(self.models)
        reference = self.model or self._original_reference() or DEFAULT_MODEL
        return {deployment_name(reference): reference}

    def secrets(self) -> list[str]:
        """Every secret value, for whoever has to keep them out of an output."""
        single = (self.wandb_api_key, self.secret_key, self.admin_key, self.webhook_secret)
        return [secret.get_secret_value() for secret in (*single, *self.api_keys) if secret is not None]

    def _original_reference(self) -> str | None:
        """The model that the original names describe; none when none of them is set."""
        if not ORIGINAL_NAMES & self.model_fields_set:
            return None
        if self.wandb_api_key is not None:
            return f"wandb:{self.project_name}/{Path(self.local_model_name).stem}:{self.model_version}"
        return str(Path(self.local_model_dir) / self.local_model_name)


def deployment_name(reference: str) -> str:
    """A short name for a reference: `wandb:team/project/stars:production` is `stars`, `./models/tiny` is `tiny`.

    What comes last in `models:/stars/3` is a version, which the name is to outlive.
    """
    path = reference.split(":", 1)[1] if ":" in reference else reference
    if reference.startswith("models:/"):
        path = path.strip("/").split("/")[0]
    last = path.rstrip("/").rsplit("/", 1)[-1].split("@")[0].split(":")[0]
    return re.sub(r"[^A-Za-z0-9._-]", "", last).lstrip("._-")[:64] or "model"


def load_settings(
    overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> Settings:
    """Read all sources; raises `InvalidSettings` with every problem of every source.

    `overrides` (field name -> value, None for "not given") are the command line's and win. `environ` is the
    process's and `folder` the working directory, unless a test says otherwise.
    """
    folder = folder or Path()
    problems: list[str] = []
    values = _read_toml(folder / "matinee.toml", problems)
    for source in (_read_dotenv(folder / ".env", problems), dict(os.environ if environ is None else environ)):
        values |= _pick(source, problems)
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    if "model" in given:  # one model that is asked for by hand, whatever a file names
        values.pop("models", None)
    values |= given
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False)
        problems += [f"{str(each['loc'][0]).upper()}: {each['msg'].removeprefix('Value error, ')}" for each in told]
    else:
        problems += _contradictions(settings)
    if problems:
        raise InvalidSettings(problems)
    return settings


def _read_dotenv(path: Path, problems: list[str]) -> dict[str, str]:
    try:
        found = dotenv_values(path, interpolate=False) if path.is_file() else {}
    except UnicodeDecodeError:
        problems.append(".env: is not UTF-8")
        return {}
    return {name: value for name, value in found.items() if value is not None}


def _read_toml(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text("utf-8-sig") if path.is_file() else "")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"matinee.toml: is not TOML: {error}")
        return {}
    document = {name.lower(): value for name, value in document.items()}
    problems += [
        f"matinee.toml: no setting named {name[:64]!r}" for name in document.keys() - Settings.model_fields.keys()
    ]
    return {name: value for name, value in document.items() if name in Settings.model_fields}


def _pick(source: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    """Our settings from an environment that also holds everybody else's."""
    found: dict[str, Any] = {}
    for name in sorted(source):
        value, field = source[name].strip(), name.removeprefix(PREFIX).lower()
        known = name == name.upper() and field in Settings.model_fields
        if name.startswith(PREFIX) and not known:
            problems.append(f"{name[:64]}: no such setting")
        elif known and value and (name.startswith(PREFIX) or not source.get(PREFIX + name, "").strip()):
            found[field] = value
    return found


def _contradictions(settings: Settings) -> list[str]:
    """Settings that are fine one by one and not together."""
    too_many = settings.max_texts > settings.queue_texts
    alike = len(set(settings.labels)) < max(len(settings.labels), 2)
    found = {
        "QUEUE_TEXTS: must be at least MAX_TEXTS, or a full request could never be admitted": too_many,
        "TRACES: must begin with http:// or https://": re.match("$|https?://", settings.traces) is None,
        "MODEL: give MODEL or MODELS, not both": settings.model is not None and bool(settings.models),
        "LABELS: needs at least two names, each of them once": bool(settings.labels) and alike,
    }
    return [problem for problem, there in found.items() if there]
