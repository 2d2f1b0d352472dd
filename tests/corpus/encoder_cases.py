"""Hostile configurations and weights of encoders."""

import struct
from typing import Any

from tests.corpus.files import Files, to_json, to_zip
from tests.corpus.pickled import harm, joblib_bytes


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with this header."""
    content = header if isinstance(header, bytes) else to_json(header)
    return struct.pack("<Q", len(content) if length is None else length) + content + data


def _tensor(begin: int, end: int, count: int | None = None) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [(end - begin) // 4 if count is None else count], "data_offsets": [begin, end]}


CONFIG = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "max_position_embeddings": 64,
    "id2label": {"0": "negative", "1": "positive"},
}
_WEIGHTS = safetensors({"a": _tensor(0, 8)}, bytes(8))


def _configured(**extra: Any) -> Files:
    return {"config.json": to_json(CONFIG | extra), "model.safetensors": _WEIGHTS}


def _weights(content: bytes) -> Files:
    return {"config.json": to_json(CONFIG), "model.safetensors": content}


def transformers_cases() -> dict[str, Files]:
    """Configurations that import or fetch, and safetensors that lie."""
    deep: Any = {}
    for _ in range(60):
        deep = {"a": deep}
    auto_map = {"AutoModelForSequenceClassification": "modeling_evil.Evil"}
    entry, negative = to_json(_tensor(0, 8)), {"dtype": "F32", "shape": [-2], "data_offsets": [8, 0]}
    return {
        "config-auto-map": _configured(auto_map=auto_map),
        "config-trust-remote-code": _configured(trust_remote_code=True),
        "config-attn-internal": _configured(_attn_implementation_internal="evil/kernels"),
        "config-attn-kernel": _configured(_attn_implementation="evil/kernels"),
        "config-nested-auto-map": _configured(text_config={"auto_map": auto_map}),
        "config-deep": _configured(nested=deep),
        "config-not-a-classifier": _configured(architectures=["GPT2LMHeadModel"]),
        "tokenizer-auto-map": _configured() | {"tokenizer_config.json": to_json({"auto_map": auto_map})},
        "adapter": _configured() | {"adapter_config.json": to_json({"base_model_name_or_path": "evil/base"})},
        "torch-bin": {"config.json": to_json(CONFIG), "pytorch_model.bin": joblib_bytes(harm())},
        "torch-pt": {"config.json": to_json(CONFIG), "model.pt": to_zip({"archive/data.pkl": joblib_bytes(harm())})},
        "safetensors-length": _weights(safetensors({}, length=1 << 63)),
        "safetensors-gigantic-header": _weights(safetensors(b"{" + b" " * 1_100_000 + b"}")),
        "safetensors-overlap": _weights(safetensors({"a": _tensor(0, 8), "b": _tensor(4, 12)}, bytes(12))),
        "safetensors-hole": _weights(safetensors({"a": _tensor(0, 4), "b": _tensor(8, 12)}, bytes(12))),
        "safetensors-short": _weights(safetensors({"a": _tensor(0, 400)}, bytes(8))),
        "safetensors-shape": _weights(safetensors({"a": _tensor(0, 8, count=1 << 40)}, bytes(8))),
        "safetensors-duplicates": _weights(safetensors(b'{"a":' + entry + b',"a":' + entry + b"}", bytes(8))),
        "safetensors-negative": _weights(safetensors({"a": negative}, bytes(8))),
    }  # fmt: skip
