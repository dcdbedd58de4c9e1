"""Probe insertions, chronic ones too, and their datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from functions.api.engine.visible import belonging, nested
from functions.api.errors import Invalid
from shared import catalog
from shared.records import keys
from shared.records.where import Where
from shared.sessions.contents import session_and_datasets

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan
from functions.api.resources.inside import (
    DATASET_FILTERS,
    SESSION_FILTERS,
    WORK,
    histology_changed,
    named_list,
    places,
    prepare_part,
)
from functions.api.resources.regions import atlas_filters, insertions_in, tracked_in
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
    return prepare_part(body, old, call)


def _tell_dispatch(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Have the places of the sites found when histology has decided about a probe."""
    about = (after or {}).get("json")
    decided = isinstance(about, dict) and isinstance(about.get("extended_qc"), dict)
    if after and about != (before or {}).get("json") and decided:
        session = after["session"]
        plan.then(lambda: histology_changed(session))


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
        "datasets": [row_id(dataset) for dataset in insertion_datasets(row, call)],
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


def _chronic_in(lookup: str, value: str) -> set[str]:
    """Return the chronic insertions with a channel in a region, over all their sessions."""
    probes = [Where("id", "in", insertions_in(lookup, value))]
    insertions: set[str] = catalog.table("insertion").select(probes).values("chronic_insertion")
    return (insertions | tracked_in("chronic_insertion", lookup, value)) - {None}


def _show_chronic(shown: Body, row: Row, call: Call) -> Body:
    insertions = belonging(call, row, "insertion", "chronic_insertion")
    return {"id": row["id"], **shown, "probe_insertion": nested(call, "insertion", insertions)}


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
            **DATASET_FILTERS,
            **atlas_filters(insertions_in),
        },
        reverse={
            "datasets": ("dataset", places, "place"),
            "trajectory_estimate": ("trajectory", "probe_insertion", "id"),
            "notes": ("note", "object_id", "id"),
        },
        unique=(("session", "name"),),
        prepare=_prepare_insertion,
        effects=(_tell_dispatch,),
        place=lambda body: (keys.session(body["session"]), f"E#{body['id']}"),
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
        filters={
            "probe": "probe_insertion__id",
            "session": "probe_insertion__session",
            **atlas_filters(_chronic_in),
        },
        reverse={
            "probe_insertion": ("insertion", "chronic_insertion", "id"),
            "trajectory_estimate": ("trajectory", "chronic_insertion", "id"),
            "notes": ("note", "object_id", "id"),
        },
        show=_show_chronic,
        example={"subject": "FI_001", "name": "probe00"},
    ),
)
