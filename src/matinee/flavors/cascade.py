"""Two models as one: a quick one answers when it is sure, otherwise a full one runs too and the two are fused.

The two err differently, so that the sum of what they say is right more often than either.

**Bundle.** Flavor `cascade`, no files but the manifest. `options`:

| key | meaning | default |
|---|---|---|
| `members` | `{"quick": {"reference", "digest"}, "full": {"reference", "digest"}}`: bundles with the same labels | |
| `threshold` | the quick answer stands when its highest score is at least this; above 1: never | 0.95 |
| `weights` | `{"quick": a, "full": b}`, see below | 0.5 each: the geometric mean |
| `bias` | list of floats, one for each label | zeros |
| `temperature` | divides the fused logits | 1 |

The fused logits are `a x log(quick scores) + b x log(full scores) + bias`, where scores are the members' own calibrated
answers (for a member with a temperature that is its logits divided by it, up to a constant that softmax removes).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from matinee.core.errors import ModelRejected
from matinee.core.manifest import Manifest
from matinee.core.prediction import Answer, Capacity, Classifier, Encoded, FloatArray, Overflow, Row
from matinee.flavors.calibration import softmax, temperature

_SMALLEST = 1e-30  # below it the logarithm of a score says nothing more


@dataclass(frozen=True, slots=True)
class Fusion:
    """When the quick answer stands, and how two answers become one; see the table above."""

    threshold: float
    weights: tuple[float, ...]
    bias: tuple[float, ...]
    temperature: float

    @classmethod
    def of(cls, options: Mapping[str, Any], labels: int) -> "Fusion":
        """Read a manifest's options; raises `ModelRejected` with every problem."""
        problems: list[str] = []

        def number(value: object, key: str) -> float:
            if isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value):
                return float(value)
            problems.append(f"options.{key} must be a number")
            return 0.0

        weights, bias = options.get("weights", {}), options.get("bias", [0.0] * labels)
        if not isinstance(weights, Mapping) or not isinstance(bias, Sequence) or len(bias) != labels:
            raise ModelRejected(["options.weights must be an object, options.bias hold one number for each label"])
        fusion = cls(
            threshold=number(options.get("threshold", 0.95), "threshold"),
            weights=(
                number(weights.get("quick", 0.5), "weights.quick"),
                number(weights.get("full", 0.5), "weights.full"),
            ),
            bias=tuple(number(value, "bias") for value in bias),
            temperature=temperature(options),
        )
        if problems:
            raise ModelRejected(problems)
        return fusion

    def __call__(self, quick: Sequence[float], full: Sequence[float]) -> tuple[float, ...]:
        """Scores from the members' scores."""
        logs = np.log(np.maximum([quick, full], _SMALLEST))
        return softmax(np.array(self.weights) @ logs + self.bias, self.temperature)


class Cascade:
    """`encode` asks the quick member; what it is not sure of is encoded for the full one, whose rows then run."""

    def __init__(self, manifest: Manifest, quick: Classifier, full: Classifier) -> None:
        if not quick.capacity.quick:
            raise ModelRejected(["the quick member must answer while it encodes, as a linear model does"])
        self._quick = quick
        self._full = full
        self._fusion = Fusion.of(manifest.options, len(full.labels))

    @property
    def labels(self) -> tuple[str, ...]:
        """The members' labels."""
        return self._full.labels

    @property
    def capacity(self) -> Capacity:
        """Rows are the full member's; most texts need none."""
        return replace(self._full.capacity, quick=True)

    def glance(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded | None]:
        """Answer what the quick member is sure of, in the time that it alone takes."""
        return [each if self._sure(each) else None for each in self._asked(texts, overflow)]

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:
        """The same, and the others made ready for the full member; raises `TextTooLong` as that does."""
        encoded = self._asked(texts, overflow)
        unsure = [index for index, each in enumerate(encoded) if not self._sure(each)]
        rows = self._full.encode([texts[index] for index in unsure], overflow) if unsure else []
        for index, full in zip(unsure, rows, strict=True):
            encoded[index] = full._replace(answer=None, context=(_answer(encoded[index]), full))
        return encoded

    def _asked(self, texts: Sequence[str], overflow: Overflow | None) -> list[Encoded]:
        encoded = self._quick.encode(texts, overflow)
        return [each._replace(answer=Answer(_answer(each).scores, _STAGES[:1])) for each in encoded]

    def _sure(self, encoded: Encoded) -> bool:
        return max(_answer(encoded).scores) >= self._fusion.threshold

    def run(self, rows: Sequence[Row]) -> FloatArray:
        """Run the full member."""
        return self._full.run(rows)

    def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:
        """Fuse what both members say."""
        quick, full = cast("tuple[Answer, Encoded]", encoded.context)
        return Answer(self._fusion(quick.scores, self._full.finish(full, outputs).scores), _STAGES)

    def close(self) -> None:
        """Close both."""
        self._quick.close()
        self._full.close()


_STAGES = ("quick", "full")


def _answer(encoded: Encoded) -> Answer:
    return cast("Answer", encoded.answer)
