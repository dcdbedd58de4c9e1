"""What a caller writes: read, permitted and planned. Routes, lists and batches go by `write`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.api import permissions
from functions.api.auth.identify import require_account
from functions.api.engine import concurrency, read_values, relations
from functions.api.engine.declarations import Body, Resource
from functions.api.engine.identities import PlannedRecord
from functions.api.engine.plan import Plan, is_document
from functions.api.engine.rules import rule_of
from functions.api.engine.visible import visible_to
from functions.api.errors import ApiError, Invalid, not_found
from shared import catalog
from shared.access import policy

if TYPE_CHECKING:
    from functions.api.call import Call


def write(
    plan: Plan,
    op: str,
    resource: Resource,
    key: str | None = None,
    data: Any = None,
    version: int | None = None,
) -> PlannedRecord | None:
    """Plan what a caller asks for, as its own route would.

    Parameters
    ----------
    plan : Plan
    op : str
        ``create``, ``update`` or ``delete``.
    resource : Resource
        Its records are documents.
    key : str, optional
        Key or id of the record to be changed or deleted.
    data : dict, optional
        Fields as the client sent them; of a change, absent ones stay as they are.
    version : int, optional
        That the record must have.

    Returns
    -------
    PlannedRecord or None
        The record; None if it is to be deleted.

    Raises
    ------
    ApiError
        400 with messages per field, 403 that says who may, 404, 409 if others name what is to be
        deleted, 412 if it has another version.
    """
    if not is_document(resource):
        raise ApiError(400, f"/{resource.path} is written by its own route alone.")
    _check_route(plan.call, op, resource)
    if op == "create":
        return _create(plan, resource, data)
    found = find(resource, str(key))
    seen = visible_to(plan.call.who, resource, brief=True) if resource.own else ()
    if not all(where.on_rows()(found) for where in seen):
        raise not_found(resource.name)
    key = str(found[resource.key])
    if version is not None and plan.version(resource.kind, key) != version:
        raise ApiError(412, "The record was changed since you read it; read it again.")
    if op == "delete":
        _delete(plan, resource, key)
        return None
    return _update(plan, resource, key, data)


def _check_route(call: Call, op: str, resource: Resource) -> None:
    """Refuse a caller who may not use the route that a write has alone."""
    action = "partial_update" if op == "update" else op
    if not resource.has(action) and not call.is_import:
        raise ApiError(405, f"/{resource.path} takes no {op}.")
    decision = policy.may_use(rule_of(resource, action), call.who)
    if not decision:
        require_account(call.who)
        permissions.require(decision)


def find(resource: Resource, key: str) -> Body:
    """Return a record from the index, by its key or its id.

    Raises
    ------
    ApiError
        404.
    """
    found = catalog.table(resource.kind).get(key)
    if found is None and resource.key != "id" and read_values.is_uuid(key):
        named = read_values.key_of(resource.kind, key)
        found = catalog.table(resource.kind).get(named) if named else None
    if found is None:
        raise not_found(resource.name)
    return found


def tag_of(resource: Resource, body: Mapping[str, Any]) -> str:
    """Return the ETag of a record."""
    return concurrency.content_tag(resource, body)


def _create(plan: Plan, resource: Resource, data: Any) -> PlannedRecord:
    call = plan.call
    if not isinstance(data, dict):
        raise ApiError(400, "Every item of the list must be a JSON object.")
    new = read_values.read_body(resource, data, call, partial=False)
    if "id" not in resource.fields:  # ids of brain regions are numbers of the atlas
        new["id"] = data["id"] if read_values.is_uuid(data.get("id")) else str(uuid.uuid4())

    def check(old: Body | None, body: Body | None) -> None:
        assert body is not None  # noqa: S101 - it is created
        if resource.lab:
            permissions.check_lab(call.who, read_values.lab_of(resource, body))
        relations.check_references(call, resource, None, body)
        permissions.check_fields(call, resource, None, body)

    return plan.create(resource, new, given=new, check=check)


def _update(plan: Plan, resource: Resource, key: str, data: Any) -> PlannedRecord:
    call = plan.call
    if not isinstance(data, dict):
        raise ApiError(400, "The body must be a JSON object.")
    new = read_values.read_body(resource, data, call, partial=True)
    if resource.key != "id" and new.get(resource.key, key) != key:
        raise Invalid({resource.key: [f"A {resource.kind} cannot be renamed."]})

    def edit(body: Body) -> Body:
        concurrency.check_match(call, tag_of(resource, body))
        return {**body, **concurrency.merge_json(resource, key, body, new, call)}

    def check(old: Body | None, body: Body | None) -> None:
        assert old is not None  # noqa: S101 - it is changed
        assert body is not None  # noqa: S101
        if resource.lab:
            permissions.check_lab(call.who, read_values.lab_of(resource, old))
            permissions.check_lab(call.who, read_values.lab_of(resource, body))
        relations.check_references(call, resource, old, new)
        permissions.check_fields(call, resource, old, new)

    return plan.change(resource, key, edit, given=new, check=check)


def _delete(plan: Plan, resource: Resource, key: str) -> None:
    call = plan.call

    def check(old: Body | None, body: Body | None) -> None:
        assert old is not None  # noqa: S101 - it is deleted
        if resource.lab:
            permissions.check_lab(call.who, read_values.lab_of(resource, old))
        else:
            relations.check_named(call, resource, old)
        concurrency.check_match(call, tag_of(resource, old))

    plan.delete(resource, key, check=check)
