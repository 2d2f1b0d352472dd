"""Values of labels: a fixed number of them, each short, whatever a client or a registry calls things."""

MOST_VALUES = 50
LONGEST_VALUE = 64


class Bounded:
    """The first `MOST_VALUES` different values as they are, cut to `LONGEST_VALUE` characters; then `other`."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        value = value[:LONGEST_VALUE]
        if value in self._known:
            return value
        if len(self._known) >= MOST_VALUES:
            return "other"
        self._known.add(value)
        return value
