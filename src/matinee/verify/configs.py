"""`config.json` of the transformers family: no key that makes a library import code, and what it says of the model."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from matinee.core.errors import ModelRejected
from matinee.core.manifest import TextSettings
from matinee.verify.folder import Listing
from matinee.verify.policy import Policy
from matinee.verify.report import Broken, Findings

MAX_CONFIG_BYTES = 1024 * 1024
_MAX_DEPTH = 32

# Keys by which a configuration makes transformers import code or fetch something; CVE-2026-4372 and CVE-2026-5241
# are two of them. They are refused before the library sees the file, whatever their value.
_FORBIDDEN = {
    "auto_map": "names Python code to import",
    "trust_remote_code": "asks to trust code that comes with the model",
    "_attn_implementation_internal": "names a kernel to fetch and run",
    "custom_pipelines": "names Python code to import",
    "base_model_name_or_path": "fetches another model",
}
_ATTENTIONS = {"eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention", None}
# These count positions from the padding token on, so two of them are never a token's.
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "camembert", "longformer", "mpnet", "xlm-roberta-xl", "data2vec-text"}


@dataclass(frozen=True, slots=True)
class Encoder:
    """What a sequence classifier's configuration says: labels in order, window in tokens, how logits become scores.

    `options` is what the manifest has to say about that: sigmoid where a text can have several labels at once.
    """

    labels: tuple[str, ...]
    text: TextSettings
    options: Mapping[str, str] = field(default_factory=dict)


def check_config(listing: Listing, name: str, _: Policy) -> Findings:
    """Reasons not to hand this configuration to a library."""
    try:
        document = _read(listing, name)
    except ModelRejected as rejected:
        return Findings(tuple(reason.removeprefix(f"{name} ") for reason in rejected.reasons))
    reasons = []
    for key, value in walk(document):
        if key in _FORBIDDEN:
            reasons.append(f"has the key {key}, which {_FORBIDDEN[key]}")
        elif key in {"_attn_implementation", "attn_implementation"} and not _known_attention(value):
            reasons.append(f"has the key {key} with a value that names a kernel to fetch")
    return Findings(tuple(sorted(set(reasons))))


def read_encoder(listing: Listing, folder: str = ".", tokenizer: str | None = None) -> Encoder:
    """Labels and window of the sequence classifier in `folder`; raises `ModelRejected` for another kind of model."""
    config = _read(listing, _inside(folder, "config.json"))
    architectures = config.get("architectures") or []
    if architectures and not any("SequenceClassification" in str(name) for name in architectures):
        raise ModelRejected([f"config.json describes {architectures[0]}, which is not a text classifier"])
    limit = _whole(config.get("max_position_embeddings")) or 512
    if config.get("model_type") in _OFFSET_POSITIONS:
        limit -= 2
    settings = _inside(tokenizer or folder, "tokenizer_config.json")
    if settings in listing.files:
        limit = min(limit, _whole(_read(listing, settings).get("model_max_length")) or limit)
    limit = max(limit, 8)
    options = {"scores": "sigmoid"} if config.get("problem_type") == "multi_label_classification" else {}
    return Encoder(_labels(config), TextSettings(max_tokens=limit, overlap=min(64, limit // 8)), options)


def walk(document: object, depth: int = 0) -> Iterator[tuple[str, object]]:
    """Every key with its value, at any depth."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(document, dict):
        for key, value in document.items():
            yield str(key), value
            yield from walk(value, depth + 1)
    elif isinstance(document, list):
        for value in document:
            yield from walk(value, depth + 1)


def parse_object(content: bytes) -> dict[str, Any]:
    """A JSON object of bounded size; raises `Broken`."""
    if len(content) > MAX_CONFIG_BYTES:
        raise Broken(f"is larger than {MAX_CONFIG_BYTES} bytes")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise Broken("is not JSON") from None
    if not isinstance(document, dict):
        raise Broken("is not a JSON object")
    if _depth_exceeds(document, _MAX_DEPTH):
        raise Broken(f"is nested deeper than {_MAX_DEPTH}")
    return cast("dict[str, Any]", document)


def _read(listing: Listing, name: str) -> Mapping[str, Any]:
    if name not in listing.files:
        raise ModelRejected([f"{name} is absent"])
    try:
        with listing.path(name).open("rb") as file:
            return parse_object(file.read(MAX_CONFIG_BYTES + 1))
    except Broken as error:
        raise ModelRejected([f"{name} {error}"]) from None


def _depth_exceeds(document: object, limit: int) -> bool:
    level = [document]
    for _ in range(limit):
        level = [inner for outer in level for inner in _children(outer)]
    return bool(level)


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _known_attention(value: object) -> bool:
    return value is None or (isinstance(value, str) and value in _ATTENTIONS)


def _whole(value: object) -> int:
    """A sensible number of tokens, or 0; tokenizers write 10^30 for "no limit"."""
    return int(value) if isinstance(value, int | float) and 0 < value <= 1_000_000 else 0


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    named = config.get("id2label")
    if isinstance(named, dict) and named:
        try:
            return tuple(str(named[key]) for key in sorted(named, key=int))
        except ValueError:
            raise ModelRejected(["config.json: id2label must map numbers to names"]) from None
    count = _whole(config.get("num_labels")) or 2
    return tuple(f"LABEL_{number}" for number in range(min(count, 10_000)))


def _inside(folder: str, name: str) -> str:
    return name if folder in {"", "."} else f"{folder}/{name}"
