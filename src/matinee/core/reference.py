"""What a person writes to name a model: `wandb:team/project/name:alias`, `models:/name@champion`, `./dir` and so on."""

import re
from dataclasses import dataclass

from matinee.core.errors import InvalidReference

# scheme as written -> name of the source that understands it; anything else before a colon names a plugin
_SCHEMES = {
    "bundled": "bundled",
    "file": "folder",
    "wandb": "wandb",
    "models": "mlflow",
    "runs": "mlflow",
    "hf": "huggingface",
    "s3": "objectstore",
    "gs": "objectstore",
    "az": "objectstore",
    "https": "web",
    "http": "web",
}
_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]{1,31}):(?=.)")
_EXAMPLES = "bundled:imdb-sentiment, ./dir, wandb:team/project/name:alias, models:/name@alias, hf:org/name@revision"


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A parsed reference.

    `source` names the implementation in the table of sources; `scheme` is the word as written (`models`, `s3`,
    or `""` for a bare path); `rest` is what follows the colon, for that source to interpret.
    """

    text: str
    source: str
    scheme: str
    rest: str

    @classmethod
    def parse(cls, text: str) -> "ModelRef":
        """Read a reference as a person writes it; raises `InvalidReference`."""
        text = text.strip()
        if not text or any(ord(character) < 32 for character in text):
            raise InvalidReference(f"a model reference is empty or has control characters; right would be {_EXAMPLES}")
        match = _SCHEME.match(text)
        if match is None:
            return cls(text=text, source="folder", scheme="", rest=text)
        scheme = match.group(1)
        return cls(text=text, source=_SCHEMES.get(scheme, scheme), scheme=scheme, rest=text[match.end() :])

    def __str__(self) -> str:
        return self.text
