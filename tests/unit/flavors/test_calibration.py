"""How logits become confidences."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.unit.flavors.bundles import FIXTURES, verified

from matinee.core.errors import ModelRejected
from matinee.flavors import LoadOptions, load, sharpen


def test_sharpening_changes_how_sure_but_not_what() -> None:
    """The order of the labels stays; small differences shrink, large ones grow."""
    logits = np.array([[0.0, 0.5], [4.0, 0.0], [1.0, 1.0]])
    assert sharpen(logits, 2.0).tolist() == [[0.0, 0.25], [16.0, 0.0], [pytest.approx(0.0, abs=1e-5)] * 2]
    assert np.isfinite(sharpen(logits, 0.5)).all()


@pytest.mark.parametrize(
    ("options", "exponent", "reason"),
    [({}, 0, "exponent must be a number above 0"), ({"scores": "sigmoid"}, 2, "labels that exclude each other")],
)
def test_an_exponent_that_makes_no_sense_is_refused(
    tmp_path: Path, options: dict[str, str], exponent: int, reason: str
) -> None:
    """With a sentence that names the field."""
    folder = shutil.copytree(FIXTURES / "tiny-onnx", tmp_path / "model")
    manifest = json.loads((folder / "matinee.json").read_text("utf-8"))
    manifest["calibration"]["exponent"] = exponent
    manifest["options"] = manifest.get("options", {}) | options
    (folder / "matinee.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(ModelRejected, match=reason):
        load(verified(folder), LoadOptions())
