"""Renaming of a record: all references to it change in one transaction."""

from __future__ import annotations

from functions.api.engine import references
from functions.api.engine.declarations import KINDS, Body, Resource
from functions.api.engine.plan import Plan, PlannedRecord, is_document
from functions.api.errors import ApiError
from shared import catalog
from shared.records import leaving


def rename(plan: Plan, resource: Resource, key: str, new: Body) -> PlannedRecord:
    """Plan a new key of a record, and update all references to it.

    There are no new checks and no effects, because the records keep their meaning. The plan has to
    be one transaction (`Plan.whole`).

    Parameters
    ----------
    plan : Plan
    resource : Resource
    key : str
        Its present key.
    new : dict
        The record with its new key.

    Raises
    ------
    ApiError
        409 if records other than documents name it: these cannot be updated.
    """
    record = plan.record(resource, key)
    if record.before is not None and not record.mark:
        record.mark = leaving.new_mark(plan.group)
        leaving.mark((resource.kind, key), record.mark)
        catalog.start_request()  # the mark prevents new references; now read the existing ones
    to = str(new[resource.key])
    for other, name, _ in references.relations_to(resource):
        for referring in references.referring(other, name, key).all():
            if not is_document(other):
                raise ApiError(409, f"/{other.path} name {key}, and are not renamed with it.")
            planned = plan.record(other, str(referring[other.key]))
            if planned.body is not None:
                plan.restate(planned, _renamed(planned.body, name, key, to))
    renamed = plan.restate(plan.record(resource, to), new)
    for referring in references.notes_about(resource, record.body or {}):
        note = plan.record(KINDS["note"], referring["id"])
        if note.body is not None and note.body["object_id"] == key:
            plan.restate(note, {**note.body, "object_id": to, "about": to})
        elif note.body is not None:
            plan.restate(note, {**note.body, "about": to})
    plan.restate(record, None)
    return renamed


def _renamed(body: Body, name: str, key: str, to: str) -> Body:
    """Return a record with another's new key in a field or within a list of objects."""
    field, _, inner = name.partition(".")
    value = body.get(field)
    if inner:
        items = [{**item, inner: to} if item.get(inner) == key else item for item in value or ()]
        return {**body, field: items}
    if isinstance(value, list):
        return {**body, field: [to if item == key else item for item in value]}
    return {**body, field: to}
