"""The model card: what a person should know before trusting a bundle, from its manifest alone."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matinee.core.manifest import Manifest


def render_card(manifest: Manifest, purpose: str, sections: Sequence[tuple[str, str]] = ()) -> str:
    """Markdown: purpose, figures, lineage, and further ``sections`` (title, text) of the recipe's own."""
    parts = [f"# {manifest.name}", purpose]
    for title, figures in _figures(manifest.metrics):
        parts += [f"## {title}", figures]
    for title, text in sections:
        parts += [f"## {title}", text]
    parts += ["## Where it comes from", _lineage(manifest.lineage)]
    size = sum(entry.size for entry in manifest.files.values())
    rows = [(f"`{name}`", f"{entry.size:,}", f"`{entry.sha256[:16]}…`") for name, entry in manifest.files.items()]
    if rows:
        parts += ["## Files", table(("file", "bytes", "SHA-256"), [*rows, ("together", f"{size:,}", "")])]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def _figures(metrics: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    titles = {
        "heldout": "Held-out training films (choices and calibration were made on these)",
        "test": "Test reviews",
        "test_fused_everywhere": "Test reviews, both models on every review",
    }
    for part, title in titles.items():
        if part not in metrics:
            continue
        figures = metrics[part]
        rows = [
            ("reviews", f"{figures['count']:,}"),
            ("accuracy", f"{figures['accuracy']:.2%}"),
            ("area under the ROC curve", f"{figures['auc']:.4f}"),
            ("log loss", f"{figures['log_loss']:.4f}"),
            ("expected calibration error", f"{figures['ece']:.4f}"),
        ]
        rows += [(f"accuracy, {bucket['least']} words or more", _bucket(bucket)) for bucket in figures["by_length"]]
        rows += [
            (f"label {i}: given labels 0, 1, …", ", ".join(f"{count:,}" for count in row))
            for i, row in enumerate(figures["confusion"])
        ]
        yield title, table(("figure", "value"), rows)


def _bucket(bucket: Mapping[str, Any]) -> str:
    return f"{bucket['accuracy']:.2%} of {bucket['count']:,}"


def _lineage(lineage: Mapping[str, Any]) -> str:
    rows = [(key.replace("_", " "), _value(value)) for key, value in lineage.items()]
    return table(("what", "value"), rows)


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return f"`{value}`"
