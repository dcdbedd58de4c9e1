"""What the records inside a session have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api.engine.declarations import (
    REFERENCE,
    Access,
    Body,
    Resource,
    json,
    text,
)
from functions.api.engine.filter_grammar import days
from functions.api.engine.filters import Select
from shared import catalog
from shared.model import moment
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
WORK = Access(read="public", worker="read create change delete")


def touch(body: Body) -> Body:
    """Return a body that says when it was changed last."""
    return {**body, "auto_datetime": moment.now().isoformat()}


def prepare_inside(body: Body, old: Body | None, call: Call) -> Body:
    """Note when the session began, which lists sort by."""
    row = catalog.table("session").get(body["session"]) or {}
    return touch({**body, "session_start": row.get("start_time")})


def session_from(kind: str, field: str) -> Any:
    """Return what notes the session of the record that one belongs to; it decides who sees it."""

    def prepare(body: Body, old: Body | None, call: Call) -> Body:
        row = catalog.table(kind).get(body[field]) or {}
        return touch({**body, "session": row.get("session")})

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
