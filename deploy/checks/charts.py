"""The Helm chart: lints, renders, and says the same as the kustomize base."""

from pathlib import Path
from typing import Any

import yaml
from helm_python import chart
from kubernetes_validate import ValidationError, validate

_CHART = Path(__file__).parents[1] / "helm" / "matinee"
_KUBERNETES = "1.33"
_ERROR = 2
_VALUES: list[dict[str, Any]] = [
    {},
    {"autoscaling": {"enabled": False}, "networkPolicy": {"enabled": False}},
    {"image": {"repository": "r.test/m", "digest": "sha256:" + "0" * 64}, "serviceMonitor": {"enabled": True}},
]

Document = dict[str, Any]


def rendered(values: Document) -> list[Document]:
    """The chart's objects."""
    files = chart.Chart.load(str(_CHART)).render(values, name="matinee")
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def chart_problems() -> list[str]:
    """What is wrong with the chart itself, in three ways of using it."""
    result = chart.lint(str(_CHART), strict=True)
    problems = [str(message["error"]) for message in result["messages"] if message["severity"] >= _ERROR]
    for values in _VALUES:
        for document in rendered(values):
            if document["kind"] == "ServiceMonitor":
                continue
            try:
                validate(document, _KUBERNETES, strict=True)
            except ValidationError as error:
                problems.append(f"{document['kind']}: {error.message}")
    return problems


def base_differences(base: str) -> list[str]:
    """Kinds of which the chart says something else than the kustomize base."""
    chart_documents = {document["kind"]: _comparable(document) for document in rendered({})}
    base_documents = {document["kind"]: _comparable(document) for document in yaml.safe_load_all(base)}
    kinds = sorted(chart_documents.keys() | base_documents.keys())
    return [f"{kind} differs" for kind in kinds if chart_documents.get(kind) != base_documents.get(kind)]


def _comparable(document: Document) -> Any:
    """What the object says, without names and labels: each tool has its own."""
    said: Any = document.get("data", document.get("spec"))
    if document["kind"] == "Deployment":
        said["template"].pop("metadata", None)
        container = said["template"]["spec"]["containers"][0]
        container.pop("image")
        container["envFrom"][0]["configMapRef"].pop("name")
    for key in ("selector", "podSelector"):
        if isinstance(said, dict):
            said.pop(key, None)
    return said
