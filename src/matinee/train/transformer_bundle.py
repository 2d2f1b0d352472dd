"""From a trained encoder to its bundle: export, choose the windows, calibrate, measure, write.

Everything is measured on the exported graph, through the classifier that will serve it.
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matinee.core.manifest import Manifest, TextSettings
from matinee.core.prediction import Classifier
from matinee.flavors import pool, sharpen
from matinee.train.answers import OpenModel, answer, raw_outputs, scores_of
from matinee.train.bundles import copy_files, measure_files, rewrite, write_bundle
from matinee.train.calibration import fit_exponent, fit_temperature, log_loss
from matinee.train.card import render_card, table
from matinee.train.examples import examples
from matinee.train.lineage import lineage
from matinee.train.metrics import measure
from matinee.train.reviews import Dataset, Reviews
from matinee.train.transformer import Plan, Trained

GRAPH_FILE, TOKENIZER_FILE = "model.onnx", "tokenizer.json"
_PACKAGES = ("torch", "transformers", "tokenizers", "onnx", "openvino", "numpy")
_CUTS = ((256, 64), (384, 64), (384, 128), (512, 64))  # window and overlap, in tokens
_POOLINGS = ("mean", "weighted", "max", "first")
_PURPOSE = """\
Decides whether a film review is positive or negative: a BERT-shaped encoder of six layers, fine-tuned on the Large
Movie Review Dataset. Weights are int8, arithmetic is whatever the runtime does best; the last layer computes only the
token that the classifier reads. English only; it has seen nothing but film reviews."""


@dataclass(frozen=True)
class Choice:
    """One way to read long texts, and what it gave on held-out films (log loss after calibration)."""

    text: TextSettings
    exponent: float
    temperature: float
    accuracy: float
    log_loss: float
    windows: float


def write_transformer(trained: Trained, dataset: Dataset, plan: Plan, out: Path, open_model: OpenModel) -> Manifest:
    """Write the bundle to ``out``; the test reviews are read once, at the end, with everything decided."""
    candidate = plan.work / "candidate"
    manifest = Manifest(name=out.name, version="1", flavor="onnx", labels=dataset.labels)
    _export(trained, candidate)
    choices = choose_windows(candidate, manifest, trained.parts.heldout, open_model)
    best = min(choices, key=lambda choice: choice.log_loss)
    manifest = replace(
        manifest,
        text=best.text,
        calibration={
            "exponent": best.exponent,
            "temperature": best.temperature,
            "fitted_on": f"{len(trained.parts.heldout)} reviews of held-out films",
        },
        lineage=_lineage(dataset, plan, trained),
    )
    classifier = _open(candidate, manifest, open_model)
    manifest = replace(
        manifest,
        metrics={
            "heldout": _figures(classifier, trained.parts.heldout, "held-out films"),
            "test": _figures(classifier, dataset.test, "test reviews"),
        },
        examples=examples(dataset.labels, lambda texts: scores_of(answer(classifier, texts, "examples"))),
    )
    classifier.close()
    sections = (("Long texts", _WINDOWS_NOTE + "\n\n" + windows_table(choices, best)),)
    return write_bundle(
        out,
        manifest,
        lambda written: render_card(written, _PURPOSE, sections),
        copy_files(candidate, GRAPH_FILE, TOKENIZER_FILE),
    )


def choose_windows(candidate: Path, manifest: Manifest, heldout: Reviews, open_model: OpenModel) -> list[Choice]:
    """Try every window, overlap and pooling; one pass over the texts for each window and overlap."""
    choices: list[Choice] = []
    for size, overlap in _CUTS:
        text = TextSettings(max_tokens=size, overlap=overlap)
        classifier = _open(candidate, replace(manifest, text=text), open_model)
        outputs = raw_outputs(classifier, heldout.texts, f"windows of {size}, overlap {overlap}")
        classifier.close()
        windows = float(np.mean([each.windows for each, _ in outputs]))
        for pooling in _POOLINGS:
            logits = np.stack([pool(rows, each.context, pooling) for each, rows in outputs])
            choices.append(_calibrated(replace(text, pooling=pooling), logits, heldout, windows))
    return choices


def _calibrated(text: TextSettings, logits: NDArray[np.floating[Any]], heldout: Reviews, windows: float) -> Choice:
    exponent = round(fit_exponent(logits, heldout.labels), 4)
    sharpened = sharpen(logits, exponent)
    temperature = round(fit_temperature(sharpened, heldout.labels), 4)
    right = float((logits.argmax(axis=1) == heldout.labels).mean())
    return Choice(text, exponent, temperature, right, log_loss(sharpened / temperature, heldout.labels), windows)


_WINDOWS_NOTE = """\
A text longer than the window is read in overlapping windows, whose logits are pooled. Chosen by log loss on held-out
films; `first` reads the first window only, which is what truncation costs."""


def windows_table(choices: Sequence[Choice], best: Choice) -> str:
    """The choices as a Markdown table."""
    rows = [
        (
            f"{choice.text.max_tokens}",
            f"{choice.text.overlap}",
            choice.text.pooling + (" (chosen)" if choice == best else ""),
            f"{choice.windows:.2f}" if choice.text.pooling != "first" else "1.00",
            f"{choice.accuracy:.2%}",
            f"{choice.log_loss:.4f}",
        )
        for choice in choices
    ]
    return table(("window", "overlap", "pooling", "windows a text", "accuracy", "log loss"), rows)


def _export(trained: Trained, folder: Path) -> None:
    import onnx

    from matinee.train.export import to_onnx

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    onnx.save(to_onnx(trained.encoder), folder / GRAPH_FILE)
    trained.tokenizer.save(str(folder / TOKENIZER_FILE))


def _open(folder: Path, manifest: Manifest, open_model: OpenModel) -> Classifier:
    rewrite(folder, replace(manifest, files=measure_files(folder)), "")
    return open_model(str(folder.resolve())).classifier


def _figures(classifier: Classifier, reviews: Reviews, title: str) -> dict[str, Any]:
    scores: NDArray[np.float64] = scores_of(answer(classifier, reviews.texts, title))
    return measure(scores, reviews.labels, reviews.texts).to_dict()


def _lineage(dataset: Dataset, plan: Plan, trained: Trained) -> dict[str, Any]:
    stages = {stage.name: asdict(stage) for stage in plan.stages}
    more = {"base": plan.base, "labelled": len(trained.parts.fit), **stages}
    if plan.teacher is not None:
        more |= {"teacher": plan.teacher.name, "unlabelled": plan.unlabelled}
    return lineage(dataset.digest, plan.seed, _PACKAGES, **more)
