"""A classifier that does as its text says: quick and sure, or slow, failing, or answering the wrong number of rows.

Words of a text are its commands: `good` and `bad` decide the label, `slow` waits until `release` is set, `nap` takes
half a second, `fail` raises, `short` loses a row. It needs no model file, so that a test of the API says in its
texts what happens.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matinee.core.bundle import VerifiedBundle
from matinee.core.errors import TextTooLong
from matinee.core.plugins import Builtin
from matinee.core.prediction import Answer, Capacity, Encoded, FloatArray, Overflow, Row
from matinee.flavors import FLAVORS, LoadOptions

WINDOW = 64
MADE: list["ObedientClassifier"] = []  # every one that this process loaded, the newest last


@dataclass(frozen=True)
class Words:
    """One text, as the words that are commands."""

    words: tuple[str, ...]

    @property
    def cost(self) -> int:
        """Tokens: one for each word."""
        return max(len(self.words), 1)


class ObedientClassifier:
    """Scores from words; see the module."""

    labels = ("negative", "positive")

    def __init__(self, *, quick: bool = False) -> None:
        self.capacity = Capacity(batch_tokens=256, quick=quick)
        self.release = threading.Event()
        self.ran: list[str] = []
        self.closed = False

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:
        """One row for each text; `overflow="error"` refuses more words than the window holds."""
        return [self._encode(text, overflow) for text in texts]

    def _encode(self, text: str, overflow: Overflow | None) -> Encoded:
        words = tuple(text.lower().split())
        if len(words) > WINDOW and overflow == "error":
            raise TextTooLong("text", f"has {len(words)} tokens, and the model reads {WINDOW}")
        truncated = overflow == "truncate" and len(words) > WINDOW
        answer = Answer(score(words), ("fake",)) if self.capacity.quick else None
        rows = [] if answer else [Words(words)]
        return Encoded(rows, tokens=len(words), windows=1, truncated=truncated, answer=answer)

    def run(self, rows: Sequence[Row]) -> FloatArray:
        """Obey the words."""
        texts = [row.words for row in rows if isinstance(row, Words)]
        self.ran += [" ".join(words) for words in texts]
        commands = {word for words in texts for word in words}
        if "slow" in commands:
            self.release.wait(30)
        if "nap" in commands:
            time.sleep(0.5)
        if "fail" in commands:
            raise ValueError("the text said so: fail")
        outputs = np.array([score(words) for words in texts], dtype=np.float32)
        return outputs[:-1] if "short" in commands else outputs

    def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:
        """The one row's scores."""
        return Answer(tuple(float(value) for value in outputs[0]), ("fake",))

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
        self.release.set()


def score(words: Sequence[str]) -> tuple[float, float]:
    """Surer with every `good` or `bad`."""
    balance = words.count("good") - words.count("bad")
    positive = 1 / (1 + 4.0**-balance)
    return (1 - positive, positive)


def load(bundle: VerifiedBundle, options: LoadOptions) -> ObedientClassifier:
    """The flavor `obedient`; `{"quick": true}` among the manifest's options answers in `encode`."""
    MADE.append(ObedientClassifier(quick=bool(bundle.manifest.options.get("quick"))))
    return MADE[-1]


def know_obedient() -> None:
    """Make the flavor known to this process."""
    FLAVORS._builtins["obedient"] = Builtin("tests.fakes.classifier:load")
