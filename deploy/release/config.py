"""The declared configuration: one TOML file says everything that Cloud Run is told about the service."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from deploy.release.errors import InvalidConfig

_NAME = re.compile(r"^[a-z]([a-z0-9-]{0,46}[a-z0-9])?$")
_CPU = re.compile(r"^([1-8]|0\.\d+|\d+m)$")
_MEMORY = re.compile(r"^\d+(Mi|Gi)$")
_VARIABLE = re.compile(r"^[A-Z][A-Z0-9_]*$")
_DEFAULT_MODEL = "bundled:imdb-sentiment"
_TABLES = {"service", "release", "model", "env", "secrets"}

_Table = TypeVar("_Table")


@dataclass(frozen=True, slots=True)
class ServiceShape:
    """Size and limits of one instance and of their number. Units as Cloud Run writes them."""

    name: str = "matinee"
    cpu: str = "1"
    memory: str = "512Mi"
    concurrency: int = 80
    min_instances: int = 0
    max_instances: int = 5
    request_timeout_seconds: int = 30
    cpu_always: bool = False
    startup_cpu_boost: bool = True
    startup_seconds: int = 30
    service_account: str = ""
    ingress: str = "all"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the gates allow. Shares are between 0 and 1, times in seconds."""

    canary_percent: int = 10
    watch_seconds: float = 60.0
    probe_every_seconds: float = 2.0
    smoke_timeout_seconds: float = 20.0
    max_error_share: float = 0.01
    max_latency_ratio: float = 2.0
    latency_floor_seconds: float = 0.25
    request_logs: bool = True


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a release needs to know, apart from the image's digest."""

    project: str
    region: str
    service: ServiceShape = ServiceShape()
    limits: Limits = Limits()
    model: str = _DEFAULT_MODEL
    golden: Path = Path("deploy/golden.json")
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


def load_config(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the file; project and region come from `GCP_PROJECT` and `GCP_REGION`. Raises `InvalidConfig`."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidConfig([f"{path}: {error.strerror}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfig([f"{path}: {error}"]) from None
    problems = [f"{key}: no such table" for key in sorted(document.keys() - _TABLES)]
    model = document.get("model", {})
    config = Config(
        project=environ.get("GCP_PROJECT", ""),
        region=environ.get("GCP_REGION", ""),
        service=_read(ServiceShape, "service", document, problems),
        limits=_read(Limits, "release", document, problems),
        model=environ.get("MODEL") or str(model.get("reference", _DEFAULT_MODEL)),
        golden=path.parent / str(model.get("golden", "golden.json")),
        environment={key: str(value) for key, value in document.get("env", {}).items()},
        secrets={key: str(value) for key, value in document.get("secrets", {}).items()},
    )
    problems += _problems(config)
    if problems:
        raise InvalidConfig(problems)
    return config


def _read(kind: type[_Table], table: str, document: Mapping[str, Any], problems: list[str]) -> _Table:
    """The table as a dataclass: unknown keys and values of another type than the default's are problems."""
    known = {each.name: each.default for each in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in document.get(table, {}).items():
        wanted = type(known.get(key))
        if key not in known:
            problems.append(f"{table}.{key}: no such setting")
        elif type(value) is not wanted and not (wanted is float and type(value) is int):
            problems.append(f"{table}.{key}: must be of type {wanted.__name__}")
        else:
            values[key] = value
    return kind(**values)


def _problems(config: Config) -> list[str]:
    service, limits = config.service, config.limits
    checks = {
        "GCP_PROJECT: must name the project": bool(config.project),
        "GCP_REGION: must name the region": bool(config.region),
        "service.name: must be lower-case letters, digits and dashes, 48 at most": bool(_NAME.match(service.name)),
        "service.cpu: must be a number of CPUs such as 1 or 0.5": bool(_CPU.match(service.cpu)),
        "service.memory: must be a size such as 512Mi": bool(_MEMORY.match(service.memory)),
        "service.concurrency: must be between 1 and 1000": 1 <= service.concurrency <= 1000,
        "service.max_instances: must be at least 1 and at least min_instances": (
            service.max_instances >= max(1, service.min_instances)
        ),
        "release.canary_percent: must be between 1 and 99": 1 <= limits.canary_percent <= 99,
        "release.max_error_share: must be between 0 and 1": 0 <= limits.max_error_share <= 1,
        "release.max_latency_ratio: must be at least 1": limits.max_latency_ratio >= 1,
        "env.MODEL: belongs into model.reference": "MODEL" not in config.environment,
    }
    problems = [problem for problem, fine in checks.items() if not fine]
    names = (*config.environment, *config.secrets)
    problems += [f"{name}: is no name of an environment variable" for name in names if not _VARIABLE.match(name)]
    problems += [f"{name}: is both in env and in secrets" for name in config.environment.keys() & config.secrets.keys()]
    for name, value in config.secrets.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]+:(latest|\d+)", value):
            problems.append(f"secrets.{name}: must be SECRET_NAME:VERSION of Secret Manager, never the secret itself")
    return problems
