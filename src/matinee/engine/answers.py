"""Answers kept for repeats: what was asked before, or is being asked right now, is not computed again."""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

from matinee.core.prediction import Overflow, Prediction
from matinee.engine.jobs import Job

Key = bytes

# Measured with tracemalloc, with what the HTTP interface renders once and keeps:
_ENTRY_BYTES = 550  # key, prediction and their places in the table
_LABEL_BYTES = 55  # one score and its place, and its digits; its label's letters come on top


class Answers:
    """The replies to the texts asked last, bounded in number and bytes, and the jobs under way.

    It belongs to one engine, so that a new version starts with none. Texts are known by a digest only. A bound of 0
    turns it off, and with it the sharing of jobs.
    """

    def __init__(self, entries: int, max_bytes: int) -> None:
        self.enabled = entries > 0 and max_bytes > 0
        self._entries = entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Key, Prediction] = OrderedDict()
        self._jobs: dict[Key, Job] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def look_up(self, texts: Sequence[str], overflow: Overflow | None) -> tuple[Sequence[Key], list[Prediction | None]]:
        """The key of each text, and its reply where it is known; no keys (empty ones) when it is turned off."""
        if not self.enabled:
            return [b""] * len(texts), [None] * len(texts)
        keys = [self.key(text, overflow) for text in texts]
        return keys, [self.kept(key) for key in keys]

    @staticmethod
    def key(text: str, overflow: Overflow | None) -> Key:
        """Equal keys get equal answers."""
        person = (overflow or "").encode()
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, person=person).digest()

    def kept(self, key: Key) -> Prediction | None:
        """The reply, if it is known; it is then the last one to be forgotten."""
        reply = self._kept.get(key)
        if reply is not None:
            self._kept.move_to_end(key)
        return reply

    def running(self, key: Key, now: float) -> Job | None:
        """The job that is computing this very answer, if one is and is not about to be dropped."""
        job = self._jobs.get(key)
        return job if job is not None and job.live(now) else None

    def share(self, key: Key, job: Job) -> None:
        """Let others join `job`, and keep its reply."""
        self._jobs[key] = job

        def settled(reply: Prediction | None) -> None:
            if self._jobs.get(key) is job:
                del self._jobs[key]
            if reply is not None:
                self._keep(key, reply)

        job.settled = settled

    def _keep(self, key: Key, reply: Prediction) -> None:
        if key not in self._kept:
            self._bytes += _size(reply)
        self._kept[key] = reply
        while len(self._kept) > self._entries or self._bytes > self._max_bytes:
            self._bytes -= _size(self._kept.popitem(last=False)[1])


def _size(reply: Prediction) -> int:
    return _ENTRY_BYTES + sum(_LABEL_BYTES + len(label) for label in reply.scores)
