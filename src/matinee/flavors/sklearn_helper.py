"""The process that reads a scikit-learn file first: `python -m matinee.flavors.sklearn_helper`, never run by people.

It imports scikit-learn, gives up network, programs and writing (`confinement`), reads the file with the listed names
only, answers a few texts, and writes what is needed to serve: the fast form of a linear pipeline, or the word that
there is none. The result is JSON and plain arrays; the process that asked unpickles nothing of it.
"""

import contextlib
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from matinee.core.errors import ModelRejected
from matinee.flavors.confinement import Bounds, confine

_PROBES = ("A wonderful film.", "Not for me, sadly: two hours of nothing!", "", "né à Zürich 映画 🎬 123")
_DIFFERENCE = 1e-6
_SAMPLES, _SAMPLE_TERMS = 40, 25


def main() -> None:
    """Read a request from standard input, write the result to standard output."""
    request = json.load(sys.stdin)

    from matinee.flavors import sklearn_extract, sklearn_reading  # noqa: F401 - imported while that is still allowed

    sklearn_reading.import_readers(Path(request["path"]))
    folder = Path(request["folder"])
    confine(folder, Bounds(memory=int(request["memory"]), seconds=int(request["seconds"])))
    try:
        with contextlib.redirect_stdout(sys.stderr):  # functions that the operator allowed may print
            answer = examine(Path(request["path"]), request["names"], folder)
    except ModelRejected as rejected:
        answer = {"refused": list(rejected.reasons)}
    except MemoryError:
        answer = {"refused": ["takes more memory than a model of its size needs"]}
    except Exception as error:  # noqa: BLE001 - whatever the file makes of scikit-learn is a reason to refuse it
        answer = {"refused": [f"reading it raised {type(error).__name__}: {str(error)[:300]}"]}
    sys.stdout.write(json.dumps(answer))


def examine(path: Path, names: Sequence[str], folder: Path) -> dict[str, Any]:
    """Read the model, try it, write its fast form into `folder` if it has one."""
    from matinee.flavors.sklearn_extract import NotLinear, extract
    from matinee.flavors.sklearn_reading import Scored, quietly_read

    model, notes = quietly_read(path, names)
    scored = Scored(model)
    scored.probabilities(_PROBES)
    answer = {"classes": scored.classes, "numeric": scored.numeric, "notes": notes, "linear": False}
    try:
        fast = extract(model)
    except (NotLinear, AttributeError, IndexError, TypeError, ValueError) as other:
        return {**answer, "why": str(other)}
    texts = [*_PROBES, *_samples(model)]
    exact = scored.probabilities(texts)
    own, _ = fast.probabilities(texts)
    if own.shape != exact.shape or not np.allclose(own, exact, rtol=0, atol=_DIFFERENCE):
        return {**answer, "why": "the fast form answers differently"}
    fast.save(folder)
    return {**answer, "linear": True}


def _samples(model: Any) -> list[str]:
    """Texts made of the model's own vocabulary, so that its weights are really compared."""
    terms: list[str] = []
    waiting = [model]
    while waiting:
        part = waiting.pop()
        terms += list(getattr(part, "vocabulary_", ()))
        waiting += [step for _, step in [*getattr(part, "steps", ()), *getattr(part, "transformer_list", ())]]
    chooser = random.Random(0)  # noqa: S311 - the same texts each time
    return [" ".join(chooser.choices(terms, k=_SAMPLE_TERMS)) for _ in range(_SAMPLES)] if terms else []


if __name__ == "__main__":
    main()
