"""Log lines: one JSON document a line for programs, coloured lines for people. No user's text, no secret."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from matinee.core.errors import kind_and_place
from matinee.core.events import (
    Event,
    GateJudged,
    ModelClosed,
    ModelOpened,
    ModelRefused,
    ModelSwapped,
    Observe,
    Polled,
    Predicted,
    RequestFailed,
)

LONGEST_VALUE = 2_000  # characters of one value, and
MOST_ITEMS = 20  # of a list, each of
LONGEST_ITEM = 500  # characters, so that a line stays below 16 KiB
HIDDEN = "[hidden]"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@dataclass(frozen=True, slots=True)
class LogOptions:
    """`style` is `json` or `pretty`, `level` one of `LEVELS`; `secrets` are values that must never be seen."""

    style: str = "json"
    level: str = "info"
    secrets: Sequence[str] = field(default=(), repr=False)


def configure_logging(options: LogOptions, stream: TextIO | None = None) -> None:
    """Set up `structlog` and the standard library's `logging` (used by libraries) to write the same lines."""
    stream = stream or sys.stderr
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        located,
        tidy(options.secrets),
    ]
    last: Any = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty())
        if options.style == "pretty"
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[options.level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(allow=()), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
    )
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(LEVELS[options.level], logging.WARNING) if options.level != "debug" else logging.DEBUG)


def located(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A processor that says of an exception what it is and where it came from; the library's would show variables."""
    found = event.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["error"] = kind_and_place(error)
    return event


def tidy(secrets: Sequence[str]) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    """A processor that hides secrets and shortens what is too long, in every string and list of a line."""
    hidden = sorted((secret for secret in secrets if len(secret) >= 4), key=len, reverse=True)

    def clean(value: Any, longest: int = LONGEST_VALUE) -> Any:
        if isinstance(value, str):
            for secret in hidden:
                value = value.replace(secret, HIDDEN)
            return value if len(value) <= longest else value[:longest] + "…"
        if isinstance(value, dict):
            return {clean(key): clean(item, LONGEST_ITEM) for key, item in value.items()}
        if isinstance(value, list | tuple):
            more = [f"… and {len(value) - MOST_ITEMS} more"] if len(value) > MOST_ITEMS else []
            return [clean(item, LONGEST_ITEM) for item in value[:MOST_ITEMS]] + more
        return value

    def processor(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {key: clean(value) for key, value in event.items()}

    return processor


def log_events(*, requests: bool = False) -> Observe:
    """An observer that writes a line for what an operator wants to know; with `requests`, one for each answer too."""
    log = structlog.get_logger("matinee")

    def observe(event: Event) -> None:
        if isinstance(event, Predicted):
            if requests:
                log.info("answered", **_answered(event))
            return
        written = _LINES.get(type(event))
        if written is not None:
            written(log, event)

    return observe


def _answered(event: Predicted) -> dict[str, Any]:
    return {
        "request_id": event.request_id,
        "model": event.model.name,
        "version": event.model.version,
        "texts": len(event.predictions),
        "tokens": sum(prediction.tokens for prediction in event.predictions),
        "ms": round(event.seconds * 1000, 2),
        "queue_ms": round(event.queue_seconds * 1000, 2),
        "cached": event.cached,
    }


def _opened(log: Any, event: ModelOpened) -> None:
    log.info("model opened", model=event.model.name, version=event.model.version, seconds=round(event.seconds, 3))


def _swapped(log: Any, event: ModelSwapped) -> None:
    log.info(
        "model answers",
        model=event.model.name,
        version=event.model.version,
        digest=event.model.digest,
        source=event.model.source,
        previous=event.previous.version if event.previous else None,
        cause=event.cause,
    )


def _refused(log: Any, event: ModelRefused) -> None:
    log.warning(
        "model refused", model=event.name, version=event.version, stage=event.stage, reasons=list(event.reasons)
    )


def _judged(log: Any, event: GateJudged) -> None:
    figures = {name: round(value, 4) for name, value in event.figures.items()}
    log.info(
        "gate judged",
        model=event.model.name,
        version=event.model.version,
        passed=event.passed,
        reasons=list(event.reasons),
        figures=figures,
    )


def _closed(log: Any, event: ModelClosed) -> None:
    log.info("model closed", model=event.model.name, version=event.model.version)


def _polled(log: Any, event: Polled) -> None:
    if event.outcome == "failed":
        log.warning(
            "registry did not answer",
            model=event.name,
            reason=event.reason,
            seconds=round(event.seconds, 3),
            stale_seconds=round(event.stale_seconds, 1),
        )
    else:
        log.debug("registry asked", model=event.name, outcome=event.outcome, seconds=round(event.seconds, 3))


def _failed(log: Any, event: RequestFailed) -> None:
    write = log.warning if event.status >= 500 else log.debug
    write("request failed", model=event.name, code=event.code, status=event.status)


_LINES: dict[type[Any], Callable[[Any, Any], None]] = {
    ModelOpened: _opened,
    ModelSwapped: _swapped,
    ModelRefused: _refused,
    GateJudged: _judged,
    ModelClosed: _closed,
    Polled: _polled,
    RequestFailed: _failed,
}
