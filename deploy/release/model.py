"""From what a person follows (an alias) to what a revision is given (a version that cannot move)."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from deploy.release.errors import ReleaseError

_REGISTRIES = ("wandb:", "models:/", "runs:/", "hf:", "s3://", "gs://", "az://", "https://", "http://")


@dataclass(frozen=True, slots=True)
class Pinned:
    """`reference` means the same for ever, `version` is what answers must name (empty: not checked)."""

    reference: str
    version: str = ""
    digest: str = ""
    follows: str = ""

    @property
    def key(self) -> str:
        """Names content: the same alias version with other bytes has another key."""
        return f"{self.reference} {self.digest}".strip()


Resolve = Callable[[str], Pinned]


def resolve(reference: str) -> Pinned:
    """Ask the registry what the reference means now; raises `ReleaseError` with its answer."""
    if not reference.startswith(_REGISTRIES):  # part of the image
        return Pinned(reference, follows=reference)
    try:
        from matinee.core.errors import MatineeError
        from matinee.core.reference import ModelRef
        from matinee.sources import SourceOptions, Sources
    except ImportError:
        raise ReleaseError("to look up a model in a registry, install matinee with the registry's extra") from None
    try:
        revision = Sources(SourceOptions()).resolve(ModelRef.parse(reference))
    except MatineeError as error:
        raise ReleaseError(error.message) from None
    return Pinned(pin(reference, revision.version), revision.version, revision.digest, reference)


def pin(reference: str, version: str) -> str:
    """The reference with its alias replaced by the version, where the registry has a way to write that."""
    if reference.startswith("wandb:"):
        name = reference.removeprefix("wandb:").partition(":")[0]
        return f"wandb:{name}:{version}"
    if reference.startswith("models:/"):
        name = re.split(r"[@/]", reference.removeprefix("models:/"), maxsplit=1)[0]
        return f"models:/{name}/{version}"
    if reference.startswith("hf:"):
        return f"{reference.partition('@')[0]}@{version}"
    return reference
