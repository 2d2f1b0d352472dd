"""Every flavor from every source: published, resolved, pulled, verified, loaded, and answering as the folder does."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.bundles import CORPUS
from tests.fakes.registries import Stand, pointed_at, stand
from tests.unit.flavors.bundles import FIXTURES, STRICT, answers
from tests.unit.flavors.test_linear import bundle as linear_bundle

from matinee.core.digest import file_sha256
from matinee.core.manifest import FileEntry, Manifest
from matinee.core.reference import ModelRef
from matinee.flavors import LoadOptions, load
from matinee.sources import SourceOptions, Sources
from matinee.verify import Policy, inspect

TEXTS = ["A good film, and fun!", "awful, dull and bad", ""]
BENIGN = CORPUS / "benign"
MODELS = {
    "onnx": FIXTURES / "tiny-onnx",
    "sklearn": BENIGN / "logistic",
    "sklearn, skops": BENIGN / "skops-logistic",
    "transformers": FIXTURES / "transformers" / "distilbert",
    "transformers, in shards": FIXTURES / "transformers" / "bert",
    "tensorflow": FIXTURES / "tensorflow" / "distilbert",
    "keras": FIXTURES / "keras" / "vectorized",
    "mlflow": BENIGN / "mlflow-sklearn",
}
# The table of docs/reference/flavors.md. A web reference means one file; of the Hub known kinds of files are taken.
TRIED = {
    "folder": ("linear", "custom", *MODELS),
    "wandb": ("linear", "custom", *MODELS),
    "objectstore": ("linear", "custom", *MODELS),
    "huggingface": ("linear", "custom", *(name for name in MODELS if name != "mlflow")),
    "web": ("sklearn", "sklearn, skops", "keras"),
}


class Loud:
    """A class of the operator's own, which reads a file of its own."""

    labels = ("calm", "loud")

    def load(self, path: Path) -> None:
        self.mark = (path / "mark.txt").read_text(encoding="utf-8")

    def predict(self, texts: Sequence[str]) -> list[list[float]]:
        return [[0.25, 0.75] if self.mark in text else [1.0, 0.0] for text in texts]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models that are made here: the linear one and the class's."""
    folder = tmp_path_factory.mktemp("made")
    for name in ("linear", "custom"):
        (folder / name).mkdir()
    linear = linear_bundle(folder / "linear")
    (folder / "linear" / "matinee.json").write_text(linear.manifest.to_json(), encoding="utf-8")
    (folder / "custom" / "mark.txt").write_text("!", encoding="utf-8")
    listed = {"mark.txt": FileEntry(1, file_sha256(folder / "custom" / "mark.txt"))}
    custom = Manifest("loud", "custom", Loud.labels, files=listed)
    (folder / "custom" / "matinee.json").write_text(custom.to_json(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> LoadOptions:
    """Graphs are kept by digest, so that a model is exported once, wherever it came from."""
    return LoadOptions(cache_dir=tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="module", params=TRIED)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stand, Sources]]:
    """One registry, and sources with an empty cache that are pointed at it."""
    folder = tmp_path_factory.mktemp(str(request.param))
    with ExitStack() as stack:
        running = stack.enter_context(stand(str(request.param), folder / "published"))
        stack.enter_context(pointed_at(running))
        sources = Sources(SourceOptions(cache_dir=folder / "cache", settle_seconds=0, resolve_seconds=60))
        stack.callback(sources.close)
        yield running, sources


def test_it_answers_as_from_the_folder(
    request: pytest.FixtureRequest, place: tuple[Stand, Sources], made: Path, options: LoadOptions
) -> None:
    """The same digest and the same scores, wherever the model came from."""
    registry, sources = place
    for name in TRIED[request.node.callspec.params["place"]]:
        folder = MODELS.get(name, made / name)
        policy = Policy(loader=f"{Loud.__module__}:Loud") if name == "custom" else STRICT
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in _of(folder)}
        reference = registry.publish(name.partition(",")[0] + str(len(name)), files)
        bundle = sources.pull(sources.resolve(ModelRef.parse(reference)))
        local = sources.pull(sources.resolve(ModelRef.parse(str(folder))))
        one, other = (load(inspect(each, policy), options) for each in (bundle, local))
        assert one.labels == other.labels, name
        found, wanted = ([answer.scores for answer in answers(each, TEXTS)] for each in (one, other))
        np.testing.assert_allclose(found, wanted, atol=1e-6, err_msg=name)
        one.close()
        other.close()


def _of(folder: Path) -> Iterator[Path]:
    """The model's files; `outputs.json` and `logits.json` are those of other tests."""
    return (path for path in folder.rglob("*") if path.is_file() and path.name not in {"outputs.json", "logits.json"})
