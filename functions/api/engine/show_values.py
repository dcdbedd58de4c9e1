"""Convert stored rows and values to the form that clients see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api.engine.declarations import KINDS, Body, Field, Resource, Row
from shared.model import moment

if TYPE_CHECKING:
    from functions.api.call import Call


def show(resource: Resource, row: Row, call: Call, *, detail: bool = False) -> Body:
    """Return a stored row in the form that clients see.

    Parameters
    ----------
    resource : Resource
    row : mapping
        Row of the index or the table.
    call : Call
    detail : bool
        Whether it is for ``read`` rather than ``list``.
    """
    if resource.columns and not detail and resource.show:
        return resource.show({}, row, call)  # the resource makes the row itself
    result: Body = {}
    names = resource.shown or tuple(resource.fields)
    for name in names if not detail else dict.fromkeys([*names, *resource.fields]):
        spec = resource.fields.get(name)
        if spec is None or spec.hidden:
            continue
        result[name] = show_value(spec, row.get(name), call)
    if resource.title and result.get(resource.key):
        result[resource.key] = resource.title(result[resource.key])
    if "id" in row and "id" not in result and resource.key == "id":
        result = {"id": row["id"], **result}
    if resource.show:
        result = resource.show(result, row, call)
    if detail and resource.show_detail:
        result = resource.show_detail(result, row, call)
    if row.get("_version") and "version" not in resource.fields and not resource.store:
        result["version"] = int(row["_version"])  # for `If-Match`
    return result


def show_value(spec: Field, value: Any, call: Call) -> Any:
    """Return a stored value in the form that clients see."""
    if spec.many:
        items = value or []
        if spec.by == "url":
            return [_link(spec, item, call) for item in items]
        return [_title(spec, item) for item in items]
    if value is None:
        return None
    if spec.type == "datetime":
        return moment.naive(value)
    if spec.type == "choice":
        return next((name for name, item in (spec.choices or {}).items() if item == value), value)
    if spec.type == "ref" and spec.by == "url":
        return _link(spec, value, call)
    return _title(spec, value) if spec.type == "ref" else value


def _title(spec: Field, key: str) -> str:
    """Return the name that clients are shown for a reference."""
    return KINDS[spec.to].title_of(key)


def _link(spec: Field, key: str, call: Call) -> str:
    return call.url(f"/{KINDS[spec.to].path}/{key}")
