"""A flavor for tests, called `words`: it knows a few words, says which version it is, and misbehaves on demand.

A bundle's `options` are its behaviour: `bias` moves every score (so that an answer tells which version
gave it), `quick` lets it answer while it encodes,
`positive` lists the words it looks for, `trouble` is one of `TROUBLES`. `plugin` writes the entry point that makes
it known, in this process and in those that it starts.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from matinee.core.bundle import VerifiedBundle
from matinee.core.manifest import Example, FileEntry, Manifest
from matinee.core.prediction import Answer, Capacity, Encoded, FloatArray, Overflow, Row
from matinee.flavors import LoadOptions

TROUBLES = ("crash", "hang", "oom", "nan", "slow", "raises", "exits", "late-failure", "late-hang", "bad-end")
RELEASE = threading.Event()  # ends a `late-hang`
LABELS = ("negative", "positive")
ENTRY_POINTS = "[matinee.flavors]\nwords = tests.fakes.words:load\n"


@dataclass(frozen=True, slots=True)
class Length:
    """A row that stands for a text: its length in words, and whether a good word is in it."""

    cost: int
    good: bool


class Words:
    """The classifier; `seconds` is how long each run takes."""

    def __init__(self, manifest: Manifest) -> None:
        self.labels = manifest.labels
        self.closed = False
        options = manifest.options
        self.capacity = Capacity(batch_tokens=256, quick=bool(options.get("quick")))
        self._good = set(options.get("positive", ["good"]))
        self._bias = float(options.get("bias", 0.0))
        self._trouble = options.get("trouble", "")
        self._seconds = float(options.get("seconds", 0.0))
        self._runs = 0

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:
        """One row for each text."""
        rows = [Length(max(len(text.split()), 1), bool(self._good & set(text.split()))) for text in texts]
        if self.capacity.quick:
            answers = [Answer(tuple(float(score) for score in scores)) for scores in self.run(rows)]
            return [Encoded([], row.cost, 1, truncated=False, answer=a) for row, a in zip(rows, answers, strict=True)]
        return [Encoded(rows=[row], tokens=row.cost, windows=1, truncated=False) for row in rows]

    def run(self, rows: Sequence[Row]) -> FloatArray:
        """Scores: `0.9 - bias` for the label that fits."""
        self._runs += 1
        if self._seconds:
            time.sleep(self._seconds)
        if self._trouble == "late-failure" and self._runs > 3:
            raise RuntimeError("broken by now")
        if self._trouble == "late-hang" and self._runs > 3:
            RELEASE.wait(60)
        high = float("nan") if self._trouble == "nan" else 0.9 - self._bias
        good = [isinstance(row, Length) and row.good for row in rows]
        return np.array([[1 - high, high] if is_good else [high, 1 - high] for is_good in good], dtype=np.float32)

    def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:
        """The only row's scores."""
        return Answer(tuple(float(score) for score in outputs[0]))

    def close(self) -> None:
        """Remember it."""
        if self._trouble == "bad-end":
            raise RuntimeError("cannot be closed")
        self.closed = True


def load(bundle: VerifiedBundle, options: LoadOptions) -> Words:
    """Load, or do what the bundle's `trouble` says."""
    trouble = bundle.manifest.options.get("trouble", "")
    if trouble == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if trouble == "hang":
        time.sleep(3600)
    if trouble == "raises":
        raise ValueError("no such layer")
    if trouble == "exits":
        raise SystemExit(0)
    if trouble == "oom":
        taken = []
        while True:
            taken.append(bytearray(os.urandom(1024) * 1024 * 16))
    return Words(bundle.manifest)


def write(folder: Path, *, labels: Sequence[str] = LABELS, examples: Sequence[Example] = (), **options: object) -> Path:
    """Write a bundle of this flavor to `folder`, with the digests of its files."""
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(options, sort_keys=True).encode()
    (folder / "words.json").write_bytes(content)
    manifest = Manifest(
        name="words",
        flavor="words",
        labels=tuple(labels),
        files={"words.json": FileEntry(len(content), sha256(content).hexdigest())},
        options=options,
        examples=examples,
    )
    (folder / "matinee.json").write_text(manifest.to_json())
    return folder


def plugin(folder: Path) -> Path:
    """Write the metadata of a package that brings this flavor; `folder` then belongs on the module path."""
    metadata = folder / "matinee_words-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: matinee-words\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def point(link: Path, folder: Path) -> None:
    """Let the alias `link` mean `folder`, at one stroke, as a registry would."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.symlink_to(folder)
    fresh.replace(link)
