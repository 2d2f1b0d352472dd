"""The history of one deployment in use: what is passed over, what to go back to, and writing down without waiting."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

from matinee.core import background
from matinee.core.errors import NotReady
from matinee.rollout.history import Entry, History, Key

MOST_UNWRITTEN = 1000  # entries that wait for a disk with room


class Record:
    """Entries under one reference. A revision is passed over once it was refused, or gone back from.

    The first until `reload` asks for it, a new process starts, or the time is over after which it may be tried
    again; the second until the reference means something else.
    """

    def __init__(
        self, name: str, source: str, folder: Path | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._unreadable = self._unwritable = ""
        try:
            self._history = History(folder / f"history-{name}.jsonl" if folder else None)
        except OSError as error:
            self._history = History(None)
            self._unreadable = f"the history cannot be read: {error.filename}: {error.strerror}"
        self._source = source
        self._held = self._history.held(source)
        self._left: Key | None = self._last_left()
        self._again: dict[Key, float] = {}
        self._clock = clock
        self._writing = asyncio.Lock()
        self._unwritten: deque[Entry] = deque(maxlen=MOST_UNWRITTEN)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def problem(self) -> str:
        """Why the history will not survive a restart, empty if it will."""
        return self._unreadable or self._unwritable

    @property
    def entries(self) -> list[Entry]:
        """Oldest first, of every reference that the deployment has had."""
        return self._history.entries

    @property
    def last_refusal(self) -> Entry | None:
        """The newest refusal under this reference."""
        return next((e for e in reversed(self.entries) if e.event == "refused" and e.source == self._source), None)

    @property
    def held(self) -> frozenset[Key]:
        """The keys that are passed over."""
        return frozenset(self._held)

    @property
    def left(self) -> Key | None:
        """What was gone back from, while the reference still means it."""
        return self._left

    def is_held(self, key: Key) -> bool:
        """Whether the revision is passed over."""
        if self._clock() >= self._again.get(key, float("inf")):
            del self._again[key]
            self._held.discard(key)
        return key in self._held

    def try_again(self, key: Key, seconds: float) -> None:
        """Pass over `key` for so long only."""
        self._again[key] = self._clock() + seconds

    def leave(self, key: Key) -> None:
        """Pass over `key` until the reference means something else; another process has gone back from it."""
        self._held.add(key)
        self._left = key

    def means(self, key: Key) -> None:
        """The reference means `key` now; what was gone back from may come again if it is meant anew."""
        if self._left is not None and key != self._left:
            self._held.discard(self._left)
            self._left = None

    def forget_refusals(self) -> None:
        """Pass over only what was gone back from."""
        self._held = {self._left} if self._left is not None else set()

    def last_live(self, other_than: Key) -> Entry | None:
        """The newest version that was live under this reference and is another one than `other_than`."""
        mine = (e for e in reversed(self.entries) if e.event == "live" and e.source == self._source)
        return next((e for e in mine if e.key != other_than and e.key not in self._held), None)

    def add(self, entry: Entry) -> None:
        """Remember `entry` at once, and write it to the disk beside the event loop."""
        self._history.add(entry)
        if entry.event == "live":
            self._held.discard(entry.key)
        if entry.held is not None:
            self._held.add(entry.held)
            self._left = entry.held if entry.event == "live" else self._left
        self._unwritten.append(entry)
        task = asyncio.create_task(self.flush())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def flush(self) -> None:
        """Wait until everything is written, in its order; what a full disk did not take is tried again."""
        async with self._writing:
            while self._unwritten:
                entry = self._unwritten.popleft()
                try:
                    await background.run(partial(self._history.write, entry))
                except (OSError, NotReady) as error:
                    self._unwritten.appendleft(entry)
                    self._unwritable = f"the history cannot be written: {getattr(error, 'strerror', None) or error}"
                    return
                self._unwritable = ""

    def _last_left(self) -> Key | None:
        lives = [e for e in self.entries if e.event == "live" and e.source == self._source]
        return lives[-1].held if lives else None
