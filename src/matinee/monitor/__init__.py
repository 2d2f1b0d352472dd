"""What happened?

`observers` puts the listeners together: metrics always, log lines always, a record in W&B and traces when they are
asked for. The result's `observe` is the one `Observe` that everything else is given; it never raises, never blocks,
and costs microseconds. `render` is what `/metrics` answers, `close` sends what is left within a time limit.
"""

from collections.abc import Callable
from dataclasses import dataclass

from matinee.core.events import Observe, fan_out
from matinee.monitor.logs import LogOptions, configure_logging, log_events
from matinee.monitor.metrics import Metrics, Reading
from matinee.monitor.wandb_log import WandbLog, WandbLogOptions


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """Who listens. `traces` is the address of an OpenTelemetry collector (OTLP over HTTP), empty for none."""

    log_requests: bool = False
    wandb: WandbLogOptions | None = None
    traces: str = ""


class Observers:
    """All listeners together; `watch` names a deployment whose queue and readiness are read when somebody looks."""

    def __init__(self, observe: Observe, metrics: Metrics, closers: list[Callable[[], None]]) -> None:
        self.observe = observe
        self.watch = metrics.watch
        self.render = metrics.render
        self._closers = closers

    def close(self) -> None:
        """Send what is left; blocking, each listener has its own time limit."""
        for close in self._closers:
            close()


def observers(options: MonitorOptions) -> Observers:
    """Start the listeners; raises `MissingExtra` when one of them needs a package that is not installed."""
    metrics = Metrics()
    listeners: list[Observe] = [metrics.observe, log_events(requests=options.log_requests)]
    closers: list[Callable[[], None]] = []
    if options.wandb is not None:
        record = WandbLog(options.wandb, metrics.recorded.labels("wandb").inc, metrics.dropped.labels("wandb").inc)
        listeners.append(record.observe)
        closers.append(record.close)
    if options.traces:
        from matinee.monitor.traces import Traces

        traces = Traces(options.traces)
        listeners.append(traces.observe)
        closers.append(traces.close)
    return Observers(fan_out(*listeners), metrics, closers)


__all__ = [
    "LogOptions",
    "MonitorOptions",
    "Observers",
    "Reading",
    "WandbLogOptions",
    "configure_logging",
    "observers",
]
