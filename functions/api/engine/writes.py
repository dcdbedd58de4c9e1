"""Writes of a caller: read, permitted and planned. Routes, lists and batches use `write`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.api import permissions
from functions.api.auth.identify import require_account
from functions.api.engine import concurrency, meanings, own_fields, read_values, relations, zones
from functions.api.engine.declarations import Body, Resource
from functions.api.engine.identities import PlannedRecord, taken
from functions.api.engine.plan import Plan, is_document
from functions.api.engine.rules import rule_of
from functions.api.engine.standing import check_record
from functions.api.engine.visible import is_managers, visible_to
from functions.api.errors import ApiError, Invalid, not_found
from shared import catalog
from shared.access import policy
from shared.records.audit import history
from shared.records.errors import Exists
from shared.records.where import Where

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
    """Plan a write of a caller, exactly as its own route does.

    Parameters
    ----------
    plan : Plan
    op : str
        ``create``, ``update`` or ``delete``.
    resource : Resource
        A resource of documents.
    key : str, optional
        Key or id of the record to change or delete.
    data : dict, optional
        Fields as the client sent them; a change keeps absent ones.
    version : int, optional
        Version that the record must have; 0 stands for any.

    Returns
    -------
    PlannedRecord or None
        The record; None if it is to be deleted.

    Raises
    ------
    ApiError
        400 with messages per field, 403 that names who may, 404, 409 if others name the record to
        delete, 412 if it has another version.
    """
    if not is_document(resource):
        raise ApiError(400, f"/{resource.path} is written by its own route alone.")
    check_route(plan.call, op, resource)
    if op == "create":
        return _create(plan, resource, data)
    existing = find(resource, str(key))
    _check_seen(plan.call, resource, existing)
    key = str(existing[resource.key])
    if version and (present := plan.version(resource.kind, key)) != version:
        raise concurrency.stale(present)
    if op == "delete":
        _delete(plan, resource, key)
        return None
    return _update(plan, resource, key, data)


def check_route(call: Call, op: str, resource: Resource) -> None:
    """Refuse a caller who may not use the single route of a write."""
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
    record = catalog.table(resource.kind).get(key)
    if record is None and resource.key != "id" and (resource.also or read_values.is_uuid(key)):
        real_key = meanings.key_of(resource.kind, key)
        record = catalog.table(resource.kind).get(real_key) if real_key else None
    if record is None:
        raise not_found(resource.name)
    return record


def tag_of(resource: Resource, body: Mapping[str, Any]) -> str:
    """Return the ETag of a record."""
    return concurrency.content_tag(resource, body)


def _create(plan: Plan, resource: Resource, data: Any) -> PlannedRecord:
    call = plan.call
    if not isinstance(data, dict):
        raise ApiError(400, "Every item of the list must be a JSON object.")
    new = read_values.read_body(resource, data, call, partial=False)
    has_own_id = "id" not in resource.fields and read_values.is_uuid(data.get("id"))
    if has_own_id:
        new["id"] = data["id"]
        if existing := _made_before(plan, resource, data, new):
            return existing
    elif "id" not in resource.fields:  # brain regions have the atlas's numbers as ids
        new["id"] = str(uuid.uuid4())

    def check(old: Body | None, body: Body | None) -> None:
        assert body is not None  # noqa: S101 - it is created
        check_record(call, resource, body, is_new=True)
        relations.check_references(call, resource, None, body)
        permissions.check_fields(call, resource, None, body)
        permissions.check_permit(call, resource, None, body)
        own_fields.check(resource, None, body)

    record = plan.create(resource, new, given=new, check=check)
    record.is_clients = has_own_id
    return record


def _made_before(plan: Plan, resource: Resource, data: Body, new: Body) -> PlannedRecord | None:
    """Return the record that a client created before with the same chosen id.

    Raises
    ------
    ApiError
        409 if the record of this id has other content; 400 if another record has its name.
    """
    call, key = plan.call, str(new[resource.key])
    existing = None if resource.title else catalog.table(resource.kind).get(key)
    if existing is None and resource.key != "id":
        same_id = catalog.table(resource.kind).select([Where("id", "exact", new["id"])])
        existing = same_id.page(0, 1)[0] if len(same_id) else None
    if existing is None:
        return None
    if str(existing["id"]) != new["id"]:
        raise taken(resource, Exists(f"{resource.kind} {key!r} already exists.", key))
    key = str(existing[resource.key])
    _check_seen(call, resource, existing)
    sent_fields = {name: value for name, value in new.items() if name in data}
    if resource.title and sent_fields.get(resource.key) == resource.title(key):
        sent_fields[resource.key] = key
    lab = zones.lab_of(resource, existing)
    sent = zones.localise(resource, sent_fields, lab)
    if not _has(existing, sent) and not _has(_as_made(resource, key), sent):
        text = f"There is a {resource.kind} with this id already, and it is another one."
        raise ApiError(409, text, version=int(existing.get("_version") or 0))
    record = plan.record(resource, key)
    record.is_repeated = True
    return record


def _has(body: Mapping[str, Any], sent: Body) -> bool:
    """Return whether a record equals the client's fields; numbers are compared by value."""
    return all(body.get(name) == value for name, value in sent.items())


def _as_made(resource: Resource, key: str) -> Body:
    """Return the first version of a record; it may have been changed since."""
    first = next(
        (entry for entry in history(resource.kind, key) if entry.action == "create"), None
    )
    return first.after if first else {}


def _check_seen(call: Call, resource: Resource, row: Mapping[str, Any]) -> None:
    """Hide a record that another user owns."""
    is_hidden = resource.own or is_managers(resource)
    seen = visible_to(call.who, resource, brief=True) if is_hidden else ()
    if not all(where.on_rows()(row) for where in seen):
        raise not_found(resource.name)


def _update(plan: Plan, resource: Resource, key: str, data: Any) -> PlannedRecord:
    call = plan.call
    if not isinstance(data, dict):
        raise ApiError(400, "The body must be a JSON object.")
    existing = plan.record(resource, key).body
    new = read_values.read_body(resource, data, call, partial=True, old=existing)
    if resource.title and new.get(resource.key) == resource.title(key):
        del new[resource.key]
    if resource.key != "id" and new.get(resource.key, key) != key:
        raise Invalid({resource.key: [f"A {resource.kind} cannot be renamed."]})

    def edit(body: Body) -> Body:
        concurrency.check_match(call, tag_of(resource, body), plan.version(resource.kind, key))
        # A file of a form is a change, too; `prepare` stores it.
        files = dict.fromkeys(name for name in call.files if name in resource.fields)
        return {**body, **files, **concurrency.merge_json(resource, key, body, new, call)}

    def check(old: Body | None, body: Body | None) -> None:
        assert old is not None  # noqa: S101 - it is changed
        assert body is not None  # noqa: S101
        check_record(call, resource, old, body)
        check_record(call, resource, body, old)
        relations.check_references(call, resource, old, new)
        permissions.check_fields(call, resource, old, new)
        permissions.check_permit(call, resource, old, body)
        own_fields.check(resource, old, body)

    return plan.change(resource, key, edit, given=new, check=check)


def _delete(plan: Plan, resource: Resource, key: str) -> None:
    call = plan.call

    def check(old: Body | None, body: Body | None) -> None:
        assert old is not None  # noqa: S101 - it is deleted
        check_record(call, resource, old)
        if not resource.lab:
            relations.check_named(call, resource, old)
        permissions.check_permit(call, resource, old, None)
        concurrency.check_match(call, tag_of(resource, old), plan.version(resource.kind, key))

    plan.delete(resource, key, check=check)
