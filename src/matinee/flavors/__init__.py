"""From files to a classifier: how is this kind of model loaded and run?

`load` turns a verified bundle into a `Classifier`; `compose` puts two loaded classifiers together as one, the
flavor `cascade`, whose members are bundles of their own. `FLAVORS` names every implementation; each is a callable
`(VerifiedBundle, LoadOptions) -> Classifier`, imported when a bundle first asks for it.

Training shares the linear model's features and file, and the pooling of windows, with serving.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matinee.core.bundle import VerifiedBundle
from matinee.core.errors import ModelRejected
from matinee.core.plugins import Builtin, Table
from matinee.core.prediction import Classifier
from matinee.flavors.calibration import sharpen
from matinee.flavors.linear_features import LinearModel, fingerprint, load_linear, save_linear, split_words
from matinee.flavors.windows import pool

if TYPE_CHECKING:
    from matinee.flavors.tuning import Trial as Trial
    from matinee.flavors.tuning import Tuning as Tuning

CASCADE = "cascade"


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to load; every default means "what suits this machine".

    `threads`, `streams` (batches at once) and `batch_tokens` are 0 for automatic; `runtime` is `auto`, `openvino` or
    `onnxruntime`; `precision` is `auto`, `f32`, `bf16` or `int8`; `device` is `cpu` or `cuda`. `cache_dir` holds what
    tuning found and what the runtimes compiled, so that the next start is quicker; without it nothing is kept.
    """

    threads: int = 0
    streams: int = 0
    runtime: str = "auto"
    precision: str = "auto"
    batch_tokens: int = 0
    cache_dir: Path | None = None
    device: str = "cpu"


Loader = Callable[[VerifiedBundle, LoadOptions], Classifier]

FLAVORS: Table[Loader] = Table(
    "matinee.flavors",
    {
        "linear": Builtin("matinee.flavors.linear:load"),
        "onnx": Builtin("matinee.flavors.onnx:load"),
        "sklearn": Builtin("matinee.flavors.sklearn:load", extra="sklearn"),
        "keras": Builtin("matinee.flavors.keras:load", extra="keras"),
        "transformers": Builtin("matinee.flavors.transformers:load", extra="transformers"),
        "tensorflow": Builtin("matinee.flavors.tensorflow:load", extra="tensorflow"),
        "mlflow": Builtin("matinee.flavors.mlflow:load", extra="mlflow"),
        "custom": Builtin("matinee.flavors.custom:load"),
    },
)


def load(bundle: VerifiedBundle, options: LoadOptions = LoadOptions()) -> Classifier:
    """Load a verified bundle, and ask it for a few answers before saying that it is loaded.

    Raises `ModelRejected` when its files do not make a model that answers, `MissingExtra` when its stack is not
    installed.
    """
    from matinee.flavors.selfcheck import check_answers

    classifier = FLAVORS.get(bundle.manifest.flavor)(bundle, options)
    with ExitStack() as undo:
        undo.callback(classifier.close)
        check_answers(classifier, bundle.manifest)
        undo.pop_all()
    return classifier


def compose(bundle: VerifiedBundle, quick: Classifier, full: Classifier) -> Classifier:
    """Make one classifier of two, as the `cascade` bundle's manifest says; it owns and closes both."""
    from matinee.flavors.cascade import Cascade

    if quick.labels != full.labels:
        raise ModelRejected([f"the cascade's members have different labels: {quick.labels} and {full.labels}"])
    return Cascade(bundle.manifest, quick, full)


def convert_sklearn(bundle: VerifiedBundle, target: Path) -> None:
    """Write a scikit-learn model as a `.skops` file, or as a folder of plain arrays when it is linear.

    Raises `ModelRejected` for a model that has no such form; nothing is left then.
    """
    from matinee.flavors.sklearn_convert import convert

    convert(bundle, target)


def tune(
    bundle: VerifiedBundle,
    options: LoadOptions,
    texts: Sequence[str] = (),
    report: "Callable[[Trial], None]" = lambda _: None,
) -> "Tuning":
    """Measure which runtime, precision, streams and batch size suit this machine and this model, and keep the answer.

    `texts` join the bundle's examples and a built-in sample; `report` hears of each trial. Raises `ModelRejected` for a
    model that has nothing to choose.
    """
    from matinee.flavors import tuning

    return tuning.tune(bundle, options, texts, report)


__all__ = [
    "CASCADE",
    "FLAVORS",
    "LinearModel",
    "LoadOptions",
    "Loader",
    "compose",
    "convert_sklearn",
    "fingerprint",
    "load",
    "load_linear",
    "pool",
    "save_linear",
    "sharpen",
    "split_words",
]
