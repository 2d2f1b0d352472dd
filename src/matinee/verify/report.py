"""The table of checks: what was looked at, and what came of it."""

from dataclasses import dataclass
from typing import Literal

from matinee.core.manifest import Manifest

Outcome = Literal["ok", "note", "refused"]


class Broken(ValueError):
    """A file that is not what it has to be; the message finishes the sentence "the file …"."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line: a `note` does not keep a model from being served, `refused` does."""

    subject: str
    what: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one bundle; `manifest` is what would be loaded, or None where that cannot be told."""

    checks: tuple[Check, ...]
    manifest: Manifest | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every reason not to load it, as sentences that name the file or the setting."""
        return tuple(f"{check.subject}: {check.detail}" for check in self.checks if check.outcome == "refused")

    @property
    def passed(self) -> bool:
        """Whether it may be loaded."""
        return self.manifest is not None and not self.reasons


@dataclass(frozen=True, slots=True)
class Findings:
    """What one look at one file brought: reasons to refuse it, notes, and the names that its pickle refers to."""

    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
