"""Common parts of the records of a subject."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from functions.api.engine.declarations import (
    KINDS,
    Access,
    Body,
    Row,
    fills_in,
)
from functions.api.engine.filter_grammar import days
from functions.api.engine.filters import Select
from shared.model import moment
from shared.records import keys
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan
RIG = Access(rig="read create", worker="read create", welfare=("*",))

RECORDED: dict[str, Any] = {"earliest": "1990-01-01", "ahead": 366}
"""Bounds of the times of actions with an animal; plans reach a year ahead at most."""

MAX_GRAMS = 10_000
"""Largest weight and volume of water; ten times any animal of such a laboratory."""


def by_subject(kind: str, time_field: str) -> dict[str, object]:
    """Return the function that files records under their subject by time."""
    return {
        "lab": "subject",
        "parent": lambda body: (
            keys.of_subject(body["subject"]),
            f"{kind}#{body.get(time_field) or ''}",
        ),
    }


def in_days(field: str) -> Any:
    """Return the filter of records within days, ``date_range=first,last``."""

    def condition(value: str, call: Call, select: Select) -> list[Where]:
        first, after = days("date_range", value)
        return [Where(field, "gte", first), Where(field, "lt", after)]

    return condition


BY_SUBJECT = {
    "subject": "subject__iexact",
    "nickname": "subject__iexact",
    "lab": "subject__lab__iexact",
}
"""Filters of every list of actions with animals."""


def with_url(path: str) -> object:
    """Return the function that adds a record's address to its shown form."""

    def show(shown: Body, row: Row, call: Call) -> Body:
        return {**shown, "url": call.url(f"/{path}/{row['id']}")}

    return show


@fills_in("me")
def default_user(call: Call) -> str:
    """Return the caller's name."""
    return call.who.username


@fills_in("me")
def default_users(call: Call) -> list[str]:
    """Return the caller's name as a list, for fields of several users."""
    return [call.who.username]


@fills_in("now")
def now(call: Call) -> str:
    """Return the time of the request."""
    return moment.now().isoformat(timespec="seconds")


def set_protocol(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Recompute the subject's protocol number: 3 restricted, 2 operated, else 1."""
    for subject in {str(version["subject"]) for version in (before, after) if version}:
        if plan.get("subject", subject) is None:
            continue  # deleted, and this record with it
        wheres = [Where("subject", "exact", subject)]
        restricted = any(
            is_open(restriction) for restriction in plan.select("water-restriction", wheres)
        )
        number = "3" if restricted else "2" if plan.select("surgery", wheres) else "1"
        plan.change(KINDS["subject"], subject, replacing(protocol_number=number))


def replacing(**values: Any) -> Callable[[Body], Body]:
    """Return the edit that sets fields of a record."""
    return lambda body: {**body, **values}


def is_open(restriction: Row) -> bool:
    """Return whether a water restriction has not ended yet."""
    end = restriction.get("end_time")
    return not end or moment.utc(end) > moment.now()
