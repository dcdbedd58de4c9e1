"""Probes and images in the brain: insertions, trajectories, channels, regions, fields of view."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from functions.api.engine import read_values, show_values
from functions.api.engine.declarations import (
    FIXED,
    REFERENCE,
    Access,
    Body,
    Resource,
    Row,
    choice,
    datetime,
    declare,
    flag,
    integer,
    json,
    number,
    ref,
    text,
)
from functions.api.engine.filter_grammar import days
from functions.api.engine.filters import Select
from functions.api.errors import Invalid
from functions.api.resources.sessions import good_enough, quality, short_row
from shared.records import documents, search, times
from shared.records.items import split_path
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call

PROVENANCE = {
    "Planned": 10,
    "Micro-manipulator": 30,
    "Histology track": 50,
    "Ephys aligned histology track": 70,
}
WORK = Access(read="public", worker="read create change delete")


def _session_info(eid: str, call: Call) -> Body | None:
    row = search.table("session").get(eid)
    if row is None:
        return None
    short = short_row(row, call)
    return {
        name: short[name]
        for name in ("subject", "start_time", "number", "lab", "id", "projects", "task_protocol")
    }


def _touch(body: Body) -> Body:
    return {**body, "auto_datetime": times.now().isoformat()}


def _prepare_inside(body: Body, old: Body | None, call: Call) -> Body:
    """Note when the session began, which lists sort by."""
    row = search.table("session").get(body["session"]) or {}
    return _touch({**body, "session_start": row.get("start_time")})


def _prepare_insertion(body: Body, old: Body | None, call: Call) -> Body:
    chronic = body.get("chronic_insertion")
    if chronic and body.get("serial"):
        other = search.table("chronic-insertion").get(chronic) or {}
        if other.get("serial") and other["serial"] != body["serial"]:
            raise Invalid({"serial": ["It differs from the serial of the chronic insertion."]})
    if old and old["session"] != body["session"]:
        raise Invalid({"session": ["The session of an insertion cannot be changed."]})
    return _prepare_inside(body, old, call)


def probe_of(collection: str) -> str:
    """Return the probe that a collection belongs to: its second part."""
    parts = collection.split("/")
    return parts[1] if len(parts) > 1 else ""


def insertion_datasets(row: Row) -> list[Body]:
    """Return the datasets of an insertion: those of its session in a folder of its name."""
    mine = [
        Where("session", "exact", row["session"]),
        Where("collection", "test", lambda c: probe_of(c or "") == row["name"]),
    ]
    return search.table("dataset").select(mine).all()


def _show_insertion(shown: Body, row: Row, call: Call) -> Body:
    from shared.records.items import row_id

    session = shown.pop("session")
    return {
        "id": row["id"],
        "session": session,
        "model": shown["model"],
        "session_info": _session_info(session, call),
        "name": shown["name"],
        "json": shown["json"],
        "serial": shown["serial"],
        "auto_datetime": shown["auto_datetime"],
        "chronic_insertion": shown["chronic_insertion"],
        "datasets": [row_id(each) for each in insertion_datasets(row)],
    }


def _show_insertion_detail(shown: Body, row: Row, call: Call) -> Body:
    from functions.api.resources.data import session_dataset
    from shared.records import sessions

    session, files = sessions.session_and_datasets(row["session"], strong=True)
    repositories = {r["name"]: r for r in search.table("data-repository").rows()}
    shown["datasets"] = [
        {**session_dataset(session, item, repositories, call), "qc": int(item.qc)}
        for item in files
        if probe_of(item.collection) == row["name"]
    ]
    return shown


def _date(value: str, call: Call, select: Select) -> list[Where]:
    first, after = days("date", f"{value},{value}")
    on_day = [Where("start_time", "gte", first), Where("start_time", "lt", after)]
    return [Where("session", "in", select("session", on_day).values("id"))]


def _places(found: search.Selection) -> set[str]:
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


def regions(lookup: str, value: str) -> set[int]:
    """Return the ids of the brain regions that match, with all their descendants."""
    table = search.table("brain-region")
    how = {"acronym": "iexact", "name": "icontains", "id": "exact"}[lookup]
    wanted: Any = value.strip()
    if lookup == "id":
        if not re.fullmatch(r"-?\d{1,12}", wanted):
            raise Invalid({"atlas_id": ["Enter a number."]})
        wanted = int(wanted)
    found = {int(row["id"]) for row in table.select([Where(lookup, how, wanted)]).all(("id",))}
    return found | descendants(found)


def descendants(ids: set[int]) -> set[int]:
    """Return the ids of all regions below some."""
    children: dict[Any, list[int]] = {}
    for row in search.table("brain-region").rows():
        children.setdefault(row.get("parent"), []).append(int(row["id"]))
    found: set[int] = set()
    waiting = list(ids)
    while waiting:
        for child in children.get(waiting.pop(), []):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def insertions_in(lookup: str, value: str) -> set[str]:
    """Return the insertions with a channel in a region, by the histology with ephys alignment."""
    wanted = [Where("brain_region", "in", regions(lookup, value))]
    with_channel = search.table("channel").select(wanted).values("trajectory_estimate")
    aligned = [Where("id", "in", with_channel), Where("provenance", "gte", 70)]
    return search.table("trajectory").select(aligned).values("probe_insertion") - {None}


def views_in(lookup: str, value: str) -> set[str]:
    """Return the fields of view whose default location is in a region."""
    wanted = [
        Where("brain_region", "in", regions(lookup, value)),
        Where("default_provenance", "exact", True),
    ]
    return search.table("fov-location").select(wanted).values("field_of_view")


def _atlas(lookup: str) -> Any:
    def condition(value: str, call: Call, select: Select) -> list[Where]:
        return [Where("id", "in", insertions_in(lookup, value))]

    return condition


def _prepare_trajectory(body: Body, old: Body | None, call: Call) -> Body:
    if bool(body.get("probe_insertion")) == bool(body.get("chronic_insertion")):
        raise Invalid(
            {"non_field_errors": ["Give either a probe insertion or a chronic insertion."]}
        )
    body = {**body, "datetime": times.now().isoformat()}
    body["session"] = (search.table("insertion").get(body.get("probe_insertion") or "") or {}).get(
        "session"
    )
    return body


def _show_trajectory(shown: Body, row: Row, call: Call) -> Body:
    insertion = search.table("insertion").get(row.get("probe_insertion") or "") or {}
    info = _session_info(insertion["session"], call) if insertion else None
    return {
        "id": row["id"],
        **shown,
        "probe_name": insertion.get("name"),
        "session": info,
    }


def _session_from(kind: str, field: str) -> Any:
    """Return what notes the session of the record that one belongs to; it decides who sees it."""

    def prepare(body: Body, old: Body | None, call: Call) -> Body:
        row = search.table(kind).get(body[field]) or {}
        return _touch({**body, "session": row.get("session")})

    return prepare


def _delete_below(kind: str, field: str) -> Any:
    """Return what deletes the records that belong to one that is deleted."""

    def cascade(body: Body, call: Call) -> None:
        for row in search.table(kind).select([Where(field, "exact", body["id"])]).all(("id",)):
            documents.delete(kind, str(row["id"]), who=call.who.username)

    return cascade


def delete_tracks(body: Body, call: Call) -> None:
    """Delete the trajectories of an insertion, with their channels."""
    mine = [Where("probe_insertion", "exact", body["id"])]
    for row in search.table("trajectory").select(mine).all():
        _delete_below("channel", "trajectory_estimate")(row, call)
        documents.delete("trajectory", row["id"], who=call.who.username)


def _trajectory_session(value: str, call: Call, select: Select) -> list[Where]:
    return [Where("session", "exact", value.rpartition("/")[2])]


VOID = {0}
"""What is outside of the brain: no region's ancestor, though it is above the root."""


def _region_lookup(which: str) -> Any:
    def condition(value: str, call: Call, select: Select) -> list[Where]:
        table = search.table("brain-region")
        by_id = re.fullmatch(r"-?\d{1,12}", value.strip())
        where = (
            Where("id", "exact", int(value))
            if by_id
            else Where("acronym", "iexact", value.strip())
        )
        found = {int(row["id"]) for row in table.select([where]).all(("id",))}
        if which == "descendants":
            return [Where("id", "in", (found | descendants(found)) - VOID)]
        parents = {int(row["id"]): row.get("parent") for row in table.rows()}
        above: set[int] = set()
        for each in found:
            region: int | None = each
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
        {"id": int(each["id"]), "acronym": each["acronym"], "description": each["description"]}
        for each in search.table("brain-region").select([family]).all()
        if each.get("description")
    ]
    return shown


def _one_default(body: Body, old: Body | None, call: Call) -> None:
    """Keep one default location per field of view."""
    if not body.get("default_provenance"):
        return
    mine = [
        Where("field_of_view", "exact", body["field_of_view"]),
        Where("default_provenance", "exact", True),
        Where("id", "exact", body["id"], negate=True),
    ]
    for row in search.table("fov-location").select(mine).all():
        documents.update(
            "fov-location",
            row["id"],
            lambda each: {**each, "default_provenance": False},
            who=call.who.username,
        )


def _show_view(shown: Body, row: Row, call: Call) -> Body:
    from functions.api.engine.declarations import KINDS

    mine = search.table("fov-location").select([Where("field_of_view", "exact", row["id"])])
    resource = KINDS["fov-location"]
    shown["location"] = [show_values.show(resource, each, call) for each in mine.all()]
    return {"id": row["id"], **shown}


def _show_stack(shown: Body, row: Row, call: Call) -> Body:
    from functions.api.engine.declarations import KINDS

    mine = search.table("field-of-view").select([Where("stack", "exact", row["id"])])
    resource = KINDS["field-of-view"]
    return {**shown, "slices": [show_values.show(resource, each, call) for each in mine.all()]}


def _show_chronic(shown: Body, row: Row, call: Call) -> Body:
    from functions.api.engine.declarations import KINDS

    mine = search.table("insertion").select([Where("chronic_insertion", "exact", row["id"])])
    resource = KINDS["insertion"]
    rows = [show_values.show(resource, each, call) for each in mine.all()]
    return {"id": row["id"], **shown, "probe_insertion": rows}


def _region(value: int) -> None:
    if search.table("brain-region").get(str(value)) is None:
        raise ValueError(f'Invalid pk "{value}" - object does not exist.')


def _regions(value: Any) -> None:
    if not isinstance(value, list) or any(type(each) is not int for each in value):
        raise ValueError("Expected a list of the ids of brain regions.")
    for each in value:
        _region(each)


def _few_floats(value: Sequence[float]) -> None:
    if len(value) > 8:
        raise ValueError("Ensure this field has no more than 8 elements.")


def _floats(**options: Any) -> Any:
    from functions.api.engine.declarations import Field

    return Field("floats", default=(), check=_few_floats, indexed=False, **options)


def _named(path: str, kind: str, app: str, example: str) -> Resource:
    return Resource(
        path=path,
        kind=kind,
        model=f"{app}.{kind.replace('-', '')}",
        key="name",
        access=REFERENCE,
        fields={"name": text(required=True, maximum=255), "description": text(), "json": json()},
        example={"name": example},
    )


_SESSION_FILTERS = {
    "subject": "session__subject__iexact",
    "lab": "session__lab__iexact",
    "project": "session__projects__icontains",
    "task_protocol": "session__task_protocol__icontains",
    "experiment_number": "session__number",
    "date": _date,
}

declare(
    _named("probe-models", "probe-model", "experiments", "3B2"),
    _named("coordinate-systems", "coordinate-system", "experiments", "IBL-Allen"),
    _named("imaging-types", "imaging-type", "experiments", "mesoscope"),
    Resource(
        path="insertions",
        kind="insertion",
        model="experiments.probeinsertion",
        access=WORK,
        lab="session",
        public_by="session",
        fields={
            "session": ref("session", by="id", required=True, null=False),
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
            **_SESSION_FILTERS,
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
        allow_delete=delete_tracks,
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
            "subject": ref("subject", required=True, null=False),
            "lab": ref("lab"),
            "model": ref("probe-model"),
            "start_time": datetime(),
            "serial": text(maximum=255),
            "json": json(),
        },
        show=_show_chronic,
        example={"subject": "FI_001", "name": "probe00"},
    ),
    Resource(
        path="trajectories",
        kind="trajectory",
        model="experiments.trajectoryestimate",
        access=WORK,
        lab="probe_insertion",
        public_by="session",
        fields={
            "probe_insertion": ref("insertion", by="id"),
            "chronic_insertion": ref("chronic-insertion", by="id"),
            "x": number(required=True),
            "y": number(required=True),
            "z": number(),
            "depth": number(required=True),
            "theta": number(required=True, minimum=0, maximum=180),
            "phi": number(required=True, minimum=-180, maximum=360),
            "roll": number(),
            "provenance": choice(PROVENANCE, required=True, null=False),
            "coordinate_system": ref("coordinate-system"),
            "datetime": datetime(read_only=True),
            "json": json(),
        },
        filters={
            "session": _trajectory_session,
            "date": _date,
            "probe": "probe_insertion__name",
            "subject": "probe_insertion__session__subject__iexact",
            "lab": "probe_insertion__session__lab__iexact",
            "project": "probe_insertion__session__projects__icontains",
            "experiment_number": "probe_insertion__session__number",
        },
        unique=(("provenance", "probe_insertion"), ("provenance", "chronic_insertion")),
        prepare=_prepare_trajectory,
        allow_delete=_delete_below("channel", "trajectory_estimate"),
        show=_show_trajectory,
        example={
            "probe_insertion": "<insertion id>",
            "x": 0.1,
            "y": 0.2,
            "depth": 4000,
            "theta": 10,
            "phi": 180,
            "provenance": "Planned",
        },
    ),
    Resource(
        path="channels",
        kind="channel",
        model="experiments.channel",
        access=WORK,
        lab="trajectory_estimate",
        fields={
            "name": text(maximum=255),
            "axial": number(),
            "lateral": number(),
            "x": number(),
            "y": number(),
            "z": number(),
            "brain_region": integer(check=_region),
            "trajectory_estimate": ref("trajectory", by="id", required=True, null=False),
            "json": json(),
        },
        filters={
            "session": _trajectory_session,
            "probe_insertion": "trajectory_estimate__probe_insertion",
        },
        public_by="session",
        prepare=_session_from("trajectory", "trajectory_estimate"),
        unique=(("trajectory_estimate", "axial", "lateral"),),
        many=True,
        example={"trajectory_estimate": "<trajectory id>", "axial": 20, "lateral": 43},
    ),
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
            "parent": integer(),
            "ontology": integer(),
        },
        filters={
            "ancestors": _region_lookup("ancestors"),
            "descendants": _region_lookup("descendants"),
        },
        show=_show_region,
        show_detail=_show_region_detail,
        order=("id",),
        example={"id": 997, "acronym": "root", "name": "root"},
    ),
    Resource(
        path="fields-of-view",
        kind="field-of-view",
        model="experiments.fov",
        access=WORK,
        lab="session",
        public_by="session",
        fields={
            "session": ref("session", by="id", required=True, null=False),
            "imaging_type": ref("imaging-type"),
            "name": text(maximum=255),
            "stack": ref("imaging-stack", by="id"),
            "json": json(),
            "auto_datetime": datetime(read_only=True),
        },
        filters=_SESSION_FILTERS,
        unique=(("session", "name"),),
        prepare=_prepare_inside,
        place=lambda body: (f"SES#{body['session']}", f"F#{body['id']}"),
        show=_show_view,
        example={"session": "<session id>", "name": "FOV_00"},
    ),
    Resource(
        path="fov-location",
        kind="fov-location",
        model="experiments.fovlocation",
        access=WORK,
        lab="field_of_view",
        fields={
            "field_of_view": ref("field-of-view", by="id", required=True, null=False),
            "provenance": choice({"E": "E", "F": "F", "L": "L", "H": "H"}, required=True),
            "default_provenance": flag(),
            "x": _floats(),
            "y": _floats(),
            "z": _floats(),
            "n_xyz": _floats(),
            "brain_region": json(check=_regions),
            "coordinate_system": ref("coordinate-system"),
            "auto_datetime": datetime(read_only=True),
        },
        unique=(("provenance", "field_of_view"),),
        public_by="session",
        prepare=_session_from("field-of-view", "field_of_view"),
        after=_one_default,
        show=lambda shown, row, call: {"id": row["id"], **shown},
        example={"field_of_view": "<field of view id>", "provenance": "E"},
    ),
    Resource(
        path="imaging-stack",
        kind="imaging-stack",
        model="experiments.imagingstack",
        actions="list create read",
        access=WORK,
        fields={"name": text(maximum=255), "json": json()},
        show=_show_stack,
        example={"name": "stack 1"},
    ),
)
