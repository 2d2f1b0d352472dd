"""Invented reviews with the label that a sentiment model must give; they go into a manifest and warm a model up."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matinee.core.manifest import Example

REVIEWS = (
    ("A wonderful film: warm, funny and beautifully acted. I would watch it again tomorrow.", "positive"),
    ("Two hours of my life that I will never get back. Boring, badly acted and far too long.", "negative"),
    ("I expected nothing and was moved to tears. The best thing I have seen this year!", "positive"),
    ("The trailer was funny; the film is an awful mess without a single good idea.", "negative"),
    ("Not bad at all: a clever story, great music, and a superb performance by the lead.", "positive"),
    ("It could have been great, but the plot makes no sense and the dialogue is terrible. Avoid it.", "negative"),
)


def examples(
    labels: Sequence[str], predict: Callable[[Sequence[str]], NDArray[np.floating[Any]]]
) -> tuple[Example, ...]:
    """The reviews that ``predict`` (texts to scores [n, labels]) gets right, with its scores.

    An example is what a served model is held to: one that the trained model itself misses would refuse it for ever.
    """
    scores = predict([text for text, _ in REVIEWS])
    return tuple(
        Example(text, label, tuple(round(float(score), 4) for score in row))
        for (text, label), row in zip(REVIEWS, scores, strict=True)
        if label == labels[int(row.argmax())]
    )
