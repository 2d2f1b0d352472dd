"""Events reach every listener, in order, and tell no text to those who only show them."""

from matinee.core.events import Event, Predicted, RequestFailed, fan_out
from matinee.core.prediction import ModelIdentity, Prediction


def test_fan_out_tells_everybody_in_order() -> None:
    """Each observer hears each event once."""
    heard: list[tuple[str, Event]] = []
    observe = fan_out(lambda event: heard.append(("first", event)), lambda event: heard.append(("second", event)))
    event = RequestFailed("sentiment", "overloaded", 429)
    observe(event)
    assert heard == [("first", event), ("second", event)]


def test_an_event_shown_in_a_log_or_an_error_tells_no_text() -> None:
    """Texts are for observers that were allowed to record them."""
    model = ModelIdentity("films", "3", "sha256:1", "folder")
    event = Predicted(model, (Prediction("yes", {"no": 0.1, "yes": 0.9}, 2, 1, False),), 0.1, 0.0, texts=("a secret",))
    assert "secret" not in f"{event} {event!r}"
    assert "films 3" in repr(event)
