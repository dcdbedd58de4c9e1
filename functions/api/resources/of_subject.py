"""What the records of a subject have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api.engine.declarations import (
    Access,
    Body,
    Row,
    fills_in,
)
from functions.api.engine.filter_grammar import days
from functions.api.engine.filters import Select
from shared import catalog
from shared.model import moment
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
RIG = Access(rig="read create", worker="read create")

RECORDED: dict[str, Any] = {"earliest": "1990-01-01", "ahead": 366}
"""Bounds of the time of what was done with an animal; plans reach a year ahead at most."""

MAX_GRAMS = 10_000
"""Largest weight and volume of water; ten times any animal of a laboratory like these."""


def by_subject(kind: str, time_field: str) -> dict[str, object]:
    """Return how records of a subject are filed: under it, by time."""
    return {
        "lab": "subject",
        "parent": lambda body: (
            f"SUBJ#{body['subject']}",
            f"{kind}#{body.get(time_field) or ''}",
        ),
    }


def in_days(field: str) -> Any:
    """Return the filter of what was done within days, ``date_range=first,last``."""

    def condition(value: str, call: Call, select: Select) -> list[Where]:
        first, after = days("date_range", value)
        return [Where(field, "gte", first), Where(field, "lt", after)]

    return condition


BY_SUBJECT = {
    "subject": "subject__iexact",
    "nickname": "subject__iexact",
    "lab": "subject__lab__iexact",
}
"""Filters of every list of what was done with animals."""


def with_url(path: str) -> object:
    """Return what adds a record's address to what is shown of it."""

    def show(shown: Body, row: Row, call: Call) -> Body:
        return {**shown, "url": call.url(f"/{path}/{row['id']}")}

    return show


@fills_in("me")
def default_user(call: Call) -> str:
    """Return the caller's name."""
    return call.who.username


@fills_in("now")
def now(call: Call) -> str:
    """Return the time of the request."""
    return moment.now().isoformat(timespec="seconds")


def after_protocol(body: Body, old: Body | None, call: Call) -> None:
    """Recompute the subject's protocol number: 3 restricted, 2 operated, else 1."""
    from shared.records import documents

    catalog.start_request()
    mine = [Where("subject", "exact", body["subject"])]
    now = moment.now().isoformat()
    open_one = any(
        not row.get("end_time") or row["end_time"] > now
        for row in catalog.table("water-restriction").select(mine).all()
    )
    operated = len(catalog.table("surgery").select(mine))
    wanted = "3" if open_one else "2" if operated else "1"
    documents.update(
        "subject",
        body["subject"],
        lambda each: {**each, "protocol_number": wanted},
        who=call.who.username,
    )
