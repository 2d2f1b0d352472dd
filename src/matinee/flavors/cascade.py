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
from dataclasses import replace
from typing import Any, cast

import numpy as np

from matinee.core.errors import ModelRejected
from matinee.core.manifest import Manifest
from matinee.core.prediction import Answer, Capacity, Classifier, Encoded, FloatArray, Overflow, Row
from matinee.flavors.calibration import softmax, temperature

_SMALLEST = 1e-30  # below it the logarithm of a score says nothing more


class Cascade:
    """`encode` asks the quick member; what it is not sure of is encoded for the full one, whose rows then run."""

    def __init__(self, manifest: Manifest, quick: Classifier, full: Classifier) -> None:
        self._quick = quick
        self._full = full
        options = manifest.options
        problems: list[str] = []
        self._threshold = _number(options, "threshold", 0.95, problems)
        weights = options.get("weights", {})
        self._weights = [
            _number(weights if isinstance(weights, Mapping) else {}, key, 0.5, problems) for key in _STAGES
        ]
        self._bias = np.array(options.get("bias", [0.0] * len(full.labels)), dtype=np.float64)
        if self._bias.shape != (len(full.labels),) or not np.isfinite(self._bias).all():
            problems.append("options.bias must hold one number for each label")
        if not quick.capacity.quick:
            problems.append("the quick member must be a model that answers while it encodes, such as flavor linear")
        if problems:
            raise ModelRejected(problems)
        self._temperature = temperature(options)

    @property
    def labels(self) -> tuple[str, ...]:
        """The members' labels."""
        return self._full.labels

    @property
    def capacity(self) -> Capacity:
        """Rows are the full member's; most texts need none."""
        return replace(self._full.capacity, quick=True)

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:
        """Answer what the quick member is sure of; raises `TextTooLong` for the others as the full member does."""
        encoded = self._quick.encode(texts, overflow)
        unsure = [index for index, each in enumerate(encoded) if max(_answer(each).scores) < self._threshold]
        rows = self._full.encode([texts[index] for index in unsure], overflow) if unsure else []
        result = [replace(each, answer=Answer(_answer(each).scores, _STAGES[:1])) for each in encoded]
        for index, full in zip(unsure, rows, strict=True):
            result[index] = replace(full, answer=None, context=(_answer(encoded[index]), full))
        return result

    def run(self, rows: Sequence[Row]) -> FloatArray:
        """Run the full member."""
        return self._full.run(rows)

    def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:
        """Fuse what both members say."""
        quick, full = cast("tuple[Answer, Encoded]", encoded.context)
        answers = (quick, self._full.finish(full, outputs))
        logs = np.log(np.maximum([answer.scores for answer in answers], _SMALLEST))
        fused = np.array(self._weights) @ logs + self._bias
        return Answer(softmax(fused, self._temperature), _STAGES)

    def close(self) -> None:
        """Close both."""
        self._quick.close()
        self._full.close()


_STAGES = ("quick", "full")


def _answer(encoded: Encoded) -> Answer:
    return cast("Answer", encoded.answer)


def _number(options: Mapping[str, Any], key: str, default: float, problems: list[str]) -> float:
    value = options.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        problems.append(f"options.{key} must be a number")
        return default
    return float(value)
