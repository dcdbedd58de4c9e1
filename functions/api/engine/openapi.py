"""The OpenAPI document, generated from the resources and from the routes themselves.

The ONE client learns endpoints, actions and filters from it. The client needs (Alyx REST
contract): the list before the item, parameters in place, bodies by ``$ref``, only methods under a
path. Version 3.1, because responses are optional in it.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from chalice.app import Chalice

from functions.api.engine.declarations import RESOURCES, Field, Resource
from functions.api.engine.rules import METHODS, ON_ITEM, item_path

TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "uuid": {"type": "string", "format": "uuid"},
    "json": {},
    "choice": {"type": "string"},
    "floats": {"type": "array", "items": {"type": "number"}},
    "ref": {"type": "string"},
}


def _property(spec: Field) -> dict[str, Any]:
    shape = TYPES[spec.type]
    if spec.many:
        shape = {"type": "array", "items": shape}
    if spec.choices and spec.type == "choice":
        shape = {"enum": list(spec.choices)}
    return shape


def component(resource: Resource) -> str:
    """Return the name of a resource's schema."""
    return resource.name


def _schema(resource: Resource) -> dict[str, Any]:
    """Return the schema of a body, without the fields that only the service writes."""
    fields = {
        name: spec
        for name, spec in resource.fields.items()
        if not spec.read_only and (not spec.hidden or name == "password")
    }
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: _property(spec) for name, spec in fields.items()},
    }
    required = [name for name, spec in fields.items() if spec.required and not spec.unless]
    if required:
        schema["required"] = required
    if set(resource.example) - set(required):  # else it adds nothing
        schema["example"] = dict(resource.example)
    return schema


def _body(name: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{name}"}
    return {"content": {"application/json": {"schema": reference}}}


def _operation(resource: Resource, action: str) -> dict[str, Any]:
    operation: dict[str, Any] = {}
    if action == "list":
        operation["parameters"] = [
            {"name": name, "in": "query", "schema": {}} for name in resource.all_filters()
        ]
    elif action in ON_ITEM:
        operation["parameters"] = [_in_path(resource.key)]
    if action in ("create", "update", "partial_update"):
        operation["requestBody"] = _body(component(resource))
    return operation


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {}}


def document(app: Chalice) -> dict[str, Any]:
    """Return the document: every route of the app, those of resources first."""
    paths: dict[str, dict[str, Any]] = {}
    for resource in RESOURCES.values():
        for action, method in METHODS.items():
            if resource.has(action):
                path = item_path(resource) if action in ON_ITEM else f"/{resource.path}"
                paths.setdefault(path, {})[method.lower()] = _operation(resource, action)
    for path, entries in app.routes.items():
        for method, entry in entries.items():
            methods = paths.setdefault(path.replace("+}", "}"), {})
            if method.lower() not in methods:
                words = (entry.view_function.__doc__ or "").strip().split("\n")[0]
                summary = re.split(r"[.,;:]", words)[0]  # keeps the document small
                methods[method.lower()] = _other(path, summary)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Fornix", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": {component(declared): _schema(declared) for declared in RESOURCES.values()},
        },
    }


def _other(path: str, summary: str) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": summary}
    names = [part[1:-1].rstrip("+") for part in path.split("/") if part.startswith("{")]
    if names:
        operation["parameters"] = [_in_path(name) for name in names]
    return operation


@lru_cache(maxsize=1)
def text(app: Chalice) -> str:
    """Return the document as JSON."""
    return json.dumps(document(app), separators=(",", ":"))
