"""One row of a file on its way: read, refused, or answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matinee.core.prediction import Prediction


@dataclass(frozen=True, slots=True)
class Row:
    """A row that can be answered: its number (from 1, headers not counted), its fields, and the text in it."""

    number: int
    fields: Mapping[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot be answered, and why; the reason never quotes the row."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the columns that are added: `{prefix}label`, `{prefix}{label}` for each score, and so on."""

    prefix: str
    labels: Sequence[str]

    def names(self) -> list[str]:
        """Every added column, in the order of `values`."""
        return [f"{self.prefix}{name}" for name in ("label", *self.labels, "tokens", "windows", "truncated")]

    def values(self, prediction: Prediction) -> dict[str, Any]:
        """What one prediction adds to its row; scores have six decimals."""
        scores = [round(prediction.scores[label], 6) for label in self.labels]
        values = [prediction.label, *scores, prediction.tokens, prediction.windows, prediction.truncated]
        return dict(zip(self.names(), values, strict=True))
