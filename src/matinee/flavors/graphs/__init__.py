"""From the tensors of a checkpoint to a graph that the runtimes read: which operations is this model?

`export` writes `model.onnx` and its weights for the encoder families in `BUILDERS`, with NumPy alone: neither PyTorch
nor TensorFlow is needed. Inputs are `input_ids` and `attention_mask`, int64 [batch, seq], the output is `logits`,
float32 [batch, labels].
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from matinee.core.errors import ModelRejected
from matinee.flavors.graphs import deberta, modernbert, postnorm
from matinee.flavors.graphs.blocks import Blocks, NeedsPyTorch
from matinee.flavors.graphs.graph import MODEL_NAME, Graph

Builder = Callable[[Blocks, Mapping[str, Any], str, str], str]

BUILDERS: Mapping[str, Builder] = {
    **dict.fromkeys(postnorm.FAMILIES, postnorm.build),
    "deberta": deberta.build,
    "deberta-v2": deberta.build,
    "modernbert": modernbert.build,
}

# Names the layout of the graphs: a cached one of another version is not read.
VERSION = 1


def export(config: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], folder: Path, *, int8: bool = False) -> Path:
    """Write the graph of a sequence classifier into `folder` and return the path of `model.onnx`.

    `config` is `config.json` with a `model_type` of `BUILDERS`, `tensors` the checkpoint under PyTorch's names.
    With `int8`, linear maps keep 8-bit weights. Raises `ModelRejected` when a tensor or a number is missing, and
    `NeedsPyTorch` for a variant that only the real library knows.
    """
    with Graph(folder, int8=int8) as graph:
        ids, mask = (graph.input(name, ("batch", "seq")) for name in ("input_ids", "attention_mask"))
        try:
            logits = BUILDERS[config["model_type"]](Blocks(graph, tensors), config, ids, mask)
        except KeyError as error:
            raise ModelRejected(
                [f"config.json: there is no {error.args[0]!r}, which this architecture needs"]
            ) from None
        return graph.save(logits, "logits", ("batch", "labels"))


__all__ = ["BUILDERS", "MODEL_NAME", "VERSION", "NeedsPyTorch", "export"]
