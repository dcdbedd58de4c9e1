"""A planned record: its identity (key, unique values, look), and the records that it names."""

from __future__ import annotations

from typing import Any

import msgspec

from functions.api.engine.declarations import Body, Field, Resource, Row
from functions.api.errors import Invalid
from shared.records.errors import Exists
from shared.records.items import Document
from shared.records.leaving import Name
from shared.records.writing import Write

LOOK = "look"
"""Name of the look of a key among the unique values."""

UNCHECKED = frozenset({"dataset", "file", "task"})
"""Kinds of record that are not looked up by name: references to them are not checked."""


class PlannedRecord(msgspec.Struct, eq=False):
    """A record of a plan.

    Attributes
    ----------
    resource : Resource
    key : str
    before : Document or None
        The record as stored.
    body : dict or None
        The record after the plan; None if it does not exist or will be deleted.
    given : dict
        Fields that the client sent, as read.
    mark : str
        Mark that it is being deleted, see `shared.records.leaving`.
    touched : bool
        Whether the plan writes it, not only reads it.
    lab : str, optional
        Lab of the record.
    is_clients, is_repeated : bool
        Whether the client chose the id of this new record, and whether a repeated request found
        it.
    """

    resource: Resource
    key: str
    before: Document | None
    body: Body | None
    given: Body
    mark: str = ""
    touched: bool = False
    lab: str | None = None
    is_clients: bool = False
    is_repeated: bool = False

    @property
    def version(self) -> int | None:
        """Version of the record as it is stored; None if it is new."""
        return None if self.before is None else int(self.before.version)


def write_of(record: PlannedRecord) -> Write:
    """Return the write of a planned record."""
    resource, body = record.resource, record.body
    old = record.before.body if record.before is not None else None
    return Write(
        kind=resource.kind,
        key=record.key,
        before=record.before,
        body=body,
        unique=unique_values(resource, body) if body is not None else (),
        was_unique=unique_values(resource, old) if old is not None else (),
        parent=resource.parent(body) if resource.parent and body is not None else None,
        place=resource.place(body) if resource.place and body is not None else None,
        needs=sorted(names_in(resource, body) - names_in(resource, old)),
        mark=record.mark,
        lab=record.lab or "",
    )


def names_in(resource: Resource, body: Row | None) -> set[Name]:
    """Return the (kind, key) of the records that a record names, which must exist.

    Names kept as history (``on_delete="keep"``) are left out.
    """
    if body is None:
        return set()
    named = set(resource.owners(dict(body))) if resource.owners else set()
    for name, spec in resource.fields.items():
        named |= _named(spec, body.get(name))
        for inner, inner_spec in (spec.items or {}).items():
            for item in body.get(name) or ():
                named |= _named(inner_spec, item.get(inner))
    return named


def _named(spec: Field, value: Any) -> set[Name]:
    if spec.type != "ref" or spec.on_delete == "keep" or spec.to in UNCHECKED:
        return set()
    keys = value if isinstance(value, (list, tuple)) else [value]
    return {(spec.to, str(key)) for key in keys if key}


def unique_values(resource: Resource, body: Row) -> list[tuple[str, str]]:
    """Return the (fields, values) that must be unique within the kind."""
    unique = []
    for names in resource.unique:
        parts = [body.get(name.rstrip("?")) for name in names]
        needed = (part for name, part in zip(names, parts, strict=True) if name[-1] != "?")
        if all(part not in (None, "") for part in needed):
            values = "\x1f".join("" if part is None else str(part) for part in parts)
            unique.append(("+".join(name.rstrip("?") for name in names), values))
    if resource.look:
        look = resource.look(resource.title_of(str(body[resource.key])))
        unique.append((LOOK, f"{body[resource.within]}\x1f{look}" if resource.within else look))
    return unique


def taken(resource: Resource, error: Exists) -> Invalid:
    """Return the error for a record whose identity is taken."""
    if f"with this {LOOK} " in str(error):
        message = f"There is a {resource.kind} with a name that looks the same; choose another."
        return Invalid({resource.key: [message]})
    if resource.key != "id" and "already exists" in str(error) and "with this" not in str(error):
        message = f"{resource.kind} with this {resource.key} already exists."
        return Invalid({resource.key: [message]})
    return Invalid({"non_field_errors": [str(error)]})
