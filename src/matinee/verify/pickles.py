"""May this pickle be loaded: every name in it is on an exact list, and used the way a model uses it."""

from pathlib import Path

from matinee.verify.folder import Listing, printable
from matinee.verify.pickle_machine import follow
from matinee.verify.pickle_names import CALLS, CLASSES, REFERENCES, VALUES
from matinee.verify.pickle_symbols import Made, Name
from matinee.verify.policy import Policy
from matinee.verify.report import Broken, Findings
from matinee.verify.unpacking import Unpacked

_KNOWN = CLASSES | CALLS.keys() | REFERENCES
_MAX_REASONS = 20
_ENOUGH_REASONS = 1_000  # then the rest of the file is not read: a hostile one could give millions
_ADVICE = {
    "scipy.stats.": "a distribution runs text of the file as code when it is read: save the search's best_estimator_",
    "numpy.random.": "save the model with a number, or nothing, as its random_state",
    "__main__.": "the notebook or script that saved the file defined it: do without it, or serve the model by a class "
    "of your own, with MODEL_LOADER",
    "builtins.getattr": "if a method such as str.lower was saved, leave it out: lowercase does the same",
    "sklearn.": "if you trust who made the file, put the name into ALLOW_PICKLE_NAMES",
}


def check_pickle(listing: Listing, name: str, policy: Policy) -> Findings:
    """Every forbidden name and use at once; the names of a harmless pickle, for the loader to keep to."""
    return scan(listing.path(name), policy)


def scan(path: Path, policy: Policy) -> Findings:
    """The same for a path."""
    judge = _Judge(policy.pickle_names)
    try:
        with Unpacked(path, policy.max_unpacked_bytes) as stream:
            follow(stream, judge)
            if stream.trailing():
                judge.reasons["goes on behind its end: a second pickle or other bytes follow"] = None
    except Broken as broken:
        judge.reasons[str(broken)] = None
    reasons = list(judge.reasons)
    if len(reasons) > _MAX_REASONS:
        reasons[_MAX_REASONS:] = [f"and {len(reasons) - _MAX_REASONS} more of the kind"]
    return Findings(reasons=tuple(reasons), names=frozenset(judge.names))


class _Judge:
    """Holds a pickle to the lists; collects reasons and names."""

    def __init__(self, extra: frozenset[str]) -> None:
        self._extra = extra
        self.reasons: dict[str, None] = {}  # in the order in which they were found, each once
        self.names: set[str] = set()

    def refer(self, name: Name) -> None:
        dotted = name.dotted
        self.names.add(dotted)
        if dotted not in _KNOWN and dotted not in self._extra:
            self._refuse(f"refers to {printable(dotted)}, which is not on the list of allowed names{advice(dotted)}")

    def call(self, made: Made) -> bool:
        dotted = made.name.dotted
        if dotted in self._extra or dotted not in _KNOWN:
            return False  # allowed by the operator, or refused already
        fits = CALLS[dotted](made) if dotted in CALLS else _is_new(made)
        if not fits:
            self._refuse(f"would call {dotted} in a way that no model needs")
        return dotted in VALUES

    def hash(self, key: object) -> None:
        if isinstance(key, Made) or (isinstance(key, tuple) and any(isinstance(part, tuple | Made) for part in key)):
            self._refuse("uses an object as a key")

    def _refuse(self, reason: str) -> None:
        self.reasons[reason] = None
        if len(self.reasons) >= _ENOUGH_REASONS:
            raise Broken("is not read further")


def advice(dotted: str) -> str:
    """What somebody who is refused for this name can do about it, in parentheses, or nothing."""
    return next((f" ({words})" for start, words in _ADVICE.items() if dotted.startswith(start)), "")


def _is_new(made: Made) -> bool:
    """An object of a listed class comes to life empty, and gets its attributes afterwards."""
    return made.name.dotted in CLASSES and made.how == "NEWOBJ" and made.arguments == ()
