"""Owners of datasets: a session, or another record (for aggregates)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.api.engine import meanings, read_values
from functions.api.errors import Invalid
from shared import catalog
from shared.model.messages import SessionShown
from shared.records import queues
from shared.records.leaving import Name
from shared.records.where import Where


def owner_of(data: Mapping[str, Any]) -> str | None:
    """Return the record other than a session that a body names; None if it names none."""
    if not data.get("content_type"):
        return None
    return content_owner(str(data["content_type"]), str(data.get("object_id") or ""))


def content_owner(content_type: str, object_id: str) -> str:
    """Return the owner of datasets that belong to a record other than a session.

    Raises
    ------
    Invalid
        400 if there is no such record.
    """
    from functions.api.engine.declarations import MODELS
    from functions.api.engine.plan import is_document

    resource = MODELS.get(content_type.lower())
    if resource is None:
        raise Invalid({"content_type": [f"{content_type!r} is not a kind of record."]})
    if resource.kind != "session" and not is_document(resource):
        raise Invalid({"content_type": [f"A {resource.kind} has no datasets of its own."]})
    if not object_id:
        raise Invalid({"object_id": ["This field is required."]})
    key = meanings.key_of(resource.kind, object_id)
    if key is None:
        raise Invalid({"object_id": [f'Invalid pk "{object_id}" - object does not exist.']})
    if resource.kind == "session":
        return key
    return f"{resource.model}#{object_id if read_values.is_uuid(object_id) else key}"


def record_of(owner: str) -> Name | None:
    """Return the (kind, key) of the record that datasets belong to; None if it is a session."""
    from functions.api.engine.declarations import MODELS

    model, _, identity = owner.partition("#")
    if not identity:
        return None
    kind = MODELS[model].kind
    return kind, meanings.stored_key(kind, identity) or identity


def labs_with(datasets: Where) -> set[str]:
    """Return the labs of the given datasets."""
    owners = catalog.table("dataset").select([datasets]).values("session")
    labs: set[str] = catalog.table("session").select([Where("id", "in", owners)]).values("lab")
    return labs


def tell_site(which: Where) -> None:
    """Update the site after a change of who may see some sessions."""
    for eid in catalog.table("session").select([which]).values("id"):
        queues.notify("dispatch", SessionShown(eid))
