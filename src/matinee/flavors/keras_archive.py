"""A `.keras` archive with its text layer taken out: what is left works on numbers, and needs no TensorFlow."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matinee.core.errors import ModelRejected
from matinee.flavors.keras_text import Vectorization

_TEXT_LAYER = "TextVectorization"
_ASSETS = "vocabulary.txt"


@dataclass(frozen=True, slots=True)
class Archive:
    """The configuration of a model, and the text layer inside, where there is one."""

    path: Path
    config: dict[str, Any]
    text_layer: dict[str, Any] | None

    @classmethod
    def read(cls, path: Path) -> "Archive":
        """Read the archive's configuration; raises `ModelRejected`."""
        try:
            with zipfile.ZipFile(path) as archive:
                config = json.loads(archive.read("config.json"))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            raise ModelRejected([f"{path.name} is not a whole .keras archive"]) from None
        found = [layer for layer in _layers(config) if layer.get("class_name") == _TEXT_LAYER]
        if len(found) > 1:
            raise ModelRejected(["the model has more than one TextVectorization layer, and one text is asked about"])
        return cls(path, config, found[0] if found else None)

    def vectorization(self) -> Vectorization | None:
        """What the text layer does, in Python."""
        if self.text_layer is None:
            return None
        config = self.text_layer["config"]
        return Vectorization(config, self._words(config))

    def _words(self, config: dict[str, Any]) -> list[str]:
        """The vocabulary in the order of its numbers: in the configuration, or a file in the archive."""
        special = ["", "[UNK]"] if config["output_mode"] == "int" else ["[UNK]"]
        if config.get("vocabulary"):
            words = [str(word) for word in config["vocabulary"]]
            return words if words[: len(special)] == special else special + words
        with zipfile.ZipFile(self.path) as archive:
            names = [name for name in archive.namelist() if name.endswith(_ASSETS)]
            if not names:
                raise ModelRejected(["the TextVectorization layer has no vocabulary: it was not adapted"])
            return archive.read(min(names, key=len)).decode("utf-8").split("\n")

    def write_rest(self, target: Path) -> None:
        """Write the archive without its text layer: the layer's input takes its place, as numbers."""
        if self.text_layer is None:
            raise ValueError("there is no text layer to take out")
        mode, length = (self.text_layer["config"].get(key) for key in ("output_mode", "output_sequence_length"))
        width = (
            length
            if mode == "int"
            else _bag_size(self.text_layer["config"], len(self._words(self.text_layer["config"])))
        )
        config = _without(
            self.config, self.text_layer["config"]["name"], width, "int64" if mode == "int" else "float32"
        )
        with zipfile.ZipFile(self.path) as archive, zipfile.ZipFile(target, "w") as rest:
            rest.writestr("config.json", json.dumps(config))
            for name in ("metadata.json", "model.weights.h5"):
                rest.writestr(name, archive.read(name))


def _bag_size(config: dict[str, Any], words: int) -> int:
    return int(config["max_tokens"]) if config.get("pad_to_max_tokens") and config.get("max_tokens") else words


def _without(config: dict[str, Any], text_layer: str, width: int | None, dtype: str) -> dict[str, Any]:
    """The configuration of a Sequential or functional model in which the input stands for the text layer's output."""
    result: dict[str, Any] = json.loads(json.dumps(config))
    for key in ("compile_config", "build_config"):
        result.pop(key, None)
    if "build_input_shape" in result["config"]:
        result["config"]["build_input_shape"] = [None, width]
    layers = [layer for layer in result["config"]["layers"] if layer["config"].get("name") != text_layer]
    if len(layers) == len(result["config"]["layers"]):
        raise ModelRejected(["the TextVectorization layer is inside another layer, where it is not read"])
    entry = next((layer for layer in layers if layer["class_name"] == "InputLayer"), None)
    if entry is None:
        entry = {
            "module": "keras.layers",
            "class_name": "InputLayer",
            "config": {"name": "text"},
            "registered_name": None,
        }
        layers.insert(0, entry)
    entry["config"] |= {"batch_shape": [None, width], "dtype": dtype}
    result["config"]["layers"] = layers
    _redirect(result, text_layer, entry["config"]["name"])
    return result


def _redirect(node: Any, old: str, new: str) -> None:
    """Let every tensor that came from layer `old` come from layer `new`."""
    if isinstance(node, dict):
        if isinstance(node.get("keras_history"), list) and node["keras_history"][0] == old:
            node["keras_history"] = [new, 0, 0]
        for inner in node.values():
            _redirect(inner, old, new)
    elif isinstance(node, list):
        for inner in node:
            _redirect(inner, old, new)


def _layers(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "class_name" in node:
            yield node
        for inner in node.values():
            yield from _layers(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _layers(inner)
