"""Where the process stands: starting, answering, draining; written by the server, read by the probes."""

from dataclasses import dataclass

from matinee.core.errors import MatineeError


@dataclass(slots=True)
class Lifecycle:
    """`started` once the first models are loaded, `draining` once told to stop, `failure` when starting failed."""

    started: bool = False
    draining: bool = False
    failure: MatineeError | None = None
