"""OpenTelemetry traces, an extra: request → queue → batch → model, made of the events after the answer is out.

The exporter has its own thread and a bounded queue; what finds no room there is dropped. Sampling, headers and
resource attributes are set by the variables of the OpenTelemetry SDK (`OTEL_TRACES_SAMPLER` and so on).
"""

import threading
import time
from typing import Any

from matinee import __version__
from matinee.core.errors import MissingExtra
from matinee.core.events import BatchRun, Event, Predicted
from matinee.core.prediction import ModelIdentity

CLOSE_SECONDS = 1.0
NANOSECONDS = 1_000_000_000


class Traces:
    """Turns answered requests into spans and sends them to the collector at `address` (OTLP over HTTP)."""

    def __init__(self, address: str, exporter: Any = None) -> None:
        try:
            from opentelemetry import trace
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError as error:
            raise MissingExtra("TRACES", "otel") from error
        self._parent = trace.set_span_in_context
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "matinee", "service.version": __version__}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter or _exporter(address)))
        self._tracer = self._provider.get_tracer("matinee")
        self._last_batch: dict[ModelIdentity, tuple[int, BatchRun]] = {}

    def observe(self, event: Event) -> None:
        """Remember a batch; make the spans of a request."""
        now = time.time_ns()
        if isinstance(event, BatchRun):
            self._last_batch[event.model] = (now, event)
            while len(self._last_batch) > 100:
                self._last_batch.pop(next(iter(self._last_batch)))
        elif isinstance(event, Predicted):
            self._request(event, now)

    def _request(self, event: Predicted, ended: int) -> None:
        began = ended - int(event.seconds * NANOSECONDS)
        queued = began + int(event.queue_seconds * NANOSECONDS)
        attributes: dict[str, str | int] = {
            "matinee.model": event.model.name,
            "matinee.version": event.model.version,
            "matinee.digest": event.model.digest,
            "matinee.request_id": event.request_id,
            "matinee.texts": len(event.predictions),
            "matinee.cached": event.cached,
        }
        request = self._tracer.start_span("request", start_time=began, attributes=attributes)
        inside = self._parent(request)
        self._tracer.start_span("queue", inside, start_time=began).end(queued)
        batch = self._tracer.start_span("batch", inside, start_time=queued)
        self._model(event, self._parent(batch), queued, ended)
        batch.end(ended)
        request.end(ended)

    def _model(self, event: Predicted, batch: Any, queued: int, ended: int) -> None:
        """The run of the model: the last one that ended within the request, if there was one."""
        at, run = self._last_batch.get(event.model, (0, None))
        if run is None or not queued <= at <= ended:
            return
        began = max(at - int(run.seconds * NANOSECONDS), queued)
        attributes: dict[str, str | int] = {
            "matinee.rows": run.rows,
            "matinee.tokens": run.tokens,
            "matinee.padded": run.padded_tokens,
        }
        self._tracer.start_span("model", batch, start_time=began, attributes=attributes).end(at)

    def close(self) -> None:
        """Send what is left; blocking, for `CLOSE_SECONDS` at most, which the SDK's own limits do not ensure."""
        closing = threading.Thread(target=self._provider.shutdown, name="matinee-traces", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


def _exporter(address: str) -> Any:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as error:
        raise MissingExtra("TRACES", "otel") from error
    return OTLPSpanExporter(endpoint=address, timeout=5)
