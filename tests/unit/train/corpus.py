"""An invented corpus: short reviews whose words say what they think, and films that have several of them."""

import random

import numpy as np

from matinee.train.dataset import LABELS, digest
from matinee.train.reviews import Dataset, Reviews

GOOD = ["wonderful", "moving", "funny", "clever", "superb", "delightful", "brilliant", "charming"]
BAD = ["boring", "awful", "clumsy", "dull", "terrible", "tedious", "stupid", "wooden"]
PLAIN = [
    "the",
    "film",
    "story",
    "actor",
    "music",
    "scene",
    "camera",
    "ending",
    "dialogue",
    "director",
    "moment",
    "plot",
]


def reviews(count: int, seed: int, films: int = 20) -> Reviews:
    """Half of them negative, half positive; about one word in ten has the other opinion."""
    draw = random.Random(seed)  # noqa: S311 - a corpus, not a secret
    labels = np.array([i % 2 for i in range(count)], dtype=np.int64)
    texts = []
    for label in labels:
        words = [draw.choice(PLAIN) for _ in range(draw.randint(10, 40))]
        for _ in range(6):
            opinion = label if draw.random() < 0.9 else 1 - label
            words.insert(draw.randrange(len(words)), draw.choice(GOOD if opinion else BAD))
        texts.append(" ".join(words))
    return Reviews(texts, labels, [f"tt{draw.randrange(films):04d}-{seed}" for _ in range(count)])


def dataset(count: int = 160) -> Dataset:
    """Train and test of ``count`` reviews each, and half as many without labels."""
    train, test, rest = reviews(count, 1), reviews(count, 2), reviews(count // 2, 3)
    unlabelled = Reviews(rest.texts, np.full(len(rest), -1, dtype=np.int64), rest.groups)
    return Dataset(train, test, unlabelled, LABELS, digest(train, test, unlabelled))
