"""Flavor `tensorflow`: `config.json` with `tf_model.h5`, as `TFDistilBertForSequenceClassification` and others save it.

TensorFlow is not needed: the weights are read with h5py and put into the same graph as those of the flavor
`transformers`.
"""

from matinee.core.bundle import VerifiedBundle
from matinee.core.errors import ModelRejected
from matinee.flavors import LoadOptions, graphs
from matinee.flavors.encoders import load_encoder, read_config
from matinee.flavors.hdf5 import open_weights
from matinee.flavors.onnx import GraphClassifier

WEIGHTS_NAME = "tf_model.h5"


def load(bundle: VerifiedBundle, options: LoadOptions) -> GraphClassifier:
    """Open the checkpoint; raises `ModelRejected`, for architectures whose graph is not known too."""
    config = read_config(bundle.folder)
    if config["model_type"] not in graphs.BUILDERS:
        kind, known = config["model_type"], ", ".join(sorted(graphs.BUILDERS))
        advice = "save it as safetensors, with AutoModelForSequenceClassification.from_pretrained(folder, from_tf=True)"
        raise ModelRejected([f"the TensorFlow weights of a {kind!r} cannot be read (known: {known}): {advice}"])
    weights = bundle.folder / str(bundle.manifest.options.get("file", WEIGHTS_NAME))
    return load_encoder(bundle, options, config, lambda: open_weights(weights), bundle.folder)
