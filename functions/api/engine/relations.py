"""Naming another lab's records: one rule for the references of all kinds of record.

A record may name records of a lab only if its writer may write that lab. Existing references stay.
A record without a lab (a data notice) belongs to the labs that it names: only a caller who may
write all of them may change or delete it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from functions.api import permissions
from functions.api.engine import meanings, zones
from functions.api.engine.declarations import KINDS, MODELS, Field, Resource
from shared import catalog
from shared.datasets.read import owners_of
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call

Record = Mapping[str, Any]


def check_references(call: Call, resource: Resource, old: Record | None, new: Record) -> None:
    """Refuse to name records of labs that the caller may not write.

    Parameters
    ----------
    call : Call
    resource : Resource
    old : mapping, optional
        The stored record; None if it is new.
    new : mapping
        Fields as sent and read; absent ones stay unchanged.

    Raises
    ------
    ApiError
        403 that names the lab.
    """
    for name, field in _references(resource):
        named = _keys(new, name) if name.partition(".")[0] in new else set()
        before = _keys(old, name) if old is not None else set()
        checked = named | before if not resource.lab and not field.read_only else named - before
        _check_labs(call, field, checked)


def check_named(call: Call, resource: Resource, old: Record) -> None:
    """Refuse to delete a record without a lab that names labs which the caller may not write.

    Raises
    ------
    ApiError
        403 that names the lab.
    """
    check_references(call, resource, old, {})


def _references(resource: Resource) -> Iterator[tuple[str, Field]]:
    """Yield the fields of a resource that name records of labs, ``list.field`` in lists."""
    for name, spec in resource.fields.items():
        for label, inner in [(name, spec), *((f"{name}.{n}", f) for n, f in _inner(spec))]:
            if inner.to and not inner.read_only and (KINDS[inner.to].lab or inner.to == "lab"):
                yield label, inner


def _inner(spec: Field) -> Iterable[tuple[str, Field]]:
    return (spec.items or {}).items()


def _keys(record: Record, name: str) -> set[str]:
    """Return the keys that a field of a record holds, one or many."""
    head, _, inner = name.partition(".")
    value = record.get(head)
    values = value if isinstance(value, list | tuple) else [value]
    if inner:
        values = [item.get(inner) for item in values if isinstance(item, Mapping)]
    return {str(item) for item in values if item not in (None, "")}


def _check_labs(call: Call, field: Field, keys: set[str]) -> None:
    if keys and not call.is_import:
        for lab in labs_of(field.to, keys):
            permissions.check_lab(call.who, lab)


def labs_of(kind: str, keys: Iterable[str]) -> set[str | None]:
    """Return the labs of the given records that exist; None stands for records without a lab."""
    resource = KINDS[kind]
    if kind == "dataset":
        return {lab_of_owner(owner) for owner in owners_of(key.lower() for key in keys)}
    rows = catalog.table(kind).select([Where(resource.key, "in", set(keys))]).all()
    return {zones.lab_of(resource, row) for row in rows}


def lab_of_owner(owner: str) -> str | None:
    """Return the lab of a dataset's session or other record."""
    if "#" not in owner:
        return (catalog.table("session").get(owner) or {}).get("lab")
    model, _, identity = owner.partition("#")
    resource = MODELS.get(model)
    key = meanings.stored_key(resource.kind, identity) if resource else None
    owner_row = catalog.table(resource.kind).get(key) if resource and key else None
    return zones.lab_of(resource, owner_row) if resource and owner_row else None
