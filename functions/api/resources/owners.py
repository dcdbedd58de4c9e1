"""What datasets belong to: a session, or another record (an aggregate's)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.api.engine import read_values
from functions.api.errors import Invalid
from shared import catalog
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

    resource = MODELS.get(content_type.lower())
    if resource is None:
        raise Invalid({"content_type": [f"{content_type!r} is not a kind of record."]})
    if not object_id:
        raise Invalid({"object_id": ["This field is required."]})
    key = read_values.key_of(resource.kind, object_id)
    if key is None:
        raise Invalid({"object_id": [f'Invalid pk "{object_id}" - object does not exist.']})
    return f"{resource.model}#{object_id}"


def lab_of_owner(owner: str) -> str | None:
    """Return the lab of a dataset's session or other record."""
    from functions.api.engine.declarations import MODELS

    if "#" not in owner:
        return (catalog.table("session").get(owner) or {}).get("lab")
    model, _, identity = owner.partition("#")
    resource = MODELS.get(model)
    key = read_values.key_of(resource.kind, identity) if resource else None
    row = catalog.table(resource.kind).get(key) if resource and key else None
    return read_values.lab_of(resource, row) if resource and row else None


def labs_with(datasets: Where) -> set[str]:
    """Return the labs that have some datasets."""
    owners = catalog.table("dataset").select([datasets]).values("session")
    labs: set[str] = catalog.table("session").select([Where("id", "in", owners)]).values("lab")
    return labs
