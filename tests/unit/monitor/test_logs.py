"""What is logged: lines that a program can read, without texts and without secrets."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from tests.unit.monitor.stage import ONE, TWO, predicted

from matinee.core.events import GateJudged, ModelRefused, ModelSwapped, Polled, RequestFailed
from matinee.monitor import LogOptions, configure_logging
from matinee.monitor.logs import log_events

SECRET = "canary-0123456789"


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """A stream that JSON lines go to; the set-up before is put back afterwards."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    stream = io.StringIO()
    configure_logging(LogOptions(secrets=(SECRET,)), stream)
    yield stream
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


def lines(out: io.StringIO) -> list[dict[str, object]]:
    """Every line, parsed."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_tells_of_swaps_refusals_and_a_registry_that_is_away(out: io.StringIO) -> None:
    """The events that an operator wants to know, with their figures."""
    observe = log_events()
    observe(ModelSwapped(TWO, ONE, "follow"))
    observe(GateJudged(TWO, passed=False, figures={"flip_share": 0.31234567}, reasons=("too many flips",)))
    observe(ModelRefused("films", "v2", "gate", ("too many flips",)))
    observe(Polled("films", "failed", 0.2, 31.0, "away"))
    observe(Polled("films", "same", 0.2, 0.0))
    observe(RequestFailed("films", "model_failed", 500))
    found = lines(out)
    events = [line["event"] for line in found]
    assert events == ["model answers", "gate judged", "model refused", "registry did not answer", "request failed"]
    assert found[0]["previous"] == "v1"
    assert found[1]["figures"] == {"flip_share": 0.3123}
    assert {"level", "timestamp"} <= set(found[0])


def test_one_line_for_each_answer_when_asked_for_and_never_the_text(out: io.StringIO) -> None:
    """The request id is there, what the user wrote is not."""
    log_events()(predicted())
    assert out.getvalue() == ""
    log_events(requests=True)(predicted())
    (line,) = lines(out)
    assert line["request_id"] == "r-1"
    assert line["ms"] == 20.0
    assert "opinion" not in out.getvalue()


def test_hides_secrets_wherever_they_stand_also_in_lines_of_libraries(out: io.StringIO) -> None:
    """In values, in lists, in the text of a library's warning."""
    observe = log_events()
    observe(ModelRefused("films", "v2", "pull", (f"401 for https://x?key={SECRET}",)))
    logging.getLogger("some.library").warning("token %s was refused", SECRET)
    assert SECRET not in out.getvalue()
    assert len(lines(out)) == 2


@pytest.mark.parametrize("style", ["json", "pretty"])
def test_an_exception_is_told_by_its_kind_and_place_only(out: io.StringIO, style: str) -> None:
    """Its message and the variables around it may hold what a user sent, whichever library logs it."""
    configure_logging(LogOptions(style=style, secrets=(SECRET,)), out)
    opinion = "a private opinion"
    try:
        int(f"{opinion} {SECRET}")
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    assert "opinion" not in out.getvalue()
    assert SECRET not in out.getvalue()
    assert "ValueError at test_logs.py:" in out.getvalue()
    assert out.getvalue().count("\n") == 1


@pytest.mark.parametrize("nasty", ["a\r\nb", "a\u2028b", "\x1b[31mred", "\x07\x00", "x" * 1_000_000])
def test_a_line_cannot_be_forged_or_made_long(out: io.StringIO, nasty: str) -> None:
    """Whatever a name contains, an event is one line of JSON, below 16 KiB, without control characters."""
    log_events()(ModelRefused(nasty, nasty, "gate", (nasty,)))
    text = out.getvalue()
    assert text.count("\n") == 1
    assert len(text) < 16_384
    assert not any(ord(character) < 32 or ord(character) > 126 for character in text.rstrip("\n"))
    json.loads(text)


def test_a_thousand_reasons_are_one_line_all_the_same(out: io.StringIO) -> None:
    """A folder can be wrong in every one of its files; how many reasons there were is told."""
    log_events()(ModelRefused("films", "v2", "verify", tuple(f"{number}: {'x' * 900}" for number in range(1000))))
    (line,) = lines(out)
    assert len(out.getvalue()) < 16_384
    assert str(line["reasons"]).endswith("'… and 980 more']")
