"""`matinee.json` survives a round trip, and a bad one says everything that is wrong with it."""

import json

import pytest

from matinee.core.errors import InvalidManifest
from matinee.core.manifest import Example, FileEntry, Manifest, TextSettings

MANIFEST = Manifest(
    name="films",
    flavor="onnx",
    labels=("negative", "positive"),
    version="3",
    text=TextSettings(max_tokens=256, overlap=64, pooling="mean"),
    files={"model.onnx": FileEntry(12, "0" * 64)},
    calibration={"temperature": 1.25},
    lineage={"seed": 7},
    examples=[Example("Wunderbar 🎬", "positive", (0.1, 0.9))],
)


def test_a_manifest_survives_the_round_trip() -> None:
    """Reading what was written gives an equal manifest, and writing that gives equal bytes."""
    content = MANIFEST.to_json()
    read = Manifest.from_json(content)
    assert read.to_json() == content
    assert read.examples[0].scores == (0.1, 0.9)
    assert read.files["model.onnx"].size == 12


def test_every_problem_is_listed_at_once() -> None:
    """One message names each field that is wrong."""
    document = json.loads(MANIFEST.to_json())
    document.update(schema=9, labels=["same", "same"], text={"max_tokens": -1}, files={"x": 1}, examples=[3])
    with pytest.raises(InvalidManifest) as caught:
        Manifest.from_json(json.dumps(document))
    problems = "\n".join(caught.value.problems)
    for field in ("schema", "labels", "text.max_tokens", "files: 'x'", "examples: number 0"):
        assert field in problems


@pytest.mark.parametrize("content", ["", "[]", "{", "null", '"text"'])
def test_what_is_not_an_object_is_refused(content: str) -> None:
    """Anything but a JSON object is not a manifest."""
    with pytest.raises(InvalidManifest):
        Manifest.from_json(content)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"overflow": "cut"}, "text.overflow"),
        ({"pooling": "median"}, "text.pooling"),
        ({"max_tokens": 16, "overlap": 14}, "text.overlap"),
        ({"max_tokens": True}, "text.max_tokens"),
    ],
)
def test_text_settings_are_checked(settings: dict[str, object], field: str) -> None:
    """Text settings that no text could be read with are refused by name."""
    document = {**json.loads(MANIFEST.to_json()), "text": settings}
    with pytest.raises(InvalidManifest, match=field):
        Manifest.from_json(json.dumps(document))
