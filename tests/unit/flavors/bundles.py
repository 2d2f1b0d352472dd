"""Bundles for the tests of the flavors: folders as another program left them, seen as verification sees them."""

import json
from pathlib import Path
from typing import Any

from matinee.core.bundle import Bundle, Revision, VerifiedBundle
from matinee.core.prediction import Answer, Classifier
from matinee.core.reference import ModelRef
from matinee.verify import Policy, inspect

STRICT = Policy()
FIXTURES = Path(__file__).parents[2] / "fixtures"


def verified(folder: Path, policy: Policy = STRICT) -> VerifiedBundle:
    """What `verify.inspect` makes of a folder."""
    revision = Revision(ModelRef.parse(str(folder)), "1")
    return inspect(Bundle(folder, revision, f"sha256:{folder.name}"), policy)


def expected(folder: Path) -> tuple[list[str], list[list[float]]]:
    """Texts, and the logits that the real library gave them."""
    document: dict[str, Any] = json.loads((folder / "logits.json").read_text())
    return document["texts"], document["logits"]


def logits(classifier: Classifier, texts: list[str]) -> list[list[float]]:
    """The raw outputs for the first window of each text, each run by itself."""
    return [classifier.run(encoded.rows)[0].tolist() for encoded in classifier.encode(texts, "truncate")]


def answers(classifier: Classifier, texts: list[str]) -> list[Answer]:
    """Scores of each text."""
    return [classifier.finish(encoded, classifier.run(encoded.rows)) for encoded in classifier.encode(texts)]
