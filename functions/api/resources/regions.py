"""Regions of the brain, and the probes and images in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from functions.api.engine.declarations import (
    FIXED,
    Body,
    Resource,
    Row,
    declare,
    integer,
    text,
)
from functions.api.engine.filters import Select
from functions.api.errors import Invalid
from shared import catalog
from shared.catalog.rows import Selection
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call


VOID = {0}
"""The region outside of the brain: it is above the root, but does not count as an ancestor."""


def regions(lookup: str, value: str) -> set[int]:
    """Return the ids of the brain regions that match, with all their descendants."""
    table = catalog.table("brain-region")
    how = {"acronym": "iexact", "name": "icontains", "id": "exact"}[lookup]
    wanted: Any = value.strip()
    if lookup == "id":
        if not re.fullmatch(r"-?\d{1,12}", wanted):
            raise Invalid({"atlas_id": ["Enter a number."]})
        wanted = int(wanted)
    ids = {int(region["id"]) for region in table.select([Where(lookup, how, wanted)]).all(("id",))}
    return ids | descendants(ids)


def descendants(ids: set[int]) -> set[int]:
    """Return the ids of all regions below the given ones."""
    children: dict[Any, list[int]] = {}
    for region in catalog.table("brain-region").rows():
        children.setdefault(region.get("parent"), []).append(int(region["id"]))
    below: set[int] = set()
    waiting = list(ids)
    while waiting:
        for child in children.get(waiting.pop(), []):
            if child not in below:
                below.add(child)
                waiting.append(child)
    return below


def insertions_in(lookup: str, value: str) -> set[str]:
    """Return the insertions with a channel in a region, by the histology with ephys alignment."""
    return tracked_in("probe_insertion", lookup, value)


def tracked_in(field: str, lookup: str, value: str) -> set[str]:
    """Return the probes with a channel in a region, as a field of trajectories names them."""
    wanted = [Where("brain_region", "in", regions(lookup, value))]
    with_channel = catalog.table("channel").select(wanted).values("trajectory_estimate")
    aligned = [Where("id", "in", with_channel), Where("provenance", "gte", 70)]
    probes: set[str] = catalog.table("trajectory").select(aligned).values(field) - {None}
    return probes


def views_in(lookup: str, value: str) -> set[str]:
    """Return the fields of view whose default location is in a region."""
    wanted = [
        Where("brain_region", "in", regions(lookup, value)),
        Where("default_provenance", "exact", True),
    ]
    return catalog.table("fov-location").select(wanted).values("field_of_view")


def atlas_filters(found: Callable[[str, str], set[str]]) -> dict[str, Any]:
    """Return the filters of a list by brain region; the function returns the ids in a region."""

    def by(lookup: str) -> Any:
        def condition(value: str, call: Call, select: Select) -> list[Where]:
            return [Where("id", "in", found(lookup, value))]

        return condition

    return {f"atlas_{lookup}": by(lookup) for lookup in ("acronym", "id", "name")}


def _region_lookup(which: str) -> Any:
    def condition(value: str, call: Call, select: Select) -> list[Where]:
        table = catalog.table("brain-region")
        by_id = re.fullmatch(r"-?\d{1,12}", value.strip())
        where = (
            Where("id", "exact", int(value))
            if by_id
            else Where("acronym", "iexact", value.strip())
        )
        matching = {
            int(stored_region["id"]) for stored_region in table.select([where]).all(("id",))
        }
        if which == "descendants":
            return [Where("id", "in", (matching | descendants(matching)) - VOID)]
        parents = {
            int(stored_region["id"]): stored_region.get("parent") for stored_region in table.rows()
        }
        above: set[int] = set()
        for identity in matching:
            region: int | None = identity
            while region is not None and region not in above:
                above.add(region)
                region = parents.get(region)
        return [Where("id", "in", above - VOID)]

    return condition


def _show_region(shown: Body, row: Row, call: Call) -> Body:
    return {**shown, "id": int(row["id"])}


def _show_region_detail(shown: Body, row: Row, call: Call) -> Body:
    family = Where("id", "in", descendants({int(row["id"])}))
    shown["related_descriptions"] = [
        {
            "id": int(relative["id"]),
            "acronym": relative["acronym"],
            "description": relative["description"],
        }
        for relative in catalog.table("brain-region").select([family]).all()
        if relative.get("description")
    ]
    return shown


def _regions_of(found: Selection) -> set[int]:
    """Return the regions that locations of fields of view lie in."""
    rows = found.all(("brain_region",))
    return {int(identity) for location in rows for identity in location.get("brain_region") or ()}


def check_region(value: int) -> None:
    """Refuse a number that is not the id of a region."""
    if catalog.table("brain-region").get(str(value)) is None:
        raise ValueError(f'Invalid pk "{value}" - object does not exist.')


def check_regions(value: Any) -> None:
    """Refuse a value other than a list of ids of regions."""
    if not isinstance(value, list) or any(type(identity) is not int for identity in value):
        raise ValueError("Expected a list of the ids of brain regions.")
    for identity in value:
        check_region(identity)


declare(
    Resource(
        path="brain-regions",
        kind="brain-region",
        model="experiments.brainregion",
        actions="list create read update partial_update",
        access=FIXED,
        fields={
            "id": integer(required=True),
            "acronym": text(maximum=64),
            "name": text(maximum=255),
            "description": text(),
            "parent": integer(to="brain-region"),
            "ontology": integer(),
        },
        filters={
            "acronym": "acronym__iexact",
            "name": "name__icontains",
            "description": "description__icontains",
            "ancestors": _region_lookup("ancestors"),
            "descendants": _region_lookup("descendants"),
        },
        reverse={
            "channels": ("channel", "brain_region", "id"),
            "brain_region": ("fov-location", _regions_of, "id"),
            "children": ("brain-region", "parent", "id"),
        },
        show=_show_region,
        show_detail=_show_region_detail,
        order=("id",),
        example={"id": 997, "acronym": "root", "name": "root"},
    ),
)
