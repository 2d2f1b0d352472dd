"""A bundle without a manifest is recognized by its files, or the error names the setting."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.bundles import CORPUS, bundle_of, copied

from matinee.core.bundle import Bundle, Revision
from matinee.core.errors import ModelRejected
from matinee.core.manifest import Manifest
from matinee.core.reference import ModelRef
from matinee.verify import Policy, inspect

FIXTURES = CORPUS.parent / "fixtures"
STRICT = Policy()


def recognized(folder: Path, policy: Policy = STRICT) -> Manifest:
    """What verification makes of a folder."""
    return inspect(bundle_of(folder), policy).manifest


def refusal(folder: Path, policy: Policy = STRICT) -> str:
    """Why it makes nothing of it."""
    with pytest.raises(ModelRejected) as refused:
        inspect(bundle_of(folder), policy)
    return "; ".join(refused.value.reasons)


@pytest.mark.parametrize(
    ("case", "flavor", "file"),
    [
        ("logistic", "sklearn", "model.joblib"),
        ("pickle-5", "sklearn", "model.pkl"),
        ("skops-words", "sklearn", "model.skops"),
        ("mlflow-sklearn", "sklearn", "model.pkl"),
        ("keras-archive", "keras", "model.keras"),
        ("keras-h5", "keras", "model.h5"),
        ("encoder-with-leftovers", "transformers", None),
    ],
)
def test_files_tell_the_flavor(case: str, flavor: str, file: str | None) -> None:
    """And which of them is the model."""
    manifest = recognized(CORPUS / "benign" / case)
    assert manifest.inferred
    assert (manifest.flavor, manifest.options.get("file")) == (flavor, file)


def test_a_tensorflow_checkpoint_is_told_by_its_weights() -> None:
    """`config.json` with `tf_model.h5`, as save_pretrained writes it."""
    manifest = recognized(FIXTURES / "tensorflow" / "distilbert")
    assert manifest.flavor == "tensorflow"
    assert manifest.labels == ("negative", "positive")


def test_the_window_is_what_the_configuration_allows() -> None:
    """RoBERTa's first two positions belong to no token."""
    assert recognized(FIXTURES / "tensorflow" / "bert").text.max_tokens == 64
    config = json.loads((FIXTURES / "tensorflow" / "roberta" / "config.json").read_text())
    manifest = recognized(FIXTURES / "tensorflow" / "roberta")
    assert manifest.text.max_tokens == config["max_position_embeddings"] - 2


def _onnx(folder: Path, **more: Any) -> Path:
    folder.mkdir()
    for name in ("model.onnx", "tokenizer.json"):
        shutil.copy(FIXTURES / "tiny-onnx" / name, folder)
    for name, document in more.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    return folder


def test_a_graph_without_labels_asks_for_them(tmp_path: Path) -> None:
    """The error names the setting; with it, the bundle passes."""
    folder = _onnx(tmp_path / "m")
    assert "set LABELS" in refusal(folder)
    assert recognized(folder, Policy(labels=("bad", "good"))).labels == ("bad", "good")


def test_a_graph_takes_its_labels_from_the_configuration_beside_it(tmp_path: Path) -> None:
    """As an export from the Hub has it."""
    folder = _onnx(tmp_path / "m", config={"id2label": {"1": "up", "0": "down"}, "max_position_embeddings": 32})
    manifest = recognized(folder)
    assert (manifest.flavor, manifest.labels, manifest.text.max_tokens) == ("onnx", ("down", "up"), 32)


def test_two_models_are_ambiguous(tmp_path: Path) -> None:
    """MODEL_LOADER chooses between kinds; between files of one kind the reference does."""
    folder = copied("benign/logistic", tmp_path)
    shutil.copy(CORPUS / "benign" / "keras-archive" / "model.keras", folder)
    assert "set MODEL_LOADER" in refusal(folder)
    assert recognized(folder, Policy(loader="joblib")).flavor == "sklearn"
    shutil.copy(folder / "model.joblib", folder / "vectorizer.joblib")
    assert "point MODEL at the one file" in refusal(folder, Policy(loader="joblib"))


@pytest.mark.parametrize("place", [".", "onnx"])
def test_of_a_graph_and_its_variants_the_graph_is_taken(place: str, tmp_path: Path) -> None:
    """As Optimum writes and reads them; a variant alone in a reference would have no tokenizer beside it."""
    folder = _onnx(tmp_path / "m", config={"id2label": {"0": "down", "1": "up"}})
    (folder / place).mkdir(exist_ok=True)
    shutil.move(folder / "model.onnx", folder / place / "model.onnx")
    for name in ("model_quantized.onnx", "model_fp16.onnx"):
        shutil.copy(folder / place / "model.onnx", folder / place / name)
    assert Path(recognized(folder).options["file"]) == Path(place, "model.onnx")
    shutil.copy(folder / place / "model.onnx", folder / place / "other.onnx")
    assert "leave one of them there" in refusal(folder)


def test_a_loader_that_does_not_fit_is_an_error() -> None:
    """It says what is set and what is there."""
    assert "MODEL_LOADER is keras" in refusal(CORPUS / "benign" / "logistic", Policy(loader="keras"))


def test_the_original_word_transformers_takes_a_tensorflow_checkpoint() -> None:
    """MODEL_LOADER=transformers meant from_pretrained, whichever weights were there."""
    manifest = recognized(FIXTURES / "tensorflow" / "bert", Policy(loader="transformers"))
    assert manifest.flavor == "tensorflow"


def test_a_class_of_ones_own_takes_any_files(tmp_path: Path) -> None:
    """It reads what it likes, so that what is in the files is only noted."""
    (tmp_path / "weights.pt").write_bytes(b"\x80\x02.")
    manifest = recognized(tmp_path, Policy(loader="stars.model:Stars", labels=("bad", "good")))
    assert (manifest.flavor, manifest.options["class"]) == ("custom", "stars.model:Stars")


def test_nothing_recognized_names_the_choices(tmp_path: Path) -> None:
    """Loaders, and the form of a class."""
    (tmp_path / "notes.txt").write_text("nothing\n")
    assert "package.module:Class" in refusal(tmp_path)


def test_labels_have_to_be_as_many_as_the_model_has() -> None:
    """LABELS renames; it cannot add or drop."""
    reasons = refusal(FIXTURES / "tensorflow" / "bert", Policy(labels=("a", "b", "c")))
    assert "names 3 labels, and the model has 2" in reasons


def test_python_function_passes_when_it_is_allowed(tmp_path: Path) -> None:
    """Its own pickles are then its own business."""
    folder = copied("hostile/mlflow-python-function", tmp_path)
    (folder / "python_model.pkl").write_bytes(b"cos\nsystem\n.")
    assert "ALLOW_PYTHON_FUNCTION" in refusal(folder)
    assert recognized(folder, Policy(allow_python_function=True)).flavor == "mlflow"


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("wandb:team/project/imdb_model:latest", "imdb_model"),
        ("hf:org/name@main", "name"),
        ("./ml/model/model.pkl", "model"),
        ("s3://bucket/models/stars/", "stars"),
    ],
)
def test_the_reference_gives_the_name(reference: str, name: str) -> None:
    """Its last part, without alias, version and suffix."""
    bundle = Bundle(CORPUS / "benign" / "logistic", Revision(ModelRef.parse(reference), "1"), "sha256:0")
    assert inspect(bundle).manifest.name == name


@pytest.mark.parametrize(
    ("files", "advice"),
    [
        (("onnx",), "tokenizer.json"),
        (("safetensors",), "config.json"),
        (("safetensors", "adapter_config.json"), "merge_and_unload"),
        ((), "MODEL_LOADER"),
    ],
)
def test_half_a_model_is_told_what_it_lacks(files: tuple[str, ...], advice: str, tmp_path: Path) -> None:
    """Not only that nothing was recognized."""
    (tmp_path / "notes.json").write_text("{}")
    if "onnx" in files:
        shutil.copy(FIXTURES / "tiny-onnx" / "model.onnx", tmp_path)
    if "safetensors" in files:
        shutil.copy(FIXTURES / "transformers" / "distilbert" / "model.safetensors", tmp_path)
    if "adapter_config.json" in files:
        (tmp_path / "adapter_config.json").write_text("{}")
    assert advice in refusal(tmp_path)


def test_a_graph_for_several_labels_at_once_gives_each_its_own_score(tmp_path: Path) -> None:
    """As the configuration beside it says; a softmax over them would be other numbers than the library's."""
    config = {"id2label": {"0": "funny", "1": "sad"}, "problem_type": "multi_label_classification"}
    manifest = recognized(_onnx(tmp_path / "m", config=config))
    assert manifest.options["scores"] == "sigmoid"
    assert "scores" not in recognized(_onnx(tmp_path / "n", config={"id2label": config["id2label"]})).options
