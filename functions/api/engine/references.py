"""References to a record: they prevent its deletion, or are deleted with it.

Each field declares its rule (`Field.on_delete`): the deletion is refused with the names of the
referring lists (``refuse``), the referring record is deleted too (``cascade``), or the name stays
as history (``keep``). Notes belong to the record that they are about.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from functions.api.engine.declarations import KINDS, Field, Resource, Row
from functions.api.errors import ApiError
from shared import catalog
from shared.catalog.rows import Selection
from shared.datasets.read import datasets_of
from shared.records.items import Dataset
from shared.records.where import Where, items_where

if TYPE_CHECKING:
    from functions.api.call import Call

INDEXED = {"file": ("dataset", "repositories")}
"""Kinds without rows in the index: the kind and the field to read instead."""


def relations_to(resource: Resource) -> Iterator[tuple[Resource, str, Field]]:
    """Yield the (resource, field name, field) of the relations to a resource.

    Fields within the objects of a list are named ``list.field``.
    """
    for other in KINDS.values():
        for name, spec in other.fields.items():
            if spec.type == "ref" and spec.to == resource.kind:
                yield other, name, spec
            for inner, inner_spec in (spec.items or {}).items():
                if inner_spec.type == "ref" and inner_spec.to == resource.kind:
                    yield other, f"{name}.{inner}", inner_spec


def is_named(resource: Resource) -> bool:
    """Return whether records of other kinds may name those of a resource."""
    return next(relations_to(resource), None) is not None


def referring(resource: Resource, name: str, key: str) -> Selection:
    """Return the records of a resource that name a record in a field."""
    kind, field = INDEXED.get(resource.kind, (resource.kind, name))
    if "." in field:
        field, _, inner = field.partition(".")
        where = items_where(field, Where(inner, "exact", key))
        return catalog.table(kind).select([where])
    return catalog.table(kind).select([Where(field, "exact", key)])


def refuse_if_referred(resource: Resource, row: Row) -> None:
    """Refuse to delete a record that others name.

    Raises
    ------
    ApiError
        409 that names the referring lists and their counts.
    """
    key = str(row[resource.key])
    lists = []
    for other, name, spec in relations_to(resource):
        if spec.on_delete == "refuse" and (count := len(referring(other, name, key))):
            lists.append(f"{count} of /{other.path} ({name})")
    if lists:
        raise ApiError(
            409,
            f"{resource.name} {key} is named by {', '.join(sorted(lists))}; change these first.",
        )


def belonging(resource: Resource, row: Row) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """Yield the records that are deleted with a record: its own, and the notes about it."""
    key = str(row[resource.key])
    for other, name, spec in relations_to(resource):
        if spec.on_delete == "cascade":
            for record in referring(other, name, key).all():
                yield other, record
    for record in notes_about(resource, row):
        yield KINDS["note"], record
    for item in aggregates_of(resource, row):
        yield KINDS["dataset"], {"id": item.uuid}


def notes_about(resource: Resource, row: Row) -> list[dict[str, Any]]:
    """Return the notes about a record."""
    if resource.kind == "note":
        return []
    wheres = [
        Where("content_type", "exact", resource.model),
        Where("object_id", "in", {str(row[resource.key]), str(row.get("id") or "")} - {""}),
    ]
    return catalog.table("note").select(wheres).all()


def aggregates_of(resource: Resource, row: Row) -> list[Dataset]:
    """Return the datasets of a record other than a session."""
    names = {str(row[resource.key]), str(row.get("id") or "")} - {""}
    owners = [f"{resource.model}#{name}" for name in sorted(names)]
    listed = catalog.table("dataset").select([Where("session", "in", set(owners))])
    return [item for owner in owners if len(listed) for item in datasets_of(owner)]


def delete_elsewhere(resource: Resource, key: str, call: Call) -> None:
    """Delete a part of a record that is not a document, if it still exists."""
    outer, call.deletes_parts = call.deletes_parts, True
    try:
        resource.store.delete(resource, key, call)
    except ApiError as error:
        if error.status != 404:
            raise
    finally:
        call.deletes_parts = outer
