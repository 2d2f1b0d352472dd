"""Spans of a request: what waited, what ran, and how they hang together."""

import threading
import time
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from tests.unit.monitor.stage import ONE, predicted

from matinee.core.events import BatchRun
from matinee.monitor.traces import Traces


class Kept(SpanExporter):
    """Keeps the spans."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep them."""
        self.spans += spans
        return SpanExportResult.SUCCESS


def test_a_request_holds_its_queue_and_its_batch_and_that_the_model() -> None:
    """Four spans with the parents, times and attributes that they should have; no text anywhere."""
    kept = Kept()
    traces = Traces("", kept)
    time.sleep(0.03)
    traces.observe(BatchRun(ONE, rows=3, tokens=250, padded_tokens=300, seconds=0.01))
    traces.observe(predicted())
    traces.close()
    spans = {span.name: span for span in kept.spans}
    assert set(spans) == {"request", "queue", "batch", "model"}
    parents = {name: span.parent.span_id if span.parent else None for name, span in spans.items()}
    ids = {span.context.span_id: name for name, span in spans.items() if span.context}
    found = {name: ids[parent] if parent else None for name, parent in parents.items()}
    assert found == {"request": None, "queue": "request", "batch": "request", "model": "batch"}
    milliseconds = {name: round(((span.end_time or 0) - (span.start_time or 0)) / 1e6) for name, span in spans.items()}
    assert milliseconds["request"] == 20
    assert milliseconds["queue"] == 5
    assert milliseconds["batch"] == 15
    assert dict(spans["model"].attributes or {}) == {
        "matinee.rows": 3,
        "matinee.tokens": 250,
        "matinee.padded": 300,
    }
    assert (spans["request"].attributes or {})["matinee.request_id"] == "r-1"
    assert not any("opinion" in span.to_json() for span in kept.spans)


class Hanging(SpanExporter):
    """A collector that takes what comes and never answers, until it is released."""

    def __init__(self) -> None:
        self.reached, self.release, self.answered = threading.Event(), threading.Event(), False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Wait."""
        self.reached.set()
        self.release.wait(60)
        self.answered = True
        return SpanExportResult.FAILURE


def test_a_collector_that_hangs_does_not_hold_up_the_end_of_the_server() -> None:
    """The server would be ended by its last timer, with exit status 1."""
    hanging = Hanging()
    traces = Traces("", hanging)
    traces.observe(predicted())
    traces.close()
    assert hanging.reached.is_set()
    assert not hanging.answered
    hanging.release.set()


def test_an_answer_from_the_cache_has_no_run_of_the_model() -> None:
    """A batch that ended before the request began is not its batch."""
    kept = Kept()
    traces = Traces("", kept)
    traces.observe(BatchRun(ONE, rows=3, tokens=250, padded_tokens=300, seconds=0.01))
    time.sleep(0.03)
    traces.observe(predicted()._replace(cached=1))
    traces.close()
    assert "model" not in {span.name for span in kept.spans}
