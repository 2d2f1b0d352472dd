"""Events reach every listener, in order."""

from matinee.core.events import Event, RequestFailed, fan_out


def test_fan_out_tells_everybody_in_order() -> None:
    """Each observer hears each event once."""
    heard: list[tuple[str, Event]] = []
    observe = fan_out(lambda event: heard.append(("first", event)), lambda event: heard.append(("second", event)))
    event = RequestFailed("sentiment", "overloaded", 429)
    observe(event)
    assert heard == [("first", event), ("second", event)]
