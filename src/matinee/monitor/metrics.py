"""Prometheus metrics. Every name and label set is in this file, and in `docs/reference/metrics.md`.

The number of series is bounded: labels and error codes beyond `MOST_VALUES` count as `other`, and the series of a
version go when the version is closed. With several worker processes (the environment variable
`PROMETHEUS_MULTIPROC_DIR` names a folder that they share) the figures of all of them add up at every `/metrics`.
"""

import os
import platform
from collections import Counter as Tally
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from matinee import __version__
from matinee.core.events import (
    BatchRun,
    Event,
    GateJudged,
    ModelClosed,
    ModelOpened,
    ModelRefused,
    ModelSwapped,
    Polled,
    Predicted,
    RequestFailed,
)
from matinee.core.prediction import ModelIdentity, Prediction
from matinee.monitor.bounded import LONGEST_VALUE, MOST_VALUES, Bounded
from matinee.monitor.quick import QuickHistogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LONG_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
TOKENS = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
CONFIDENCE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
VERSION = ("model", "version")
MOST_WAITING = 64  # requests that are counted together


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read from a deployment when somebody looks, instead of being counted as it happens."""

    queued: int
    ready: bool
    stale: bool
    stale_seconds: float


class Metrics:
    """Counts what the events say; `observe` is called on the event loop, about once per request and per batch."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._readers: dict[str, Callable[[], Reading]] = {}
        self._versions: dict[ModelIdentity, VersionSeries] = {}
        self._answering: dict[str, ModelIdentity] = {}
        self._read_again: dict[str, float] = {}
        self._codes, self._names = Bounded(), Bounded()
        self._define_requests()
        self._define_batches()
        self._define_rollout()
        self._handlers: Mapping[type[Any], Callable[[Any], None]] = {
            Predicted: self._predicted,
            BatchRun: self._batch_run,
            RequestFailed: self._request_failed,
            ModelOpened: lambda event: self._opening.labels(self._names(event.model.name)).observe(event.seconds),
            ModelSwapped: self._swapped,
            ModelRefused: lambda event: self._refusals.labels(self._names(event.name), event.stage).inc(),
            GateJudged: self._judged,
            ModelClosed: self._closed,
            Polled: self._polled,
        }

    # --- the names ------------------------------------------------------------------------------------------

    def _define_requests(self) -> None:
        self.requests = self._counter("requests", "Requests that were answered", VERSION)
        self.texts = self._counter("texts", "Texts that were answered", VERSION)
        self.cached = self._counter("answers_cached", "Texts that were answered from the cache", VERSION)
        self.errors = self._counter("request_errors", "Requests without an answer", ("model", "code"))
        self.seconds = self._histogram("request_seconds", "Seconds from admission to answer", VERSION, SECONDS)
        self.waited = self._histogram("queue_seconds", "Seconds of waiting for a batch", VERSION, SECONDS)
        self.labels = self._counter("predictions", "Answers by label", (*VERSION, "label"))
        self.confidence = self._histogram("confidence", "Score of the label that was given", VERSION, CONFIDENCE)
        self.text_tokens = self._histogram("text_tokens", "Tokens of one text", VERSION, TOKENS)
        self.truncated = self._counter("texts_truncated", "Texts of which a part was not read", VERSION)

    def _define_batches(self) -> None:
        self.rows = self._histogram("batch_rows", "Rows of one batch", VERSION, ROWS)
        self.tokens = self._histogram("batch_tokens", "Tokens of one batch, padding included", VERSION, TOKENS)
        self.own_tokens = self._counter("own_tokens", "Tokens that belong to texts, in all batches", VERSION)
        self.padding = self._counter("padding_tokens", "Tokens that only fill up a batch", VERSION)
        self.run_seconds = self._histogram("batch_seconds", "Seconds of one run of the model", VERSION, SECONDS)

    def _define_rollout(self) -> None:
        self._info = self._gauge("model_info", "1 for the version that answers", (*VERSION, "digest", "source"))
        self._opening = self._histogram("model_open_seconds", "Seconds to open a version", ("model",), LONG_SECONDS)
        self._swaps = self._counter("swaps", "Changes of the version that answers", ("model", "cause"))
        self._refusals = self._counter("refusals", "Candidates that were refused, by stage", ("model", "stage"))
        self._verdicts = self._counter("gate_verdicts", "Verdicts of the gate", ("model", "verdict"))
        self._polls = self._counter("polls", "Looks at the registry", ("model", "outcome"))
        self._poll_seconds = self._histogram("poll_seconds", "Seconds of one look", ("model",), LONG_SECONDS)
        self._queued = self._gauge("queued_texts", "Texts that wait or run", ("model",), "livesum")
        self._ready = self._gauge("ready", "1 when the deployment can answer", ("model",), "livemin")
        self._stale = self._gauge("stale", "1 when the registry could not confirm the version", ("model",))
        self._stale_seconds = self._gauge("stale_seconds", "Seconds since the registry last answered", ("model",))
        self.recorded = self._counter("records_sent", "Predictions handed to a record", ("sink",))
        self.dropped = self._counter("records_dropped", "Predictions that a record had no room for", ("sink",))
        build = self._gauge("build_info", "1; the labels say what runs", ("version", "python"))
        build.labels(__version__, platform.python_version()).set(1)

    def _counter(self, name: str, says: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"matinee_{name}", says, labels, registry=self.registry)

    def _histogram(self, name: str, says: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"matinee_{name}", says, labels, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, says: str, labels: tuple[str, ...], mode: Any = "livemax") -> Gauge:
        return Gauge(f"matinee_{name}", says, labels, registry=self.registry, multiprocess_mode=mode)

    # --- counting -------------------------------------------------------------------------------------------

    def observe(self, event: Event) -> None:
        """Count one event."""
        if (handler := self._handlers.get(type(event))) is not None:
            handler(event)

    def _version(self, model: ModelIdentity) -> "VersionSeries":
        if (series := self._versions.get(model)) is None:
            series = self._versions[model] = VersionSeries(self, model)
        return series

    def _predicted(self, event: Predicted) -> None:
        self._version(event.model).predicted(event)

    def _batch_run(self, event: BatchRun) -> None:
        self._version(event.model).batch_run(event)
        self._read_sometimes(event.model.name)

    def _request_failed(self, event: RequestFailed) -> None:
        self.errors.labels(self._names(event.name), self._codes(event.code)).inc()

    def _swapped(self, event: ModelSwapped) -> None:
        self._swaps.labels(self._names(event.model.name), event.cause).inc()
        if event.previous is not None:
            self._set_info(event.previous, 0)
        self._set_info(event.model, 1)
        self._answering[event.model.name] = event.model
        self._read(event.model.name)  # a worker that nobody asks says that it is ready, too

    def _set_info(self, model: ModelIdentity, value: int) -> None:
        name, version = self._version(model).names
        self._info.labels(name, version, model.digest[:80], model.source[:200]).set(value)

    def _judged(self, event: GateJudged) -> None:
        self._verdicts.labels(self._names(event.model.name), "passed" if event.passed else "refused").inc()

    def _closed(self, event: ModelClosed) -> None:
        """Its series go, unless what answers now has them too: it was loaded again, or has the same version."""
        answering = self._answering.get(event.model.name)
        if event.model == answering:
            return
        series = self._versions.pop(event.model, None)
        if series is None or _shared():  # there, series cannot be taken away
            return
        self._info.remove(*series.names, event.model.digest[:80], event.model.source[:200])
        series.count()
        if answering is None or self._version(answering).names != series.names:
            series.remove()

    def _polled(self, event: Polled) -> None:
        name = self._names(event.name)
        self._polls.labels(name, event.outcome).inc()
        self._poll_seconds.labels(name).observe(event.seconds)
        self._read(event.name)

    # --- reading --------------------------------------------------------------------------------------------

    def watch(self, name: str, read: Callable[[], Reading]) -> None:
        """Read queue and readiness of the deployment `name` whenever somebody looks."""
        self._readers[name] = read

    def _read_sometimes(self, name: str) -> None:
        """Once a second will do for the processes that `/metrics` was not asked of."""
        now = monotonic()
        if now >= self._read_again.get(name, 0.0):
            self._read_again[name] = now + 1.0
            self._read(name)

    def _read(self, name: str) -> None:
        if (read := self._readers.get(name)) is not None:
            reading, label = read(), self._names(name)
            self._queued.labels(label).set(reading.queued)
            self._ready.labels(label).set(reading.ready)
            self._stale.labels(label).set(reading.stale)
            self._stale_seconds.labels(label).set(reading.stale_seconds)

    def render(self) -> tuple[bytes, str]:
        """What `/metrics` answers: body and content type; of all worker processes together."""
        for name in self._readers:
            self._read(name)
        for series in self._versions.values():
            series.count()
        registry = self.registry
        if _shared():
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no types there
        return generate_latest(registry), CONTENT_TYPE_LATEST


def _shared() -> bool:
    """Whether several worker processes answer `/metrics` for each other."""
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ


class VersionSeries:
    """The series of one version, looked up once; requests are counted many at a time."""

    def __init__(self, metrics: Metrics, model: ModelIdentity) -> None:
        self.names = (model.name[:LONGEST_VALUE], model.version[:LONGEST_VALUE])
        self._metrics = metrics
        self._requests, self._texts = self._of(metrics.requests), self._of(metrics.texts)
        self._cached, self._truncated = self._of(metrics.cached), self._of(metrics.truncated)
        self._seconds, self._waited = self._quick(metrics.seconds), self._quick(metrics.waited)
        self._confidence, self._text_tokens = self._quick(metrics.confidence), self._quick(metrics.text_tokens)
        self._rows, self._tokens = self._quick(metrics.rows), self._quick(metrics.tokens)
        self._own, self._padding = self._of(metrics.own_tokens), self._of(metrics.padding)
        self._run_seconds = self._quick(metrics.run_seconds)
        self._bounded = Bounded()
        self._labels: dict[str, Counter] = {}
        self._waiting: list[tuple[float, float, int, tuple[Prediction, ...]]] = []
        self._most_waiting = 1 if _shared() else MOST_WAITING  # another process may be asked for our figures

    def _of(self, metric: Any) -> Any:
        return metric.labels(*self.names)

    def _quick(self, metric: Histogram) -> "QuickHistogram":
        return QuickHistogram(metric.labels(*self.names))

    def predicted(self, event: Predicted) -> None:
        """Take note of one answered request (without its texts); `count` counts it."""
        self._waiting.append((event.seconds, event.queue_seconds, event.cached, event.predictions))
        if len(self._waiting) >= self._most_waiting or len(event.predictions) > 1:
            self.count()

    def count(self) -> None:
        """Count what waits, all together: for one request alone it would be ten times the work."""
        if not self._waiting:
            return
        seconds, waited, cached, lists = zip(*self._waiting, strict=True)
        self._waiting.clear()
        predictions = [prediction for each in lists for prediction in each]
        self._requests.inc(len(lists))
        self._texts.inc(len(predictions))
        self._cached.inc(sum(cached))
        self._truncated.inc(sum([prediction.truncated for prediction in predictions]))
        self._seconds.observe_all(seconds)
        self._waited.observe_all(waited)
        self._confidence.observe_all([prediction.scores[prediction.label] for prediction in predictions])
        self._text_tokens.observe_all([prediction.tokens for prediction in predictions])
        for label, number in Tally([prediction.label for prediction in predictions]).items():
            self._label(label).inc(number)

    def batch_run(self, event: BatchRun) -> None:
        """Count one batch."""
        self._rows.observe(event.rows)
        self._tokens.observe(event.padded_tokens)
        self._own.inc(event.tokens)
        self._padding.inc(event.padded_tokens - event.tokens)
        self._run_seconds.observe(event.seconds)

    def remove(self) -> None:
        """The version is closed: its series go."""
        metrics = self._metrics
        for metric in (
            *(metrics.requests, metrics.texts, metrics.cached, metrics.truncated, metrics.seconds, metrics.waited),
            *(metrics.confidence, metrics.text_tokens, metrics.rows, metrics.tokens, metrics.own_tokens),
            *(metrics.padding, metrics.run_seconds),
        ):
            metric.remove(*self.names)
        for label in {self._name(label) for label in self._labels}:
            metrics.labels.remove(*self.names, label)

    def _label(self, label: str) -> Counter:
        counter = self._labels.get(label)
        if counter is None:
            counter = self._metrics.labels.labels(*self.names, self._name(label))
            if len(self._labels) < 10 * MOST_VALUES:
                self._labels[label] = counter
        return counter

    def _name(self, label: str) -> str:
        return self._bounded(label)
