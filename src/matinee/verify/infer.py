"""Which model is this, when no manifest says it: told by the files, and asked for where they do not tell."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from matinee.core.errors import ModelRejected
from matinee.core.manifest import Manifest, TextSettings
from matinee.core.reference import ModelRef
from matinee.verify.configs import Encoder, read_encoder
from matinee.verify.folder import Listing
from matinee.verify.formats import Kind
from matinee.verify.mlmodel import unwrap
from matinee.verify.onnx_ends import gives_probabilities
from matinee.verify.policy import Policy
from matinee.verify.tensors import is_linear

_LOADERS = "joblib, keras, transformers, tensorflow, onnx, linear, mlflow, or package.module:Class"

_WHOLE = TextSettings()


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to read the folder. No labels means: the model itself says them when it is loaded."""

    flavor: str
    what: str
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    text: TextSettings = _WHOLE
    needs_labels: bool = False


def infer(listing: Listing, kinds: Mapping[str, Kind], reference: ModelRef, policy: Policy) -> Manifest:
    """The manifest that the files amount to; raises `ModelRejected` naming the setting that would help."""
    candidate = _choose(candidates(listing, kinds, policy), policy, kinds)
    labels = candidate.labels or policy.labels  # LABELS replaces the model's own later, and has to be as many
    if candidate.needs_labels and not labels:
        raise ModelRejected([f"{candidate.what} does not say its labels: set LABELS to their names, in order"])
    return Manifest(
        name=_name(reference),
        flavor=candidate.flavor,
        labels=labels,
        text=candidate.text,
        options=candidate.options,
        inferred=True,
    )


def candidates(listing: Listing, kinds: Mapping[str, Kind], policy: Policy) -> list[Candidate]:
    """Every way to read the folder; the first level counts, deeper ones only when it holds no model."""
    if "MLmodel" in listing.files:
        return [_from_mlmodel(listing, policy)]
    top = {name: kind for name, kind in kinds.items() if "/" not in name}
    return _candidates(listing, top) or _candidates(listing, kinds)


def _candidates(listing: Listing, kinds: Mapping[str, Kind]) -> list[Candidate]:
    readers: tuple[Callable[[Listing, Mapping[str, Kind]], list[Candidate]], ...] = (
        _linear, _encoders, _onnx, _keras, _sklearn,
    )  # fmt: skip
    return [candidate for reader in readers for candidate in reader(listing, kinds)]


def _choose(found: list[Candidate], policy: Policy, kinds: Mapping[str, Kind]) -> Candidate:
    wanted = policy.flavor
    if wanted == "custom":
        return Candidate("custom", policy.custom_class)
    if wanted:
        fitting = [candidate for candidate in found if candidate.flavor == wanted]
        known = {"sklearn", "keras", "transformers", "tensorflow", "onnx", "linear", "mlflow"}
        if not fitting and wanted == "transformers":
            fitting = [candidate for candidate in found if candidate.flavor == "tensorflow"]
        if not fitting and wanted not in known:
            return Candidate(wanted, wanted)
        if not fitting:
            held = ", ".join(candidate.what for candidate in found) or "nothing that is known"
            raise ModelRejected([f"MODEL_LOADER is {policy.loader}, and the files are {held}"])
        found = fitting
    if not found:
        raise ModelRejected([f"no model was recognized among the files: {_missing(kinds)}"])
    if len(found) > 1:
        held = " and ".join(candidate.what for candidate in found[:4]) + (" and others" if len(found) > 4 else "")
        graphs = {candidate.flavor for candidate in found} == {"onnx"}  # alone, one would lack its tokenizer
        advice = "leave one of them there" if graphs else "set MODEL_LOADER, or point MODEL at the one file"
        raise ModelRejected([f"the files are ambiguous, there is {held}: {advice}"])
    return found[0]


def _missing(kinds: Mapping[str, Kind]) -> str:
    """What the files that are there would need beside them."""
    if "adapter_config.json" in kinds:
        return "they are a PEFT adapter without its model; save what merge_and_unload() gives"
    if _of_kind(kinds, "onnx"):
        return "an ONNX graph needs its tokenizer.json beside it"
    if _of_kind(kinds, "safetensors"):
        return "safetensors need config.json beside them, as save_pretrained writes it"
    if _of_kind(kinds, "hdf5"):
        return "HDF5 weights need the model around them; save the whole model as .keras"
    return f"set MODEL_LOADER to one of {_LOADERS}"


def _linear(listing: Listing, kinds: Mapping[str, Kind]) -> list[Candidate]:
    found = [name for name in _of_kind(kinds, "safetensors") if is_linear(listing.path(name))]
    return [Candidate("linear", name, {"file": name}, needs_labels=True) for name in found]


def _encoders(listing: Listing, kinds: Mapping[str, Kind]) -> list[Candidate]:
    if "config.json" not in kinds:
        return []
    shards = [name for name in _of_kind(kinds, "safetensors") if not is_linear(listing.path(name))]
    if not shards and kinds.get("tf_model.h5") != "hdf5":
        return []
    encoder = read_encoder(listing)
    if shards:
        return [_encoder("transformers", "config.json with safetensors", encoder, {})]
    return [_encoder("tensorflow", "config.json with tf_model.h5", encoder, {"file": "tf_model.h5"})]


def _encoder(flavor: str, what: str, encoder: Encoder, options: Mapping[str, Any]) -> Candidate:
    return Candidate(flavor, what, {**options, **encoder.options}, labels=encoder.labels, text=encoder.text)


def _onnx(listing: Listing, kinds: Mapping[str, Kind]) -> list[Candidate]:
    if "tokenizer.json" not in kinds:
        return []
    encoder = read_encoder(listing) if "config.json" in kinds else Encoder((), TextSettings(max_tokens=512, overlap=64))
    names = _without_variants(_of_kind(kinds, "onnx"))
    return [_graph(listing, name, f"{name} with tokenizer.json", encoder) for name in names]


def _without_variants(names: list[str]) -> list[str]:
    """`model.onnx` alone where the others are its variants, such as `model_quantized.onnx`, as Optimum calls them."""
    variants = [name for name in names if PurePosixPath(name).name.startswith("model_")]
    models = [name for name in names if PurePosixPath(name).name == "model.onnx"]
    return models if len(models) == 1 and len(variants) == len(names) - 1 else names


def _graph(listing: Listing, name: str, what: str, encoder: Encoder) -> Candidate:
    candidate = _encoder("onnx", what, encoder, {"file": name})
    given = {"scores": "given"} if gives_probabilities(listing.path(name)) else {}
    return replace(candidate, options={**candidate.options, **given}, needs_labels=True)


def _keras(_: Listing, kinds: Mapping[str, Kind]) -> list[Candidate]:
    files = _of_kind(kinds, "keras") + [name for name in _of_kind(kinds, "hdf5") if _is_whole_keras(name)]
    found = [Candidate("keras", name, {"file": name}) for name in files]
    for name in _of_kind(kinds, "savedmodel"):
        folder = str(PurePosixPath(name).parent)
        found.append(Candidate("keras", "a SavedModel", {"file": folder}))
    return found


def _is_whole_keras(name: str) -> bool:
    """`tf_model.h5` and `*.weights.h5` are weights without the model around them."""
    return PurePosixPath(name).name != "tf_model.h5" and not name.endswith(".weights.h5")


def _sklearn(_: Listing, kinds: Mapping[str, Kind]) -> list[Candidate]:
    return [Candidate("sklearn", name, {"file": name}) for name in _of_kind(kinds, "pickle", "skops")]


def _of_kind(kinds: Mapping[str, Kind], *wanted: Kind) -> list[str]:
    return [name for name, kind in kinds.items() if kind in wanted]


def _from_mlmodel(listing: Listing, policy: Policy) -> Candidate:
    inner = unwrap(listing, policy)
    if inner.flavor not in {"transformers", "onnx"}:
        return Candidate(inner.flavor, f"an MLflow model with {inner.flavor} inside", inner.options)
    encoder = read_encoder(listing, inner.options.get("folder", "."), inner.options.get("tokenizer"))
    what = f"an MLflow model with {inner.flavor} inside"
    if inner.flavor == "onnx":
        return _graph(listing, str(inner.options["file"]), what, encoder)
    return _encoder(inner.flavor, what, encoder, inner.options)


def _name(reference: ModelRef) -> str:
    """A short name for people: the last part of the reference, less alias, version and suffix."""
    parts = re.split(r"[/\\]", re.split(r"[@#?]", reference.rest)[0].strip("/\\"))
    last = parts[0] if reference.scheme == "models" else parts[-1]  # models:/name/3
    return re.sub(r"\.(pkl|pickle|joblib|skops|onnx|keras|h5)$", "", last.split(":")[0]) or "model"
