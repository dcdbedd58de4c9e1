"""Facts that decide who may write a record: its lab, its animals, the responsible users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from functions.api import permissions
from functions.api.engine import zones
from functions.api.engine.declarations import KINDS, Resource
from shared import catalog
from shared.access.colony import Standing, may_write_record

if TYPE_CHECKING:
    from functions.api.call import Call

DEEPEST = 2
"""References that lead from a record to its animals: a litter, its pair, the parents."""

EVERYTHING = "*"


def check_record(
    call: Call,
    resource: Resource,
    row: Mapping[str, Any],
    changed_to: Mapping[str, Any] | None = None,
    *,
    is_new: bool = False,
) -> None:
    """Refuse a caller who may not create, change or delete a record of a lab.

    Parameters
    ----------
    call : Call
    resource : Resource
    row : mapping
        The record.
    changed_to : mapping, optional
        The other version of the record (new or former), if it is changed.
    is_new : bool
        Whether it is created: then the users that it names do not count.

    Raises
    ------
    ApiError
        403 that names the users who may.
    """
    if resource.lab:
        standing = standing_of(resource, row, changed_to)
        if is_new:
            standing = msgspec.structs.replace(standing, users=())
        permissions.require(may_write_record(call.who, standing))


def standing_of(
    resource: Resource, row: Mapping[str, Any], changed_to: Mapping[str, Any] | None = None
) -> Standing:
    """Return the facts that decide who may write a record.

    Parameters
    ----------
    resource : Resource
    row : mapping
        The record.
    changed_to : mapping, optional
        The other version of the record, if it is changed: a whole lab may change some fields.
    """
    lab = zones.lab_of(resource, row)
    settings = (catalog.table("lab").get(lab) if lab else None) or {}
    if settings.get("open_lab", True) is not False:
        return Standing(lab)
    responsible = dict.fromkeys(_responsible(resource, row, DEEPEST))
    delegates = {
        colleague: None
        for user in responsible
        for colleague in (catalog.table("user").get(user) or {}).get("allowed_users") or ()
    }
    users = row.get("users") or [row.get("user")]
    return Standing(
        lab,
        is_open=False,
        responsible=tuple(responsible),
        delegates=tuple(delegates),
        users=tuple(str(user) for user in users if user),
        is_husbandry=resource.access.husbandry,
        is_welfare=_is_welfare(resource, row, changed_to),
    )


def _is_welfare(
    resource: Resource, row: Mapping[str, Any], changed_to: Mapping[str, Any] | None
) -> bool:
    free = resource.access.welfare
    if EVERYTHING in free or changed_to is None:
        return EVERYTHING in free
    names = {*row, *changed_to} & resource.fields.keys()
    return {name for name in names if row.get(name) != changed_to.get(name)} <= set(free)


def _responsible(resource: Resource, row: Mapping[str, Any], depth: int) -> Iterator[str]:
    """Yield the users responsible for the animals of a record."""
    if resource.kind == "subject":
        if user := row.get("responsible_user"):
            yield str(user)
        return
    for name, field in resource.fields.items():
        if field.type != "ref" or field.many or not row.get(name):
            continue
        if field.to == "subject" or (depth > 1 and _names_animals(KINDS[field.to])):
            other = catalog.table(field.to).get(str(row[name])) or {}
            yield from _responsible(KINDS[field.to], other, depth - 1)


def _names_animals(resource: Resource) -> bool:
    return any(f.type == "ref" and f.to == "subject" for f in resource.fields.values())
