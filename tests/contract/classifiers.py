"""Every kind of classifier, small: the implementations that the contract is checked against."""

from collections.abc import Callable
from pathlib import Path

from tests.fakes.classifier import ObedientClassifier
from tests.unit.flavors.bundles import FIXTURES, verified
from tests.unit.flavors.test_linear import bundle as linear_bundle

from matinee.core.manifest import Manifest
from matinee.core.prediction import Classifier
from matinee.flavors import LoadOptions, load
from matinee.flavors.cascade import Cascade


def onnx(options: LoadOptions) -> Classifier:
    """The tiny encoder, run as `options` say."""
    return load(verified(FIXTURES / "tiny-onnx"), options)


def cascade(folder: Path) -> Classifier:
    """The linear model in front of the tiny encoder; it is sure of little."""
    quick, full = load(linear_bundle(folder)), onnx(LoadOptions())
    return Cascade(Manifest("pair", "cascade", full.labels, options={"threshold": 0.7}), quick, full)


# Each gets an empty folder for files of its own.
CLASSIFIERS: dict[str, Callable[[Path], Classifier]] = {
    "fake": lambda _: ObedientClassifier(),
    "linear": lambda folder: load(linear_bundle(folder)),
    "onnx": lambda _: onnx(LoadOptions()),
    "onnx, f32": lambda _: onnx(LoadOptions(precision="f32", streams=1)),
    "onnx, compiled before": lambda folder: [onnx(LoadOptions(cache_dir=folder)) for _ in range(2)][1],
    "onnx, onnxruntime": lambda _: onnx(LoadOptions(runtime="onnxruntime")),
    "cascade": cascade,
}
