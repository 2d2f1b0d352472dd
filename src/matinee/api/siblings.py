"""The other worker processes on the same port: what is done in one is told to all of them."""

from collections.abc import Callable
from typing import Protocol

Obey = Callable[[str, str], None]


class Siblings(Protocol):
    """A worker's line to the others."""

    def started(self) -> None:
        """This worker's models are loaded."""

    def tell(self, operation: str, subject: str) -> None:
        """The others are to do it, too: `hint`, `reload` of a deployment, or `leave` (JSON: from which to which)."""

    def listen(self, obey: Obey) -> None:
        """Call `obey(operation, subject)` on the running event loop for what the others tell."""


class Alone:
    """A process without siblings; `on_started` is called once, when its models are loaded."""

    def __init__(self, on_started: Callable[[], None] = lambda: None) -> None:
        self.started = on_started

    def tell(self, operation: str, subject: str) -> None:
        """Nobody is there."""

    def listen(self, obey: Obey) -> None:
        """Nobody speaks."""


ALONE = Alone()
