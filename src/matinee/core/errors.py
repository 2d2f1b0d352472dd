"""Every error that is raised on purpose.

The class *is* the mapping: `status` is the HTTP status that a caller gets, `code` the stable word in the
problem document, `exit_code` what the command line ends with. Messages name the field or the setting and
say what would be right; they never carry the text of a user or a secret.
"""

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

_FRAMES = 8  # of an exception, the innermost


def kind_and_place(error: BaseException) -> str:
    """What an unexpected exception is and where it came from, for a log.

    Not its message, nor the variables around it: both may hold what a user sent, or a secret.
    """
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
    return f"{type(error).__name__} at {places or 'an unknown place'}"


class MatineeError(Exception):
    """Base of everything expected: shown to people as one sentence, never as a traceback."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    exit_code: ClassVar[int] = 1

    @property
    def message(self) -> str:
        """The sentence for the person in front of it."""
        return str(self)


# --- a request that cannot be answered ------------------------------------------------------------------------


class InvalidRequest(MatineeError):
    """The request is not what the schema says; `field` names the culprit (JSON path, or `body`)."""

    status = 422
    code = "invalid_request"
    exit_code = 2

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class NotJson(InvalidRequest):
    """The body is not JSON at all."""

    status = 400
    code = "not_json"


class TextTooLong(InvalidRequest):
    """One text is longer than the limit, or than the model's window with `overflow=error`."""

    status = 413
    code = "text_too_long"


class TooManyTexts(InvalidRequest):
    """The list holds more texts than the limit."""

    status = 413
    code = "too_many_texts"


class BodyTooLarge(InvalidRequest):
    """The body is larger than the limit, in bytes."""

    status = 413
    code = "body_too_large"


class UnsupportedMediaType(InvalidRequest):
    """The body is not JSON, or it is compressed."""

    status = 415
    code = "unsupported_media_type"


class Unauthorized(MatineeError):
    """The route needs a key, and none or a wrong one was sent."""

    status = 401
    code = "unauthorized"


class UnknownModel(MatineeError):
    """No deployment of that name."""

    status = 404
    code = "unknown_model"


class Conflict(MatineeError):
    """The operation does not fit the present state (nothing to roll back to, a reload is running)."""

    status = 409
    code = "conflict"


class Refused(MatineeError):
    """Try again later: `retry_after` is in whole seconds."""

    status = 503
    code = "unavailable"

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Overloaded(Refused):
    """The queue is full."""

    status = 429
    code = "overloaded"


class NotReady(Refused):
    """The first model is not loaded yet."""

    code = "not_ready"


class ShuttingDown(Refused):
    """The process was told to stop and takes no new work."""

    code = "shutting_down"


class DeadlineExceeded(MatineeError):
    """The answer would have come too late; the work was dropped."""

    status = 504
    code = "deadline_exceeded"


class ClassifierFailed(MatineeError):
    """The model raised, or answered nonsense (NaN, wrong shape), for this one text."""

    code = "model_failed"


# --- a model that cannot be served ----------------------------------------------------------------------------


class InvalidSettings(MatineeError):
    """One or more settings do not parse; every one is listed."""

    code = "invalid_settings"
    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class InvalidReference(MatineeError):
    """A model reference that cannot be read."""

    status = 422
    code = "invalid_reference"
    exit_code = 2


class InvalidManifest(MatineeError):
    """`matinee.json` is not a manifest; every reason is listed."""

    status = 422
    code = "invalid_manifest"
    exit_code = 3

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("matinee.json: " + "; ".join(problems))
        self.problems = tuple(problems)


class MissingExtra(MatineeError):
    """An optional stack is not installed; says exactly what to install."""

    code = "missing_extra"
    exit_code = 3

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional package: pip install 'matinee[{extra}]'")
        self.extra = extra


class SourceUnavailable(MatineeError):
    """The registry or store cannot be reached, or answers nonsense."""

    status = 503
    code = "source_unavailable"
    exit_code = 4


class SourceDenied(SourceUnavailable):
    """The registry answers, and does not accept our credentials; asking again does not help."""

    code = "source_denied"


class RevisionNotFound(MatineeError):
    """The registry answers, and has no such model, alias or version."""

    status = 404
    code = "revision_not_found"
    exit_code = 3


class CorruptBundle(MatineeError):
    """The bytes that arrived are not the bytes that were promised."""

    status = 502
    code = "corrupt_bundle"
    exit_code = 3


class ModelRejected(MatineeError):
    """Verification, loading or the gate found reasons not to serve a model; it lists all of them."""

    status = 422
    code = "model_rejected"
    exit_code = 3

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("model refused: " + "; ".join(reasons))
        self.reasons = tuple(reasons)
