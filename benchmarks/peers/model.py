"""What every peer serves: one ONNX file and its tokenizer, called as the documentation of ONNX Runtime would have it.

MODEL_DIR holds `model.onnx` and `tokenizer.json`; texts are cut after MAX_TOKENS tokens, by every server alike.
"""

import os
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

FOLDER = Path(os.environ["MODEL_DIR"])
MAX_TOKENS = int(os.environ.get("MAX_TOKENS", "256"))
EXPONENT, TEMPERATURE = float(os.environ.get("EXPONENT", "1")), float(os.environ.get("TEMPERATURE", "1"))
THREADS = int(os.environ.get("MODEL_THREADS", "2"))


class Model:
    """Texts to positive-class probabilities; a batch is padded to its longest text."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        self.session = onnxruntime.InferenceSession(FOLDER / "model.onnx", options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.enable_padding()

    def __call__(self, texts: list[str]) -> list[float]:
        encodings = self.tokenizer.encode_batch(texts)
        ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64)
        logits = self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
        logits = logits * np.ptp(logits, axis=1, keepdims=True) ** (EXPONENT - 1) / TEMPERATURE
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return [float(score) for score in (shifted / shifted.sum(axis=1, keepdims=True))[:, 1]]
