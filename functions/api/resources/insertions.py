"""Probe insertions, chronic ones too, and their datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api.engine import read_values
from functions.api.engine.declarations import (
    Body,
    Resource,
    Row,
    datetime,
    declare,
    json,
    ref,
    text,
)
from functions.api.engine.filters import Select
from functions.api.engine.visible import nested, related
from functions.api.errors import Invalid
from shared import catalog
from shared.catalog.versions import Selection
from shared.model.identity import split_path
from shared.records.where import Where
from shared.sessions.contents import session_and_datasets

if TYPE_CHECKING:
    from functions.api.call import Call
from functions.api.engine.filters import good_enough, quality
from functions.api.resources.inside import (
    SESSION_FILTERS,
    WORK,
    named_list,
    prepare_inside,
)
from functions.api.resources.regions import insertions_in
from functions.api.shown.insertions import insertion_datasets, probe_of
from functions.api.shown.sessions import session_info


def _prepare_insertion(body: Body, old: Body | None, call: Call) -> Body:
    chronic = body.get("chronic_insertion")
    if chronic and body.get("serial"):
        other = catalog.table("chronic-insertion").get(chronic) or {}
        if other.get("serial") and other["serial"] != body["serial"]:
            raise Invalid({"serial": ["It differs from the serial of the chronic insertion."]})
    if old and old["session"] != body["session"]:
        raise Invalid({"session": ["The session of an insertion cannot be changed."]})
    return prepare_inside(body, old, call)


def _show_insertion(shown: Body, row: Row, call: Call) -> Body:
    from shared.model.identity import row_id

    session = shown.pop("session")
    return {
        "id": row["id"],
        "session": session,
        "model": shown["model"],
        "session_info": session_info(session, call),
        "name": shown["name"],
        "json": shown["json"],
        "serial": shown["serial"],
        "auto_datetime": shown["auto_datetime"],
        "chronic_insertion": shown["chronic_insertion"],
        "datasets": [row_id(each) for each in insertion_datasets(row, call)],
    }


def _show_insertion_detail(shown: Body, row: Row, call: Call) -> Body:
    from functions.api.shown.datasets import session_dataset

    session, files = session_and_datasets(row["session"], strong=True)
    repositories = {r["name"]: r for r in catalog.table("data-repository").rows()}
    shown["datasets"] = [
        {**session_dataset(session, item, repositories, call), "qc": int(item.qc)}
        for item in files
        if probe_of(item.collection) == row["name"]
    ]
    return shown


def _places(found: Selection) -> set[str]:
    """Return ``session/probe`` of some datasets, which is where their insertions are."""
    return {
        f"{row['session']}/{probe_of(split_path(row['path'])[0])}"
        for row in found.all(("session", "path"))
    }


def _insertions_with(wheres: list[Where], select: Select) -> Where:
    """Return the condition that an insertion has a dataset of a kind."""
    return Where("place", "in", _places(select("dataset", wheres)))


def _datasets(value: str, call: Call, select: Select) -> list[Where]:
    """Return the conditions that there are datasets of these names, good enough; not where."""
    good = good_enough(call)
    return [
        _insertions_with([Where("name", "exact", name), good], select)
        for name in read_values.listed(value)
    ]


def _dataset_qc(value: str, call: Call, select: Select) -> list[Where]:
    if call.query.get("datasets"):
        return []  # says so itself
    return [_insertions_with([Where("qc", "lte", quality("dataset_qc_lte", value))], select)]


def _dataset_types(value: str, call: Call, select: Select) -> list[Where]:
    return [
        _insertions_with([Where("dataset_type", "exact", name)], select)
        for name in read_values.listed(value)
    ]


def _tag(value: str, call: Call, select: Select) -> list[Where]:
    return [_insertions_with([Where("tags", "icontains", value)], select)]


def _atlas(lookup: str) -> Any:
    def condition(value: str, call: Call, select: Select) -> list[Where]:
        return [Where("id", "in", insertions_in(lookup, value))]

    return condition


def _show_chronic(shown: Body, row: Row, call: Call) -> Body:
    mine = related(call, "insertion", [Where("chronic_insertion", "exact", row["id"])])
    return {"id": row["id"], **shown, "probe_insertion": nested(call, "insertion", mine.all())}


declare(
    named_list("probe-models", "probe-model", "experiments", "3B2"),
    Resource(
        path="insertions",
        kind="insertion",
        model="experiments.probeinsertion",
        access=WORK,
        lab="session",
        public_by="session",
        fields={
            "session": ref("session", by="id", required=True, null=False, on_delete="cascade"),
            "name": text(required=True, maximum=255),
            "model": ref("probe-model"),
            "serial": text(maximum=255),
            "chronic_insertion": ref("chronic-insertion", by="id"),
            "json": json(),
            "auto_datetime": datetime(read_only=True),
        },
        filters={
            "id": "id",
            "name": "name__iexact",
            "model": "model__iexact",
            **SESSION_FILTERS,
            "datasets": _datasets,
            "dataset_qc_lte": _dataset_qc,
            "dataset_types": _dataset_types,
            "tag": _tag,
            "atlas_acronym": _atlas("acronym"),
            "atlas_id": _atlas("id"),
            "atlas_name": _atlas("name"),
        },
        reverse={
            "datasets": ("dataset", _places, "place"),
            "trajectory_estimate": ("trajectory", "probe_insertion", "id"),
        },
        unique=(("session", "name"),),
        prepare=lambda body, old, call: {
            **_prepare_insertion(body, old, call),
            "place": f"{body['session']}/{body['name']}",
        },
        place=lambda body: (f"SES#{body['session']}", f"E#{body['id']}"),
        show=_show_insertion,
        show_detail=_show_insertion_detail,
        example={"session": "<session id>", "name": "probe00", "model": "3B2"},
    ),
    Resource(
        path="chronic-insertions",
        kind="chronic-insertion",
        model="experiments.chronicinsertion",
        lab="subject",
        fields={
            "name": text(maximum=255),
            "subject": ref("subject", required=True, null=False, on_delete="cascade"),
            "lab": ref("lab"),
            "model": ref("probe-model"),
            "start_time": datetime(),
            "serial": text(maximum=255),
            "json": json(),
        },
        show=_show_chronic,
        example={"subject": "FI_001", "name": "probe00"},
    ),
)
