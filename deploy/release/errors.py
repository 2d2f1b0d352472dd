"""What ends a release; `exit_code` is what the command line ends with."""

from collections.abc import Sequence


class ReleaseError(Exception):
    """The release did not happen, or was taken back; the message is the one sentence for the person."""

    exit_code = 1


class GateFailed(ReleaseError):
    """A step looked at the candidate and said no."""


class ControlFailed(ReleaseError):
    """The control plane refused, or could not be asked."""


class Interrupted(ReleaseError):
    """A signal asked this process to stop."""


class InvalidConfig(ReleaseError):
    """The declared configuration does not make sense; every problem is listed."""

    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
