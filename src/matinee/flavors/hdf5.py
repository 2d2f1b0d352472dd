"""Weights of the `transformers` library's TensorFlow classes (`tf_model.h5`), under PyTorch's names.

Keras writes each weight below its layer's group, by the path of its variable:
`distilbert/tf_distil_bert_for_sequence_classification/distilbert/transformer/layer_._0/ffn/lin1/kernel:0`.
The rules are those of `transformers.modeling_tf_pytorch_utils.convert_tf_weight_name_to_pt_weight_name`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matinee.core.errors import MissingExtra, ModelRejected

_PARTS = {"kernel": "weight", "embeddings": "weight", "gamma": "weight", "beta": "bias"}


class TensorFlowWeights(Mapping[str, NDArray[Any]]):
    """The arrays of one file; matrices are in PyTorch's order, [out, in]."""

    def __init__(self, arrays: Mapping[str, tuple[NDArray[Any], bool]]) -> None:
        self._arrays = arrays

    def __getitem__(self, name: str) -> NDArray[Any]:
        array, turned = self._arrays[name]
        return array.T if turned else array

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def open_weights(path: Path) -> TensorFlowWeights:
    """Read every weight of `tf_model.h5`; raises `ModelRejected`, and `MissingExtra` without h5py."""
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise MissingExtra("reading tf_model.h5", "tensorflow") from error
    arrays: dict[str, tuple[NDArray[Any], bool]] = {}
    try:
        with h5py.File(path, "r") as file:
            for layer in file.attrs["layer_names"]:
                group = file[_text(layer)]
                for name in group.attrs["weight_names"]:
                    arrays[torch_name(_text(name))] = (np.asarray(group[_text(name)]), _is_matrix(_text(name)))
    except (OSError, KeyError, RuntimeError, ValueError):
        raise ModelRejected([f"{path.name} is not a file of weights as Keras writes it"]) from None
    return TensorFlowWeights(arrays)


def torch_name(name: str) -> str:
    """`model/a/layer_._0/lin/kernel:0` to `a.layer.0.lin.weight`."""
    parts = name.partition(":")[0].replace("_._", "/").split("/")[1:]
    return ".".join([*parts[:-1], _PARTS.get(parts[-1], parts[-1])])


def _is_matrix(name: str) -> bool:
    return name.partition(":")[0].endswith("/kernel")


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
