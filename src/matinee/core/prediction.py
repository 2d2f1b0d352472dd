"""What travels from a flavor to the API: encoded texts, answers, predictions, and the classifier that makes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Overflow = Literal["window", "truncate", "error"]
OVERFLOWS: tuple[Overflow, ...] = ("window", "truncate", "error")


class Row(Protocol):
    """One row of a batch, such as a window of token ids."""

    @property
    def cost(self) -> int:
        """How long the row is, in tokens; a batch costs rows x its longest row."""


class Answer(NamedTuple):
    """Scores in the order of the classifier's labels, and the stages that gave them (a cascade names two).

    What is made for each text or request is a tuple: that takes a third of a frozen dataclass's time.
    """

    scores: tuple[float, ...]
    stages: tuple[str, ...] = ()


class Encoded(NamedTuple):
    """One text, ready to run.

    `rows` go through `Classifier.run`; with `answer` set there are none, the text is answered already.
    `tokens` counts the text's own tokens (no special ones), `windows` the windows that were read, and
    `truncated` is true when some of the text was not read. `context` is the classifier's own note for `finish`.
    """

    rows: Sequence[Row]
    tokens: int
    windows: int
    truncated: bool
    answer: Answer | None = None
    context: Any = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """How a classifier likes to be fed.

    `batch_tokens` is the token budget of one batch (padding included), `parallel_batches` how many `run` calls
    may go on at once. Batches are as long as their longest row, rounded up to a multiple of `pad_to`. `quick` says
    that `encode` answers by itself in well under a millisecond for an ordinary text, so that no thread is worth its
    hand-over.
    """

    batch_tokens: int = 1024
    parallel_batches: int = 1
    quick: bool = False
    pad_to: int = 1


class Classifier(Protocol):
    """A loaded model. `encode` and `run` are called from worker threads, `run` with rows of many texts at once."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names, in the order of the scores."""

    @property
    def capacity(self) -> Capacity:
        """How to feed it."""

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:
        """Tokenize; `overflow` overrides the manifest's. Raises `TextTooLong` with `overflow="error"`."""

    def run(self, rows: Sequence[Row]) -> FloatArray:
        """Compute raw outputs, float32 [rows, labels]."""

    def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:
        """Pool the outputs of one text's rows ([windows, labels]) and calibrate them into scores."""

    def close(self) -> None:
        """Give memory and threads back; nothing is called afterwards."""


@runtime_checkable
class Glancing(Classifier, Protocol):
    """A quick classifier that is not sure of every text: `encode` does much more for those than a glance tells."""

    def glance(self, texts: Sequence[str], overflow: Overflow | None = None) -> Sequence[Encoded | None]:
        """Answer what needs no more than a glance; None for each of the others."""


class ModelIdentity(NamedTuple):
    """Which model answered: deployment name, version as the registry says it, content digest, reference."""

    name: str
    version: str
    digest: str
    source: str


@dataclass(slots=True, eq=False)
class Prediction:
    """What is answered to one text, whoever asks: it is kept and given to others.

    `rendered` is room for its form on the wire, which is made once for all of them.
    """

    label: str
    scores: Mapping[str, float]
    tokens: int
    windows: int
    truncated: bool
    stages: tuple[str, ...] = ()
    rendered: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, encoded: Encoded, answer: Answer, labels: Sequence[str]) -> "Prediction":
        """From what the classifier made of the text; raises `ValueError` unless there is a score for each label."""
        scores = dict(zip(labels, answer.scores, strict=True))
        return cls(
            label=labels[answer.scores.index(max(answer.scores))],
            scores=scores,
            tokens=encoded.tokens,
            windows=encoded.windows,
            truncated=encoded.truncated,
            stages=answer.stages,
        )
