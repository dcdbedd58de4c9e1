"""Common parts of the records inside a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api.engine import read_values
from functions.api.engine.declarations import (
    REFERENCE,
    Access,
    Body,
    Resource,
    json,
    text,
)
from functions.api.engine.filter_grammar import days
from functions.api.engine.filters import Select, good_enough, quality
from functions.api.shown.insertions import probe_of
from shared import catalog
from shared.catalog.rows import Selection
from shared.model import moment
from shared.model.identity import split_path
from shared.model.messages import SessionRegistered
from shared.records import queues
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
WORK = Access(read="public", worker="read create change delete")


FILED_SECONDS = 5
"""Seconds until dispatch looks: the index of a probe's trajectories follows their writing."""


def histology_changed(session: str) -> None:
    """Have dispatch look whether histology has decided about a probe of a session."""
    queues.notify("dispatch", SessionRegistered(session, again=True), FILED_SECONDS)


def touch(body: Body) -> Body:
    """Return a body with the time of its last change."""
    return {**body, "auto_datetime": moment.now().isoformat()}


def prepare_inside(body: Body, old: Body | None, call: Call) -> Body:
    """Add the session's start, which lists sort by."""
    session = catalog.table("session").get(body["session"]) or {}
    return touch({**body, "session_start": session.get("start_time")})


def prepare_part(body: Body, old: Body | None, call: Call) -> Body:
    """Add the folder of the datasets of a probe or a field of view: it has the same name."""
    body = prepare_inside(body, old, call)
    return {**body, "place": f"{body['session']}/{body['name']}"}


def places(found: Selection) -> set[str]:
    """Return the ``session/part`` of datasets, the place of their probe or field of view."""
    return {
        f"{dataset['session']}/{probe_of(split_path(dataset['path'])[0])}"
        for dataset in found.all(("session", "path"))
    }


def with_dataset(wheres: list[Where], select: Select) -> Where:
    """Return the condition that a probe or a field of view has a matching dataset."""
    return Where("place", "in", places(select("dataset", wheres)))


def _datasets(value: str, call: Call, select: Select) -> list[Where]:
    """Return the conditions that datasets of these names and quality exist, wherever they are."""
    good = good_enough(call)
    return [
        with_dataset([Where("name", "exact", name), good], select)
        for name in read_values.listed(value)
    ]


def _dataset_qc(value: str, call: Call, select: Select) -> list[Where]:
    if call.query.get("datasets"):
        return []  # that filter checks the quality
    return [with_dataset([Where("qc", "lte", quality("dataset_qc_lte", value))], select)]


def _dataset_types(value: str, call: Call, select: Select) -> list[Where]:
    return [
        with_dataset([Where("dataset_type", "exact", name)], select)
        for name in read_values.listed(value)
    ]


def _tag(value: str, call: Call, select: Select) -> list[Where]:
    return [with_dataset([Where("tags", "icontains", value)], select)]


DATASET_FILTERS = {
    "datasets": _datasets,
    "dataset_qc_lte": _dataset_qc,
    "dataset_types": _dataset_types,
    "tag": _tag,
}
"""Filters of probes and fields of view by their datasets."""


def session_from(kind: str, field: str) -> Any:
    """Return the function that adds the session of a record's owner, which decides who sees it."""

    def prepare(body: Body, old: Body | None, call: Call) -> Body:
        owner = catalog.table(kind).get(body[field]) or {}
        return touch({**body, "session": owner.get("session")})

    return prepare


def on_day(value: str, call: Call, select: Select) -> list[Where]:
    """Return the condition that the session was on a day."""
    first, after = days("date", f"{value},{value}")
    started = [Where("start_time", "gte", first), Where("start_time", "lt", after)]
    return [Where("session", "in", select("session", started).values("id"))]


SESSION_FILTERS = {
    "subject": "session__subject__iexact",
    "lab": "session__lab__iexact",
    "project": "session__projects__icontains",
    "task_protocol": "session__task_protocol__icontains",
    "experiment_number": "session__number",
    "date": on_day,
}


def named_list(path: str, kind: str, app: str, example: str) -> Resource:
    """Return a list of names that all labs share."""
    return Resource(
        path=path,
        kind=kind,
        model=f"{app}.{kind.replace('-', '')}",
        key="name",
        access=REFERENCE,
        fields={"name": text(required=True, maximum=255), "description": text(), "json": json()},
        example={"name": example},
    )
