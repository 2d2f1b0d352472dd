"""What `/metrics` says, and that it stays small."""

import json
import os
import re
import subprocess
import sys
from collections import Counter as Tally
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.monitor.stage import ONE, TWO, predicted

from matinee.core.events import (
    BatchRun,
    GateJudged,
    ModelClosed,
    ModelRefused,
    ModelSwapped,
    Polled,
    RequestFailed,
)
from matinee.core.prediction import ModelIdentity
from matinee.monitor.bounded import MOST_VALUES
from matinee.monitor.metrics import Metrics, Reading
from matinee.monitor.quick import QuickHistogram

ROOT = Path(__file__).parents[3]


def samples(metrics: Metrics) -> dict[str, float]:
    """Every sample as `name{label=value,…}`, creation times left out."""
    body, _ = metrics.render()
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_counts_requests_texts_labels_and_batches_for_each_version() -> None:
    """One request of two texts, one of them from the cache, and the batch behind them."""
    metrics = Metrics()
    metrics.observe(ModelSwapped(ONE, None, "start"))
    metrics.observe(predicted(texts=2, cached=1))
    metrics.observe(BatchRun(ONE, rows=2, tokens=150, padded_tokens=200, seconds=0.01))
    found, at = samples(metrics), "model=films,version=v1"
    assert found[f"matinee_requests_total{{{at}}}"] == 1
    assert found[f"matinee_texts_total{{{at}}}"] == 2
    assert found[f"matinee_answers_cached_total{{{at}}}"] == 1
    assert found["matinee_predictions_total{label=positive,model=films,version=v1}"] == 2
    assert found[f"matinee_request_seconds_sum{{{at}}}"] == 0.02
    assert found[f"matinee_padding_tokens_total{{{at}}}"] == 50
    assert found[f"matinee_own_tokens_total{{{at}}}"] == 150
    assert found["matinee_confidence_bucket{le=0.95,model=films,version=v1}"] == 2
    assert found["matinee_swaps_total{cause=start,model=films}"] == 1


def test_counts_what_rollout_does() -> None:
    """Verdicts, refusals, looks at the registry, errors."""
    metrics = Metrics()
    metrics.observe(GateJudged(TWO, passed=False, figures={}, reasons=("too slow",)))
    metrics.observe(ModelRefused("films", "v2", "gate", ("too slow",)))
    metrics.observe(Polled("films", "failed", 0.2, 31.0, "away"))
    metrics.observe(RequestFailed("films", "overloaded", 429))
    found = samples(metrics)
    assert found["matinee_gate_verdicts_total{model=films,verdict=refused}"] == 1
    assert found["matinee_refusals_total{model=films,stage=gate}"] == 1
    assert found["matinee_polls_total{model=films,outcome=failed}"] == 1
    assert found["matinee_request_errors_total{code=overloaded,model=films}"] == 1


def test_reads_queue_and_staleness_when_somebody_looks() -> None:
    """The gauges of a deployment are those of the moment of the scrape."""
    metrics = Metrics()
    metrics.watch("films", lambda: Reading(queued=7, ready=True, stale=True, stale_seconds=61.5))
    found = samples(metrics)
    assert found["matinee_queued_texts{model=films}"] == 7
    assert found["matinee_ready{model=films}"] == 1
    assert found["matinee_stale{model=films}"] == 1
    assert found["matinee_stale_seconds{model=films}"] == 61.5


def test_the_series_of_a_closed_version_go() -> None:
    """After a thousand versions there is one version's worth of series."""
    metrics = Metrics()
    metrics.observe(predicted())
    few = len(samples(metrics))
    before = ONE
    for number in range(1000):
        model = ModelIdentity("films", f"version {number}", "sha256:0", "./models")
        metrics.observe(ModelSwapped(model, before, "follow"))
        metrics.observe(predicted(model))
        metrics.observe(ModelClosed(before))
        before = model
    assert len(samples(metrics)) <= few + 3


@pytest.mark.parametrize("digest", ["sha256:0", "sha256:1"])
def test_the_series_of_what_answers_stay_when_another_load_of_it_is_closed(digest: str) -> None:
    """It was loaded again meanwhile; or a registry gave its version to something else."""
    metrics = Metrics()
    first, again = ModelIdentity("films", "1", "sha256:0", "./m"), ModelIdentity("films", "1", digest, "./m")
    other = ModelIdentity("films", "2", "sha256:2", "./m")
    for model, before in ((first, None), (other, first), (again, other)):
        metrics.observe(ModelSwapped(model, before, "follow"))
        metrics.observe(predicted(model))
    metrics.observe(ModelClosed(first))
    metrics.observe(predicted(again))
    found = samples(metrics)
    assert found["matinee_requests_total{model=films,version=1}"] == 3
    info = f"matinee_model_info{{digest={digest},model=films,source=./m,version=1}}"
    assert [name for name in found if name.startswith("matinee_model_info") and "version=1" in name] == [info]
    assert found[info] == 1


def test_each_deployment_is_read_once_a_second_however_busy_another_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the processes that `/metrics` was not asked of: what they show must not be that of long ago."""
    monkeypatch.setattr("matinee.monitor.metrics.monotonic", lambda: 100.0)
    metrics, looks = Metrics(), Tally[str]()

    def reader(name: str) -> Callable[[], Reading]:
        def read() -> Reading:
            looks[name] += 1
            return Reading(0, ready=True, stale=False, stale_seconds=0.0)

        return read

    for name in ("busy", "quiet"):
        metrics.watch(name, reader(name))
    for name in ("busy", "busy", "quiet", "busy"):
        metrics.observe(BatchRun(ModelIdentity(name, "1", "sha256:0", "./m"), 1, 10, 10, 0.1))
    assert looks == {"busy": 1, "quiet": 1}


def test_hostile_names_labels_and_codes_make_no_more_than_a_fixed_number_of_series() -> None:
    """Ten thousand different ones, each long and with control characters, stay within 200 KB."""
    metrics = Metrics()
    for number in range(10_000):
        nasty = f'{number}"\n\\{{}}' + "x" * 1000
        metrics.observe(RequestFailed(nasty, nasty, 400))
        answered = predicted()
        scores = {nasty: 0.9, "negative": 0.1}
        prediction = type(answered.predictions[0])(nasty, scores, 10, 1, truncated=False)
        metrics.observe(type(answered)(ONE, (prediction,), 0.01, 0.0))
    body, _ = metrics.render()
    assert len(body) < 200_000
    assert body.count(b"\nmatinee_predictions_total{") <= MOST_VALUES + 1
    list(text_string_to_metric_families(body.decode()))


def test_the_figures_of_several_processes_add_up(tmp_path: Path) -> None:
    """Two processes count one request each; either of them answers with two."""
    script = (
        "from matinee.monitor.metrics import Metrics\n"
        "from tests.unit.monitor.stage import predicted\n"
        "metrics = Metrics(); metrics.observe(predicted()); print(metrics.render()[0].decode())\n"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    texts = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    assert 'matinee_requests_total{model="films",version="v1"} 2.0' in texts[1].stdout


def defined() -> set[str]:
    """Names of all metrics, as Prometheus shows them."""
    return {family.name + ("_total" if family.type == "counter" else "") for family in Metrics().registry.collect()}


def used(text: str) -> set[str]:
    """Names of our metrics in an expression or a document, without what a histogram adds to them."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bmatinee_[a-z_]+\b", text)}


def test_dashboard_and_alert_rules_use_metrics_that_exist() -> None:
    """Every name in the files of `deploy/monitoring` is defined."""
    folder = ROOT / "deploy" / "monitoring"
    json.loads((folder / "grafana-dashboard.json").read_text())
    for file in ("grafana-dashboard.json", "prometheus-rules.yml"):
        assert used((folder / file).read_text()) - defined() == set(), file


def test_every_metric_is_documented_and_nothing_else_is() -> None:
    """`docs/reference/metrics.md` and the code are equal."""
    assert used((ROOT / "docs" / "reference" / "metrics.md").read_text()) == defined()


def test_requests_that_wait_to_be_counted_are_in_every_answer() -> None:
    """They are counted many at a time, but whoever looks sees all of them."""
    metrics = Metrics()
    for number in range(1, 200):
        metrics.observe(predicted())
        if number % 30 == 1:
            assert samples(metrics)["matinee_requests_total{model=films,version=v1}"] == number


@pytest.mark.parametrize("events", [500])
def test_counting_looks_its_series_up_once(events: int) -> None:
    """The hot path makes no new series objects after the first request of a version."""
    metrics = Metrics()
    metrics.observe(predicted())
    series = metrics._versions[ONE]
    for _ in range(events):
        metrics.observe(predicted())
    assert metrics._versions[ONE] is series


def test_the_quick_histogram_counts_like_the_library() -> None:
    """Below, on and above every bound."""
    registry = CollectorRegistry()
    ours, theirs = (Histogram(name, "x", ("a",), buckets=(1, 2.5, 5), registry=registry) for name in ("ours", "theirs"))
    values = (0, 1, 1.0001, 2.5, 4, 5, 6, 1e9)
    quick = QuickHistogram(ours.labels("x"))
    quick.observe_all(values)
    for value in values:
        quick.observe(value)
        for _ in range(2):
            theirs.labels("x").observe(value)

    lines = [
        line for line in generate_latest(registry).decode().splitlines() if "created" not in line and line[0] != "#"
    ]
    half = len(lines) // 2

    assert [line.replace("ours", "theirs") for line in lines[:half]] == lines[half:]
