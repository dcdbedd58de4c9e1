"""The lab of a record, and times on that lab's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import KINDS, Body, Resource, Row
from shared import catalog
from shared.model import moment

if TYPE_CHECKING:
    pass


def localise(resource: Resource, body: Body, lab: str | None) -> Body:
    """Return a body with its instants placed in the lab's time zone."""
    names = [n for n, f in resource.fields.items() if f.type == "datetime" and body.get(n)]
    if not names:
        return body
    zone = zone_of(lab)
    return {**body, **{name: moment.instant(body[name], zone) for name in names}}


def zone_of(lab: str | None) -> str | None:
    """Return the time zone of a lab; None (UTC) if it is not known."""
    laboratory = catalog.table("lab").get(lab) if lab else None
    return laboratory.get("timezone") if laboratory else None


def lab_of(resource: Resource, body: Row) -> str | None:
    """Return the lab that a record belongs to; None if it belongs to all."""
    if resource.kind == "lab":
        return body.get("name")
    if resource.lab == "lab":
        return body.get("lab")
    if not resource.lab:
        return None
    key = body.get(resource.lab)
    if not key:
        return None
    other = KINDS[resource.fields[resource.lab].to]
    named = catalog.table(other.kind).get(key)
    return lab_of(other, named) if named else None
