"""From an encoder's checkpoint to a classifier, whatever framework saved it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from matinee.core.bundle import VerifiedBundle
from matinee.core.errors import ModelRejected
from matinee.core.manifest import Manifest
from matinee.flavors import LoadOptions, graphs
from matinee.flavors.exported import exported
from matinee.flavors.onnx import TOKENIZER_NAME, GraphClassifier, open_graph
from matinee.flavors.runtimes.plans import compiled_path, plan_for
from matinee.flavors.vocabulary import find_tokenizer

Config = Mapping[str, Any]
OpenTensors = Callable[[], Mapping[str, NDArray[Any]]]

# These count positions from the number after the padding token's.
_OFFSET = ("roberta", "xlm-roberta", "camembert")
_COUNTS = (
    "num_attention_heads", "n_heads", "num_hidden_layers", "n_layers", "hidden_size", "dim", "intermediate_size",
    "hidden_dim", "embedding_size", "global_attn_every_n_layers",
)  # fmt: skip


def read_config(folder: Path) -> Config:
    """`config.json`; raises `ModelRejected` when it is absent or describes no classifier."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise ModelRejected(["config.json is absent or no JSON"]) from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ModelRejected(["config.json has no model_type"])
    architectures = config.get("architectures") or []
    if architectures and not any("SequenceClassification" in str(name) for name in architectures):
        raise ModelRejected([f"config.json describes {architectures[0]}, which is not a sequence classifier"])
    if config.get("problem_type") == "regression" or labels_of(config) == 1:
        raise ModelRejected(["config.json describes a regression (one number, no labels), which is not served"])
    return config


def check_counts(config: Config) -> None:
    """Raise `ModelRejected` for sizes that are none: 2.5 heads would be rounded somewhere, and answer wrongly."""
    wrong = [name for name in _COUNTS if name in config and not (type(config[name]) is int and config[name] > 0)]
    if wrong:
        raise ModelRejected([f"config.json: {name} must be a whole number from 1 on" for name in wrong])


def labels_of(config: Config) -> int:
    """How many labels the configuration names; two where it is silent, as in `transformers`."""
    return len(config["id2label"]) if config.get("id2label") else int(config.get("num_labels", 2))


def complete_manifest(manifest: Manifest, config: Config) -> Manifest:
    """The manifest with what only the configuration knows: the longest window, and sigmoid for many labels at once."""
    if len(manifest.labels) != labels_of(config):
        raise ModelRejected(
            [f"the model has {labels_of(config)} outputs, and there are {len(manifest.labels)} labels: set LABELS"]
        )
    limit = int(config.get("max_position_embeddings") or 512)
    if config["model_type"] in _OFFSET:
        padding = config.get("pad_token_id", 1)
        if type(padding) is not int:
            raise ModelRejected(["config.json: pad_token_id must be a whole number, positions are counted from it"])
        limit -= padding + 1
    tokens = min(manifest.text.max_tokens or limit, limit)
    options = dict(manifest.options)
    if config.get("problem_type") == "multi_label_classification":
        options["scores"] = "sigmoid"
    return replace(manifest, text=replace(manifest.text, max_tokens=tokens), options=options)


def load_encoder(
    bundle: VerifiedBundle, options: LoadOptions, config: Config, open_tensors: OpenTensors, folder: Path
) -> GraphClassifier:
    """Export the graph, or take it from the cache, and open it; raises `ModelRejected`.

    `open_tensors` gives the checkpoint under PyTorch's names, `folder` holds the tokenizer's files.
    """
    check_counts(config)
    manifest = complete_manifest(bundle.manifest, config)
    plan = plan_for(bundle.digest, options, int8=False)
    int8 = plan.precision == "int8"

    def make(into: Path) -> None:
        find_tokenizer(folder, config).save(str(into / TOKENIZER_NAME))
        try:
            graphs.export(config, open_tensors(), into, int8=int8)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            kind = type(error).__name__
            raise ModelRejected([f"config.json and the weights do not make an encoder ({kind}: {error})"]) from error

    key = f"{bundle.digest} graph {graphs.VERSION}{' int8' * int8}"
    compiled = compiled_path(key, plan, options.cache_dir)
    with exported(key, options.cache_dir, make) as made:
        return open_graph(made / graphs.MODEL_NAME, made / TOKENIZER_NAME, manifest, plan, compiled)
