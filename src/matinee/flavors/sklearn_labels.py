"""Names for a scikit-learn model's classes: its own where they are words, the operator's where they are numbers."""

from collections.abc import Sequence

from matinee.core.errors import ModelRejected

# scikit-learn's own words: of two classes, the second is "the positive class" that `predict_proba` speaks of.
_BINARY = ("negative", "positive")


def name_classes(classes: Sequence[str], given: tuple[str, ...], *, numeric: bool) -> tuple[tuple[str, ...], str]:
    """Label names in the order of the outputs, and a note where they were made up; raises `ModelRejected`."""
    if given:
        if len(given) != len(classes):
            raise ModelRejected(
                [f"the model has {len(classes)} classes, and LABELS or the manifest names {len(given)}"]
            )
        return given, ""
    if not numeric:
        return tuple(classes), ""
    names = _BINARY if len(classes) == 2 else tuple(classes)
    shown = ", ".join(f"{one} is {name}" for one, name in zip(classes, names, strict=True))
    return names, f"the model's classes are numbers, so {shown}; set LABELS for other names"
