"""Filters of lists of datasets beyond their own fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api.engine import read_values
from functions.api.engine.filter_grammar import days, flag_of
from functions.api.engine.filters import Select, quality
from functions.api.engine.visible import public_datasets
from functions.api.shown.insertions import probe_of
from functions.api.shown.repositories import on_server
from shared import catalog
from shared.catalog.rows import Selection
from shared.model.identity import split_path
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call


def whether_exists(value: str, call: Call, select: Select) -> list[Where]:
    """Find datasets with a file on the server, or without one."""
    existing = on_server()
    return [
        existing
        if flag_of("exists", value)
        else Where("repositories", "test", existing.value, True)
    ]


def whether_public(value: str, call: Call, select: Select) -> list[Where]:
    """Find datasets that everybody sees, or the others."""
    either = public_datasets()
    if flag_of("public", value):
        return [either]
    return [Where(where.field, where.lookup, where.value, negate=True) for where in either.value]


def whether_tagged(tags: Any) -> Any:
    """Return the filter of datasets that have one of some tags, or none."""

    def condition(value: str, call: Call, select: Select) -> list[Where]:
        return [Where("tags", "in", tags(), not flag_of("", value))]

    return condition


def on_day(value: str, call: Call, select: Select) -> list[Where]:
    """Find datasets of sessions of a day."""
    first, after = days("date", f"{value},{value}")
    on_day = [Where("start_time", "gte", first), Where("start_time", "lt", after)]
    return [Where("session", "in", select("session", on_day).values("id"))]


def created(name: str, lookup: str) -> Any:
    """Return the filter of datasets by the day on which they were registered."""

    def condition(value: str, call: Call, select: Select) -> list[Where]:
        first, after = days(name, f"{value},{value}")
        if lookup == "date":
            return [
                Where("created_datetime", "gte", first),
                Where("created_datetime", "lt", after),
            ]
        bound = first if lookup == "gte" else after
        return [Where("created_datetime", "gte" if lookup == "gte" else "lt", bound)]

    return condition


def of_session(value: str, call: Call, select: Select) -> list[Where]:
    """Find datasets of a session, named by its id or address."""
    return [Where("session", "exact", read_values.last_part(value).lower())]


def of_probe(value: str, call: Call, select: Select) -> list[Where]:
    """Find datasets of a probe."""
    insertion = catalog.table("insertion").get(value.lower())
    if insertion is None:
        return [Where("session", "in", set())]
    return [
        Where("session", "exact", insertion["session"]),
        Where("collection", "test", lambda c: probe_of(c or "") == insertion["name"]),
    ]


def by_quality(value: str, call: Call, select: Select) -> list[Where]:
    """Find datasets of a quality, named by its word or number."""
    return [Where("qc", "exact", quality("qc", value))]


def in_parts(found: Selection) -> set[tuple[str, str]]:
    """Return the places of the datasets that belong to some probes or fields of view."""
    parts = {(record["session"], record["name"]) for record in found.all(("session", "name"))}
    wheres = [Where("session", "in", {session for session, _ in parts})]
    return {
        (record["session"], record["path"])
        for record in catalog.table("dataset").select(wheres).all(("session", "path"))
        if (record["session"], probe_of(split_path(record["path"])[0])) in parts
    }
