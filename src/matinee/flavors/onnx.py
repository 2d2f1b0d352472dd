"""Flavor `onnx`: a graph and a tokenizer, run by OpenVINO or ONNX Runtime.

The bundle holds `model.onnx` (or what `options.file` names) and `tokenizer.json`. Other flavors that end in such a
graph use `open_graph` too.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from matinee.core.bundle import VerifiedBundle
from matinee.core.errors import ModelRejected
from matinee.core.manifest import Manifest
from matinee.core.prediction import Answer, Capacity, Encoded, FloatArray, Overflow, Row
from matinee.flavors import LoadOptions
from matinee.flavors.calibration import exponent, sharpen, sigmoid, softmax, temperature
from matinee.flavors.runtimes import Plan, Session, open_session
from matinee.flavors.runtimes.plans import compiled_path, plan_for
from matinee.flavors.runtimes.unpadded import Unpadded
from matinee.flavors.selfcheck import answering
from matinee.flavors.tokenization import TokenRow, Tokens, pad
from matinee.flavors.windows import pool

MODEL_NAME = "model.onnx"
TOKENIZER_NAME = "tokenizer.json"
# Runtimes prepare themselves for each new shape: with lengths in steps of 16 there are few of them. Measured with
# OpenVINO: a third less time for a first batch, half the memory after some thousand, and no cost afterwards.
PAD_TO = 16
# A short text with and without much padding: what the two may differ by, relative to the logits. Graphs that look past
# padding stay below 1e-6 in f32, and 0.006 in bf16 and int8 (the bundled encoder); those that do not give 0.2 and more.
_PROBE, _PADDED_TO = "A fine film.", 64
_ROUNDING = {"f32": 1e-3}
_COARSE_ROUNDING = 0.02

_log = logging.getLogger(__name__)


class GraphClassifier:
    """Tokens in windows, run by a session, pooled and calibrated as the manifest says."""

    def __init__(self, manifest: Manifest, tokens: Tokens, session: Session, plan: Plan) -> None:
        self.labels = manifest.labels
        self.capacity = Capacity(
            batch_tokens=plan.batch_tokens,
            parallel_batches=plan.streams,
            pad_to=1
            if manifest.text.max_tokens % PAD_TO
            else PAD_TO,  # a window must not outgrow the model's positions
        )
        self._longest = manifest.text.max_tokens or _PADDED_TO
        self._pooling = manifest.text.pooling
        self._exponent, self._temperature = exponent(manifest.calibration), temperature(manifest.calibration)
        self._how = str(manifest.options.get("scores", "softmax"))
        if self._how == "sigmoid" and self._exponent != 1.0:
            raise ModelRejected(["calibration.exponent is for labels that exclude each other"])
        if self._how == "given" and (self._exponent, self._temperature) != (1.0, 1.0):
            raise ModelRejected(["calibration is for logits, and the graph gives probabilities"])
        self._tokens = tokens
        self._session = session

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:
        """Tokenize and cut into windows; raises `TextTooLong` with `overflow="error"`."""
        return self._tokens.encode(texts, overflow)

    def run(self, rows: Sequence[Row]) -> FloatArray:
        """What the graph gives, float32 [rows, labels]; one output for two labels speaks of the second."""
        logits = self._session.run(*pad(cast("Sequence[TokenRow]", rows), self._tokens.pad_id, self.capacity.pad_to))
        if logits.shape[1:] != (1,) or len(self.labels) != 2:
            return logits
        both = [1 - logits, logits] if self._how == "given" else [logits / -2, logits / 2]
        return np.concatenate(both, axis=1)

    def finish(self, encoded: Encoded, outputs: FloatArray) -> Answer:
        """Pool the windows' outputs ([windows, labels]) and turn them into probabilities, where they are logits."""
        pooled = pool(outputs, encoded.context, self._pooling)
        if self._how == "given":
            return Answer(tuple(pooled.astype(float).tolist()))
        scores = sigmoid if self._how == "sigmoid" else softmax
        return Answer(scores(sharpen(pooled, self._exponent), self._temperature))

    def heed_padding(self, rounding: float) -> bool:
        """Run rows without padding from now on if the graph answers otherwise with it, and say whether it does.

        `rounding` is the difference that the arithmetic itself makes, relative to the largest logit.
        """
        row = cast("TokenRow", self._tokens.encode([_PROBE], "truncate")[0].rows[0])
        bare, padded = (
            self._session.run(*pad([row], self._tokens.pad_id, to)) for to in (1, min(_PADDED_TO, self._longest))
        )
        if np.abs(bare - padded).max() <= rounding * max(1.0, np.abs(bare).max()):
            return False
        self._session = Unpadded(self._session)
        return True

    def close(self) -> None:
        """Close the session."""
        self._session.close()


def load(bundle: VerifiedBundle, options: LoadOptions) -> GraphClassifier:
    """Open the bundle's graph; raises `ModelRejected`."""
    graph = bundle.folder / str(bundle.manifest.options.get("file", MODEL_NAME))
    plan = plan_for(bundle.digest, options)
    compiled = compiled_path(bundle.digest, plan, options.cache_dir)
    classifier = open_graph(graph, bundle.folder / TOKENIZER_NAME, bundle.manifest, plan, compiled)
    with answering():
        unpadded = classifier.heed_padding(_ROUNDING.get(plan.precision, _COARSE_ROUNDING))
    if unpadded:
        _log.info("%s looks at padding: texts of one length run together, without any", graph.name)
    return classifier


def open_graph(graph: Path, tokenizer: Path, manifest: Manifest, plan: Plan, compiled: Path | None) -> GraphClassifier:
    """A classifier from a graph and a tokenizer; `compiled` is where what the runtime makes of the graph is kept."""
    if not graph.is_file():
        raise ModelRejected([f"{graph.name} is missing"])
    tokens = Tokens.load(tokenizer, manifest.text)
    return GraphClassifier(manifest, tokens, open_session(graph, plan, compiled), plan)
