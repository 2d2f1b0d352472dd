"""The OpenAPI document, made from the table of endpoints."""

import json
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from matinee import __version__
from matinee.api.endpoints import Access, Endpoint
from matinee.api.schemas import Problem

_SECURITY: Mapping[Access, list[dict[str, list[str]]]] = {
    Access.CALLER: [{}, {"bearer": []}, {"key": []}],
    Access.ADMIN: [{"bearer": []}, {"key": []}],
}
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_DESCRIPTION = "Serves a text classifier straight from a model registry, and keeps answering with the current version."
_PART = re.compile(r"\{(\w+)\}")
Schemas = Mapping[Any, Mapping[str, Any]]  # (model, mode) -> a reference to its schema


def openapi_document(endpoints: Iterable[Endpoint]) -> bytes:
    """OpenAPI 3.1 as JSON."""
    shown = [endpoint for endpoint in endpoints if not endpoint.hidden]
    schemas, definitions = models_json_schema(_models(shown), ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in shown:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "matinee", "version": __version__, "description": _DESCRIPTION},
        "paths": paths,
        "components": {"schemas": definitions["$defs"], "securitySchemes": _SCHEMES},
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _models(endpoints: Iterable[Endpoint]) -> list[tuple[type[BaseModel], JsonSchemaMode]]:
    models: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(Problem, "serialization"): None}
    for endpoint in endpoints:
        if endpoint.request is not None:
            models[endpoint.request, "validation"] = None
        if not isinstance(endpoint.response, str):
            models[endpoint.response, "serialization"] = None
    return list(models)


def _operation(endpoint: Endpoint, schemas: Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": _operation_id(endpoint),
        "tags": [endpoint.tag],
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.access in _SECURITY:
        operation["security"] = _SECURITY[endpoint.access]
    if parameters := [*_path_parameters(endpoint.path), *endpoint.parameters]:
        operation["parameters"] = parameters
    if endpoint.request is not None:
        content = {"application/json": {"schema": schemas[endpoint.request, "validation"]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    return endpoint.method.lower() + re.sub(r"\W+", "_", endpoint.path).rstrip("_")


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in _PART.findall(path)
    ]


def _responses(endpoint: Endpoint, schemas: Schemas) -> dict[str, Any]:
    if isinstance(endpoint.response, str):
        content: dict[str, Any] = {endpoint.response: {}}
    else:
        content = {"application/json": {"schema": schemas[endpoint.response, "serialization"]}}
    responses: dict[str, Any] = {
        str(endpoint.status): {"description": HTTPStatus(endpoint.status).phrase, "content": content}
    }
    problem = {"application/problem+json": {"schema": schemas[Problem, "serialization"]}}
    keyed = (401,) if endpoint.access in _SECURITY else ()
    for status in sorted({*endpoint.errors, *keyed}):
        # a probe that says "not yet" answers in its own shape
        plain = status == 503 and endpoint.tag == "health"
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": content if plain else problem}
    return responses
