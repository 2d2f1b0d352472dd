"""Custom resources against the CRDs of their projects, closed so that a typo is an error; and rules no schema has.

The CRDs are megabytes of other projects' data and not kept here: their folder is an argument. CEL rules and webhooks
are not checked: that takes a cluster.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

_OPEN = "x-kubernetes-preserve-unknown-fields"
_MODE = "serving.kserve.io/deploymentMode"


def custom_resource_problems(documents: str, crds: Path) -> list[str]:
    """Every problem in the YAML; a kind without a schema is one."""
    schemas = _schemas(crds)
    problems = []
    for document in yaml.safe_load_all(documents):
        kind = f"{document['apiVersion']} {document['kind']}"
        if kind not in schemas:
            problems.append(f"{kind}: no schema in {crds}")
            continue
        errors = Draft202012Validator(schemas[kind]).iter_errors(document)
        problems += [f"{kind}: {'/'.join(map(str, error.path))}: {error.message[:200]}" for error in errors]
        problems += _rules(document)
    return problems


def _rules(document: dict[str, Any]) -> list[str]:
    """Valid by schema, and silently without effect."""
    mode = document["metadata"].get("annotations", {}).get(_MODE, "")
    canary = "canaryTrafficPercent" in document["spec"].get("predictor", {})
    return ["canaryTrafficPercent works in mode Knative only"] if canary and mode != "Knative" else []


def _schemas(folder: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in folder.rglob("*.yaml"):
        text = re.sub(r"\{\{.*?\}\}", "x", path.read_text(encoding="utf-8"))
        for document in yaml.safe_load_all(text):
            if not document or document.get("kind") != "CustomResourceDefinition":
                continue
            spec = document["spec"]
            for version in spec["versions"]:
                schema = _closed(version.get("schema", {}).get("openAPIV3Schema", {}), top=True)
                found[f"{spec['group']}/{version['name']} {spec['names']['kind']}"] = schema
    return found


def _closed(schema: Any, *, top: bool = False) -> Any:
    """The schema with additionalProperties false wherever the CRD names the properties."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict):
        closed["properties"] = {key: _closed(value) for key, value in schema["properties"].items()}
        if top:
            closed["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
        if "additionalProperties" not in schema and not schema.get(_OPEN):
            closed["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        closed["type"] = ["integer", "string"]
        closed.pop("anyOf", None)
    if schema.get("nullable") and isinstance(closed.get("type"), str):
        closed["type"] = [closed["type"], "null"]
    return closed
