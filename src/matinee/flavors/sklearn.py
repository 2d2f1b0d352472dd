"""Flavor `sklearn`: any text pipeline in a `.joblib`, `.pkl` or `.skops` file.

A helper process without network reads the file first (see `sklearn_helper`). A linear pipeline comes back as its
vocabulary and weights, and is served from those on the fast path, without scikit-learn in this process. Any other
pipeline is then read here too, by the same list of names, and asked in batches. It reads texts of any length.
"""

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from matinee.core.bundle import VerifiedBundle
from matinee.core.errors import MissingExtra, ModelRejected
from matinee.core.prediction import Answer, Capacity, Classifier, Encoded, FloatArray, Overflow, Row
from matinee.flavors import LoadOptions
from matinee.flavors.confinement import MIB, scrubbed_environment
from matinee.flavors.exported import make_whole, prune
from matinee.flavors.sklearn_labels import name_classes
from matinee.flavors.sklearn_linear import ARRAYS, LinearText

_log = logging.getLogger(__name__)
_CHARACTERS_PER_TOKEN = 5
_BATCH_TOKENS = 524_288  # some 1,000 reviews: scikit-learn takes milliseconds for each call, however few texts
_HELPER_SECONDS = 120
_KEPT = 16  # fast forms; one weighs as much as the model
_FORM = "2"  # of what is kept in the cache; another form is made anew


def load(bundle: VerifiedBundle, options: LoadOptions) -> Classifier:
    """Load it; raises `ModelRejected`, and `MissingExtra` without scikit-learn."""
    file = bundle.manifest.options.get("file")
    if not isinstance(file, str):
        raise ModelRejected(["options.file must name the model's file, such as model.joblib"])
    if file == ARRAYS:
        return LinearClassifier(_read_arrays(bundle.folder), bundle.manifest.labels)
    path, names = bundle.folder / file, bundle.manifest.options.get("pickle_names", ())
    with tempfile.TemporaryDirectory(prefix="matinee-sklearn-") as made:
        about, linear = _examined(path, names, Path(made), _kept(bundle, options))
        labels, note = name_classes(about["classes"], bundle.manifest.labels, numeric=about["numeric"])
        for line in [*about["notes"], *([note] if note else [])]:
            _log.warning("%s: %s", file, line)
        if linear is not None:
            return LinearClassifier(linear, labels)
    return BatchClassifier(_read_here(path, names), labels, options)


def _read_arrays(folder: Path) -> LinearText:
    """A pipeline that `matinee convert` wrote as plain arrays."""
    try:
        return LinearText.load(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelRejected([f"{ARRAYS}: is not what matinee convert writes ({error})"]) from None


def _kept(bundle: VerifiedBundle, options: LoadOptions) -> Path | None:
    """Where the fast form of this very file is kept between starts."""
    if options.cache_dir is None:
        return None
    names = json.dumps(sorted(bundle.manifest.options.get("pickle_names", ())))
    key = hashlib.sha256(f"{_FORM} {bundle.digest} {bundle.manifest.options.get('file')} {names}".encode())
    return options.cache_dir / "sklearn" / key.hexdigest()[:32]


def _examined(
    path: Path, names: Sequence[str], made: Path, kept: Path | None
) -> tuple[dict[str, Any], LinearText | None]:
    """What the helper found, and the fast form if there is one: made now in `made`, or kept by an earlier start."""
    if kept is not None and (found := _read_kept(kept)) is not None:
        return found
    about = ask_helper(path, names, made)
    if not about["linear"]:
        return about, None
    if kept is not None:
        (made / "about.json").write_text(json.dumps(about), encoding="utf-8")
        _keep(made, kept)
    return about, LinearText.load(made)


def _read_kept(kept: Path) -> tuple[dict[str, Any], LinearText] | None:
    """What an earlier start kept; None where nothing is, or where a crash of the machine damaged it."""
    try:
        os.utime(kept)
        return json.loads((kept / "about.json").read_text(encoding="utf-8")), LinearText.load(kept)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        _log.warning("what was kept in %s is damaged, and made anew", kept)
        shutil.rmtree(kept, ignore_errors=True)
        return None


def _keep(made: Path, kept: Path) -> None:
    """Put the folder into the cache, whole or not at all; where it cannot be written, the next start asks again."""

    def copy(into: Path) -> None:
        shutil.copytree(made, into, dirs_exist_ok=True)

    try:
        make_whole(kept, copy)
        prune(kept.parent, _KEPT)
    except OSError as error:
        _log.warning("the fast form of a scikit-learn model could not be kept in %s: %s", kept.parent, error.strerror)


def ask_helper(path: Path, names: Sequence[str], folder: Path) -> dict[str, Any]:
    """Have the file read in a confined process, its fast form written into `folder`; raises `ModelRejected`."""
    request = {
        "path": str(path.resolve()),
        "names": list(names),
        "folder": str(folder),
        "memory": max(3072 * MIB, 24 * path.stat().st_size),
        "seconds": _HELPER_SECONDS,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "matinee.flavors.sklearn_helper"],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=_HELPER_SECONDS * 2,
            env=scrubbed_environment(),
            cwd=folder,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelRejected([f"{path.name}: reading it took longer than {2 * _HELPER_SECONDS} s"]) from None
    if b"ModuleNotFoundError" in done.stderr and done.returncode == 1:
        raise MissingExtra("a scikit-learn model", "sklearn")
    if done.returncode != 0:
        raise ModelRejected([f"{path.name}: the process that read it ended with {_ending(done.returncode)}"])
    answer: dict[str, Any] = json.loads(done.stdout)
    if "refused" in answer:
        raise ModelRejected([f"{path.name}: {reason}" for reason in answer["refused"]])
    return answer


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _read_here(path: Path, names: Sequence[str]) -> Any:
    from matinee.flavors.sklearn_reading import Scored, quietly_read

    model, _ = quietly_read(path, names)
    return Scored(model)


class LinearClassifier:
    """Answers while it encodes; there are no rows to run."""

    capacity = Capacity(quick=True)

    def __init__(self, model: LinearText, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self._model = model

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:  # noqa: ARG002 - all is read
        """Answer; `tokens` counts the terms that the vectorizers cut."""
        scores, counts = self._model.probabilities(texts)
        return [
            Encoded(rows=(), tokens=count, windows=1, truncated=False, answer=Answer(tuple(given)))
            for given, count in zip(scores.tolist(), counts.tolist(), strict=True)
        ]

    def run(self, rows: Sequence[Row]) -> FloatArray:
        """There is nothing to run."""
        return np.empty((len(rows), len(self.labels)), dtype=np.float32)

    def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:  # noqa: ARG002 - the protocol's
        """The answer is there already."""
        if encoded.answer is None:
            raise ValueError("this text was encoded by another classifier")
        return encoded.answer

    def close(self) -> None:
        """Nothing is held but memory."""


@dataclass(frozen=True, slots=True)
class TextRow:
    """One whole text; its cost is about its number of words."""

    text: str

    @property
    def cost(self) -> int:
        """How long it is, in words of five letters."""
        return len(self.text) // _CHARACTERS_PER_TOKEN + 1


class BatchClassifier:
    """Asks the pipeline for many texts at once."""

    def __init__(self, model: Any, labels: tuple[str, ...], options: LoadOptions) -> None:
        self.labels = labels
        self.capacity = Capacity(batch_tokens=options.batch_tokens or _BATCH_TOKENS, parallel_batches=1)
        self._model = model

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:  # noqa: ARG002 - all is read
        """One row for each text; `tokens` counts spaces: cutting words here too would cost noticeably."""
        return [
            Encoded(rows=(TextRow(text),), tokens=text.count(" ") + bool(text), windows=1, truncated=False)
            for text in texts
        ]

    def run(self, rows: Sequence[Row]) -> FloatArray:
        """Probabilities, float32 [rows, labels]."""
        texts = [row.text for row in rows if isinstance(row, TextRow)]
        probabilities: FloatArray = self._model.probabilities(texts).astype(np.float32)
        return probabilities

    def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:  # noqa: ARG002 - one row is one text
        """The row's probabilities."""
        return Answer(tuple(outputs[0].tolist()))

    def close(self) -> None:
        """Nothing is held but memory."""
