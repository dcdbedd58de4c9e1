"""Filters of the list of sessions, including those by datasets and probes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api.engine import read_values
from functions.api.engine.filter_grammar import days, number_of
from functions.api.engine.filters import Select
from shared import catalog
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
from functions.api.engine.filters import good_enough, quality
from functions.api.resources.regions import insertions_in, views_in
from functions.api.shown.repositories import on_server


def _date_range(value: str, call: Call, select: Select) -> list[Where]:
    first, last = days("date_range", value)
    return [Where("start_time", "gte", first), Where("start_time", "lt", last)]


def _with_datasets(rows: list[list[Where]], select: Select, field: str = "id") -> list[Where]:
    """Return the conditions that a session has a dataset for each list of conditions."""
    return [Where(field, "in", select("dataset", wheres).values("session")) for wheres in rows]


def _datasets(value: str, call: Call, select: Select) -> list[Where]:
    good, existing = good_enough(call), on_server()
    names = read_values.listed(value)
    return _with_datasets(
        [[Where("name", "exact", name), good, existing] for name in names], select
    )


def _dataset_qc(value: str, call: Call, select: Select) -> list[Where]:
    most = quality("dataset_qc_lte", value)
    if call.query.get("datasets"):
        return []
    return _with_datasets([[Where("qc", "lte", most)]], select)


def _dataset_types(value: str, call: Call, select: Select) -> list[Where]:
    return _with_datasets(
        [[Where("dataset_type", "exact", name)] for name in read_values.listed(value)], select
    )


def _users(value: str, call: Call, select: Select) -> list[Where]:
    return [Where("users", "exact", name) for name in read_values.listed(value)]


def _performance(name: str, lookup: str) -> Any:
    def condition(value: str, call: Call, select: Select) -> list[Where]:
        limit = number_of(name, value)
        rows = catalog.table("session").select([Where("n_trials", "gt", 0)])
        ids = set()
        for session in rows.all(("id", "n_trials", "n_correct_trials")):
            if session.get("n_correct_trials") is not None:
                percent = 100 * session["n_correct_trials"] / session["n_trials"]
                if (percent >= limit) if lookup == "gte" else (percent <= limit):
                    ids.add(session["id"])
        return [Where("id", "in", ids)]

    return condition


def _qc(value: str, call: Call, select: Select) -> list[Where]:
    return [Where("qc", "exact", quality("qc", value))]


def _histology(value: str, call: Call, select: Select) -> list[Where]:
    done = select("session", [Where("procedures", "icontains", "histology")])
    wanted = value.strip().lower() not in ("false", "0")
    return [Where("subject", "in", done.values("subject"), not wanted)]


def _tag(value: str, call: Call, select: Select) -> list[Where]:
    return _with_datasets([[Where("tags", "icontains", value)]], select)


def _parent(value: str, call: Call, select: Select) -> list[Where]:
    return [Where("parent_session", "exact", read_values.last_part(value).lower())]


def atlas(lookup: str) -> Any:
    """Return the filter of sessions by the brain regions of their probes or images."""

    def condition(value: str, call: Call, select: Select) -> list[Where]:
        sessions_with = select("insertion", [Where("id", "in", insertions_in(lookup, value))])
        seen = sessions_with.values("session")
        images = select("field-of-view", [Where("id", "in", views_in(lookup, value))])
        return [Where("id", "in", seen | images.values("session"))]

    return condition


FILTERS = {
    "id": "id",
    "name": "name__icontains",
    "json": "json",
    "extended_qc": "extended_qc",
    "subject": "subject__iexact",
    "nickname": "subject__iexact",
    "lab": "lab__iexact",
    "location": "location__icontains",
    "task_protocol": "task_protocol__icontains",
    "procedures": "procedures__icontains",
    "project": "projects__icontains",
    "projects": "projects__icontains",
    "type": "type__iexact",
    "users": _users,
    "date_range": _date_range,
    "parent_session": _parent,
    "dataset_types": _dataset_types,
    "datasets": _datasets,
    "dataset_qc_lte": _dataset_qc,
    "performance_gte": _performance("performance_gte", "gte"),
    "performance_lte": _performance("performance_lte", "lte"),
    "qc": _qc,
    "tag": _tag,
    "histology": _histology,
    "atlas_acronym": atlas("acronym"),
    "atlas_id": atlas("id"),
    "atlas_name": atlas("name"),
}
"""Query parameters of the list beyond its fields."""
