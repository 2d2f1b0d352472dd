"""`matinee.json`: flavor, labels, text settings, files with digests, calibration, metrics, lineage, examples.

Written by training, read by everything else. Reading collects every problem and raises once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from matinee.core.errors import InvalidManifest
from matinee.core.prediction import OVERFLOWS, Overflow

SCHEMA = 1
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
POOLINGS = ("mean", "weighted", "max", "first")


@dataclass(frozen=True, slots=True)
class TextSettings:
    """How a text becomes rows.

    `max_tokens` is the window in tokens, special ones included (0: no window, the model reads texts of any
    length); `overlap` the tokens that neighbouring windows share; `pooling` how their outputs are put together:
    `mean` or `max` of the outputs, `weighted` by the windows' own tokens, or the `first` alone.
    """

    max_tokens: int = 0
    overflow: Overflow = "window"
    overlap: int = 0
    pooling: str = "mean"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the bundle: size in bytes and SHA-256 in hex."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Example:
    """A short text with the label that the model is known to give, and its scores where they are known."""

    text: str
    label: str
    scores: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle says about itself. `options` belongs to the flavor; `files` maps relative POSIX paths."""

    name: str
    flavor: str
    labels: tuple[str, ...]
    version: str = ""
    text: TextSettings = TextSettings()
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    examples: Sequence[Example] = ()
    inferred: bool = False

    def to_json(self) -> str:
        """The file's content: keys in a fixed order, so that equal manifests are equal bytes."""
        document = {"schema": SCHEMA, **asdict(self)}
        document.pop("inferred")
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, content: str) -> "Manifest":
        """Read `matinee.json`; raises `InvalidManifest` with every problem found."""
        try:
            document = json.loads(content)
        except ValueError:
            raise InvalidManifest(["is not JSON"]) from None
        return _Reader(document).manifest()


class _Reader:
    """Reads one document field by field and remembers what is wrong with it."""

    def __init__(self, document: object) -> None:
        if not isinstance(document, dict):
            raise InvalidManifest(["must be a JSON object"])
        self.document = cast("dict[str, Any]", document)
        self.problems: list[str] = []

    def manifest(self) -> Manifest:
        if self.document.get("schema") != SCHEMA:
            self.problems.append(f"schema must be {SCHEMA}")
        manifest = Manifest(
            name=self._text("name"),
            flavor=self._text("flavor"),
            labels=self._labels(),
            version=str(self.document.get("version", "")),
            text=self._text_settings(),
            files=self._files(),
            calibration=self._object("calibration"),
            options=self._object("options"),
            metrics=self._object("metrics"),
            lineage=self._object("lineage"),
            examples=self._examples(),
        )
        if self.problems:
            raise InvalidManifest(self.problems)
        return manifest

    def _text(self, key: str) -> str:
        value = self.document.get(key)
        if isinstance(value, str) and value:
            return value
        self.problems.append(f"{key} must be a non-empty string")
        return ""

    def _object(self, key: str) -> dict[str, Any]:
        value = self.document.get(key, {})
        if isinstance(value, dict):
            return cast("dict[str, Any]", value)
        self.problems.append(f"{key} must be an object")
        return {}

    def _labels(self) -> tuple[str, ...]:
        value = self.document.get("labels")
        labels = tuple(value) if isinstance(value, list) else ()
        if len(labels) < 2 or len(set(labels)) != len(labels) or not all(isinstance(x, str) and x for x in labels):
            self.problems.append("labels must be a list of at least two different non-empty strings")
            return ()
        return labels

    def _text_settings(self) -> TextSettings:
        value = self._object("text")
        settings = TextSettings(**{k: v for k, v in value.items() if k in TextSettings.__dataclass_fields__})
        for key in ("max_tokens", "overlap"):
            number = getattr(settings, key)
            if type(number) is not int or number < 0:
                self.problems.append(f"text.{key} must be a whole number of tokens, 0 or more")
                return TextSettings()
        if settings.overflow not in OVERFLOWS:
            self.problems.append(f"text.overflow must be one of {', '.join(OVERFLOWS)}")
        if settings.pooling not in POOLINGS:
            self.problems.append(f"text.pooling must be one of {', '.join(POOLINGS)}")
        if settings.max_tokens and settings.overlap >= settings.max_tokens - 2:
            self.problems.append("text.overlap must be smaller than text.max_tokens less the special tokens")
        return settings

    def _files(self) -> dict[str, FileEntry]:
        files: dict[str, FileEntry] = {}
        for name, entry in self._object("files").items():
            size, digest = (entry.get("size"), entry.get("sha256")) if isinstance(entry, dict) else (None, None)
            if type(size) is int and size >= 0 and isinstance(digest, str) and len(digest) == 64:
                files[name] = FileEntry(size, digest)
            else:
                self.problems.append(f"files: {name!r} must have a size in bytes and a sha256 of 64 hex digits")
        return files

    def _examples(self) -> tuple[Example, ...]:
        value = self.document.get("examples", [])
        examples: list[Example] = []
        for position, item in enumerate(value if isinstance(value, list) else [None]):
            if isinstance(item, dict) and isinstance(item.get("text"), str) and isinstance(item.get("label"), str):
                scores = item.get("scores") or ()
                examples.append(Example(item["text"], item["label"], tuple(float(score) for score in scores)))
            else:
                self.problems.append(f"examples: number {position} must be an object with text and label")
        return tuple(examples)
