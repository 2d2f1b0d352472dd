"""Who is inside of an engine, so that it can be closed behind the last one."""

import asyncio
from types import TracebackType

from matinee.core.errors import ShuttingDown


class Presence:
    """A context manager for each call; raises `ShuttingDown` once the closing has begun."""

    __slots__ = ("_empty", "_inside", "closing")

    def __init__(self) -> None:
        self.closing = False
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    def __enter__(self) -> None:
        if self.closing:
            raise ShuttingDown("this version is being closed, try again")
        self._inside += 1
        self._empty.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside -= 1
        if not self._inside:
            self._empty.set()

    async def close(self) -> None:
        """Let nobody in any more, and wait until all have left."""
        self.closing = True
        await self._empty.wait()
