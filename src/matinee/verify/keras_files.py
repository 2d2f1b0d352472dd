"""Keras models: layers of Keras itself, none that carries code (Lambda) or reaches out, HDF5 that stays in its file.

Advisories this answers to: CVE-2025-1550, -8747, -9905, -9906, -12058, -12060, CVE-2026-0897, and Keras' fixes of
2026 for external HDF5 links, zip bombs, hard links and TFSMLayer.
"""

import json
from collections.abc import Iterator
from typing import Any

from matinee.verify.archives import check_zip, read_member, zip_names
from matinee.verify.folder import Listing, printable
from matinee.verify.hdf5 import check_hdf5_bytes, read_model_config
from matinee.verify.policy import Policy
from matinee.verify.report import Broken, Findings

_MAX_CONFIG = 16 * 1024 * 1024
_MAX_DEPTH = 64
_MAX_NUMBER = 1 << 31
_CARRIES_CODE = {
    "Lambda", "TFSMLayer", "TorchModuleWrapper", "FlaxLayer", "JaxLayer", "TensorFlowOpLayer", "TFOpLambda",
    "SlicingOpLambda", "function", "__lambda__", "__tensor__", "RandomFourierFeatures", "PyTorchWrapper",
}  # fmt: skip
_MODULES = {
    "keras", "keras.layers", "keras.models", "keras.initializers", "keras.regularizers", "keras.constraints",
    "keras.optimizers", "keras.optimizers.schedules", "keras.losses", "keras.metrics", "keras.activations",
    "keras.dtype_policies", "keras.mixed_precision", "keras.src.models.functional", "keras.src.models.sequential",
    "keras.src.models.model", "keras.src.dtype_policies.dtype_policy", "keras.random", "builtins", None,
}  # fmt: skip
# How a functional model says which layer's output goes into which: shape, type and a name, no code.
_TENSOR = "__keras_tensor__"
# Functions of these modules are plain mathematics, and written in lower case.
_FUNCTION_MODULES = {"keras.activations", "keras.losses", "keras.metrics"}
_FILES = ("vocabulary", "idf_weights", "feature_space", "cropping_dir", "filepath")


def check_keras(listing: Listing, name: str, policy: Policy) -> Findings:
    """Reasons not to load a `.keras` archive."""
    path = listing.path(name)
    reasons = check_zip(path, policy)
    if reasons:
        return Findings(tuple(reasons))
    try:
        reasons += config_problems(_json(read_member(path, "config.json", _MAX_CONFIG)), policy)
        for member in zip_names(path):
            if member.endswith(".h5"):
                content = read_member(path, member, policy.max_unpacked_bytes)
                reasons += check_hdf5_bytes(content, len(content), policy)
    except Broken as broken:
        reasons.append(str(broken))
    return Findings(tuple(dict.fromkeys(reasons)))


def check_hdf5(listing: Listing, name: str, policy: Policy) -> Findings:
    """Reasons not to load an `.h5` file: a whole Keras model, or weights alone."""
    path = listing.path(name)
    reasons = check_hdf5_bytes(path, listing.files[name], policy)
    if not reasons:
        try:
            config = read_model_config(path, _MAX_CONFIG)
            reasons += config_problems(_json(config), policy) if config else []
        except Broken as broken:
            reasons.append(str(broken))
    return Findings(tuple(dict.fromkeys(reasons)))


def config_problems(config: object, policy: Policy) -> list[str]:
    """Every layer, function or file name in a Keras configuration that may not be loaded."""
    reasons = []
    for node in _nodes(config, 0):
        reasons += _class_problems(node, policy) if "class_name" in node else []
        reasons += [f"reads {key} from a file" for key in _FILES if isinstance(node.get(key), str) and node[key]]
        if any(type(value) is int and abs(value) > _MAX_NUMBER for value in _numbers(node)):
            reasons.append("has a layer of an impossible size")
    return reasons


def _class_problems(node: dict[str, Any], policy: Policy) -> list[str]:
    name, module, registered = node.get("class_name"), node.get("module"), node.get("registered_name")
    known = {str(registered), str(name), f"{module}.{name}"}
    if known & policy.keras_names or name == _TENSOR:
        return []
    shown = printable(f"{module}.{name}" if module else f"{name}")
    if name in _CARRIES_CODE:
        return [f"has the layer {shown}, which carries or loads code"]
    custom = isinstance(registered, str) and registered not in {name, f"keras>{name}", ""}
    if not isinstance(name, str) or ">" in name or custom or module not in _MODULES:
        return [f"has the custom object {shown}; a class of your own is named in ALLOW_KERAS_NAMES"]
    if not name[:1].isupper() and module not in _FUNCTION_MODULES:
        return [f"names the function {shown}"]
    return []


def _nodes(value: object, depth: int) -> Iterator[dict[str, Any]]:
    if depth > _MAX_DEPTH:
        raise Broken(f"has a configuration nested deeper than {_MAX_DEPTH}")
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _nodes(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner, depth + 1)


def _numbers(node: dict[str, Any]) -> Iterator[object]:
    """Sizes among others; what Keras calls an object by, an address of long ago, is none."""
    for key, value in node.items():
        if key != "shared_object_id":
            yield from value if isinstance(value, list) else [value]


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise Broken("has a configuration that is not JSON") from None
