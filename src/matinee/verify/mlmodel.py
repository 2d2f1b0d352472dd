"""`MLmodel`, the description at the top of an MLflow model: what is inside, read without MLflow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from matinee.core.errors import MissingExtra, ModelRejected
from matinee.verify.folder import Listing
from matinee.verify.policy import Policy
from matinee.verify.report import Broken, Findings

_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Inner:
    """The flavor inside, with the options that tell its loader where its files are (relative to the bundle)."""

    flavor: str
    options: Mapping[str, Any] = field(default_factory=dict)


def check_mlmodel(listing: Listing, name: str, _: Policy) -> Findings:
    """Reasons not to trust the description."""
    try:
        _read(listing, name)
    except Broken as error:
        return Findings((str(error),))
    return Findings()


def unwrap(listing: Listing, policy: Policy) -> Inner:
    """What to load; raises `ModelRejected` when only `python_function` is inside and the policy forbids it."""
    try:
        flavors = _read(listing, "MLmodel").get("flavors")
    except Broken as error:
        raise ModelRejected([f"MLmodel {error}"]) from None
    if not isinstance(flavors, dict):
        raise ModelRejected(["MLmodel names no flavors"])
    for flavor, read in _READERS.items():
        if isinstance(flavors.get(flavor), dict) and policy.flavor != "mlflow":
            return read(listing, flavors[flavor])
    if "python_function" in flavors and policy.allow_python_function:
        return Inner("mlflow")
    held = ", ".join(sorted(str(flavor) for flavor in flavors))
    raise ModelRejected(
        [f"the MLflow model holds {held}: a python_function runs its own code, and ALLOW_PYTHON_FUNCTION is not set"]
    )


def _read(listing: Listing, name: str) -> Mapping[str, Any]:
    """The description; aliases are refused, since a few lines of them can unfold to gigabytes."""
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtra("reading an MLmodel file", "mlflow") from error
    if listing.files[name] > _MAX_BYTES:
        raise Broken(f"is larger than {_MAX_BYTES} bytes")
    try:
        content = listing.path(name).read_bytes()
        plain = not any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(content, Loader=yaml.SafeLoader))
        document = yaml.safe_load(content) if plain else None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise Broken("is not plain YAML without tags") from None
    if not isinstance(document, dict):
        raise Broken("is not a YAML object, or has aliases")
    return document


def _sklearn(listing: Listing, about: Mapping[str, Any]) -> Inner:
    return Inner("sklearn", {"file": _file(listing, about.get("pickled_model", "model.pkl"))})


def _onnx(listing: Listing, about: Mapping[str, Any]) -> Inner:
    return Inner("onnx", {"file": _file(listing, about.get("data", "model.onnx"))})


def _keras(listing: Listing, about: Mapping[str, Any]) -> Inner:
    data = str(about.get("data", "data"))
    names = ("model.keras", "model.h5", "model/saved_model.pb")
    for name in (f"{data}/{name}" for name in names):
        if name in listing.files:
            return Inner("keras", {"file": name.removesuffix("/saved_model.pb")})
    raise ModelRejected([f"MLmodel says that Keras' files are in {data}, and none was recognized there"])


def _transformers(listing: Listing, about: Mapping[str, Any]) -> Inner:
    folder = str(about.get("model_binary", "model"))
    _file(listing, f"{folder}/config.json")
    for tokenizer in ("components/tokenizer", folder):
        if f"{tokenizer}/tokenizer_config.json" in listing.files or f"{tokenizer}/tokenizer.json" in listing.files:
            return Inner("transformers", {"folder": folder, "tokenizer": tokenizer})
    raise ModelRejected(["the MLflow model holds no tokenizer"])


def _file(listing: Listing, name: object) -> str:
    """A file of the bundle, as MLmodel names it; nothing outside of it is in the listing."""
    plain = str(PurePosixPath(str(name)))
    if plain not in listing.files:
        raise ModelRejected([f"MLmodel names {plain[:120]!r}, which is not a file of the bundle"])
    return plain


_READERS: dict[str, Callable[[Listing, Mapping[str, Any]], Inner]] = {
    "sklearn": _sklearn,
    "transformers": _transformers,
    "keras": _keras,
    "tensorflow": _keras,
    "onnx": _onnx,
}
