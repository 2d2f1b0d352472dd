"""Flavor `transformers`: `config.json` and safetensors, as `save_pretrained` writes them.

The encoder families of `graphs.BUILDERS` are turned into a graph without PyTorch. Others, and rare variants of these,
are run by PyTorch and `transformers` themselves where they are installed (extra `transformers`).
"""

from pathlib import Path
from typing import Any

import numpy as np

from matinee.core.bundle import VerifiedBundle
from matinee.core.errors import MissingExtra, ModelRejected
from matinee.core.prediction import FloatArray
from matinee.flavors import LoadOptions, graphs
from matinee.flavors.encoders import Config, complete_manifest, load_encoder, read_config
from matinee.flavors.graphs.safetensors import open_folder
from matinee.flavors.onnx import GraphClassifier
from matinee.flavors.runtimes.plans import plan_for
from matinee.flavors.runtimes.unpadded import Unpadded
from matinee.flavors.tokenization import Ids, Tokens
from matinee.flavors.vocabulary import find_tokenizer


def load(bundle: VerifiedBundle, options: LoadOptions) -> GraphClassifier:
    """Open the checkpoint in the bundle, or in its folder `options.folder`, with the tokenizer in `options.tokenizer`.

    Raises `ModelRejected`, and `MissingExtra` when only PyTorch knows the architecture and it is not installed.
    """
    folder = bundle.folder / str(bundle.manifest.options.get("folder", ""))
    tokenizer = bundle.folder / str(bundle.manifest.options.get("tokenizer", bundle.manifest.options.get("folder", "")))
    config = read_config(folder)
    if config["model_type"] in graphs.BUILDERS:
        try:
            return load_encoder(bundle, options, config, lambda: open_folder(folder), tokenizer)
        except graphs.NeedsPyTorch:
            pass
    return _load_torch(bundle, options, config, folder, tokenizer)


class TorchSession:
    """A model of the `transformers` library, run by PyTorch in float32."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def run(self, ids: Ids, mask: Ids) -> FloatArray:
        """Logits, float32 [rows, labels]."""
        import torch

        with torch.inference_mode():
            output = self._model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))
        return np.asarray(output.logits.float().numpy(), dtype=np.float32)

    def close(self) -> None:
        """Forget the model."""
        self._model = None


def _load_torch(
    bundle: VerifiedBundle, options: LoadOptions, config: Config, folder: Path, tokenizer: Path
) -> GraphClassifier:
    try:
        import torch
        from transformers import AutoModelForSequenceClassification
    except ModuleNotFoundError as error:
        raise MissingExtra(f"a model of type {config['model_type']!r} (this variant of it)", "transformers") from error
    try:
        model, found = AutoModelForSequenceClassification.from_pretrained(
            str(folder),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, TypeError, RuntimeError, KeyError, ImportError) as error:
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise ModelRejected([f"transformers cannot load the model ({reason})"]) from None
    if missing := sorted(found["missing_keys"]):
        # The library would make them up, anew at each start.
        raise ModelRejected(
            [f"the weights have no tensor {name!r}, which this architecture needs" for name in missing[:5]]
        )
    manifest = complete_manifest(bundle.manifest, config)
    tokens = Tokens(find_tokenizer(tokenizer, config), manifest.text)
    return GraphClassifier(manifest, tokens, Unpadded(TorchSession(model.eval())), plan_for(bundle.digest, options))


def _first_line(error: Exception) -> str:
    """What the library says first, without paths."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line[:200] for line in lines if "/" not in line), "no reason given")
