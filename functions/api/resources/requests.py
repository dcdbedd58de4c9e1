"""Requests for animals of a line, and transfers of animals to another owner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    KINDS,
    Body,
    Resource,
    Row,
    date,
    datetime,
    declare,
    integer,
    json,
    ref,
    text,
)
from functions.api.errors import Invalid
from functions.api.resources.colony import lab_of_line, lines_lab
from functions.api.resources.notifications import notify
from functions.api.resources.of_subject import default_user, now, replacing
from shared import catalog
from shared.model.identity import nickname_of
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan


def _prepare_request(body: Body, old: Body | None, call: Call) -> Body:
    request_day = str(body["date_time"])[:10]
    if body.get("due_date") and body["due_date"] < request_day:
        raise Invalid({"due_date": [f"It was asked on {request_day}; that is later."]})
    return body


def remaining(rows: Sequence[Row]) -> dict[str, int]:
    """Return by id how many animals are still missing; attached living ones of the line count."""
    attached = [Where("request", "in", {request["id"] for request in rows})]
    animals = catalog.table("subject").select([*attached, Where("death_date", "isnull", True)])
    fields = ("request", "line", "responsible_user")
    received = Counter(
        tuple(animal.get(name) for name in fields) for animal in animals.all(fields)
    )
    return {
        request["id"]: max(
            0, int(request["count"]) - received[request["id"], request["line"], request["user"]]
        )
        for request in rows
    }


def _show_request(shown: Body, row: Row, call: Call) -> Body:
    rows = call.beside(row)
    left = call.once(f"remaining of {id(rows)}", lambda: remaining(rows))[row["id"]]
    return {**shown, "status": "open" if left else "closed", "remaining": left}


def _tell_managers(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Notify the stock managers of the lab of a new request."""
    if before is not None or after is None or call.is_import:
        return
    lab = lab_of_line(after["line"])
    managers = [Where("is_stock_manager", "exact", True), Where("lab", "exact", lab)]
    for manager in plan.select("user", managers):
        if manager["username"] != after["user"]:
            title = f"{after['user']} asks for {after['count']} of {after['line']}"
            notify(
                plan, manager["username"], lab, "request", title, after.get("description") or ""
            )


def follow_owner(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Attach an animal to the oldest open request of its new owner, and notify both people."""
    if before is None or after is None:
        return
    old, new = before.get("responsible_user"), after.get("responsible_user")
    if old == new:
        return
    wheres = [Where("user", "exact", new), Where("line", "exact", after.get("line"))]
    requests = sorted(
        plan.select("subject-request", wheres), key=lambda row: str(row["date_time"])
    )
    left = remaining(requests)
    waiting = [row["id"] for row in requests if left[row["id"]]]
    if waiting and after.get("request") not in {row["id"] for row in requests}:
        plan.change(KINDS["subject"], after["nickname"], replacing(request=waiting[0]))
    title = f"{nickname_of(after['nickname'])} is {new}'s now, no longer {old}'s"
    for user in {old, new} - {None, call.who.username}:
        kind = "responsible_user_change"
        notify(plan, str(user), after.get("lab"), kind, title, subject=after["nickname"])


declare(
    Resource(
        path="subject-requests",
        kind="subject-request",
        model="subjects.subjectrequest",
        lab="line",
        fields={
            "user": ref("user", default=default_user, null=False),
            "line": ref("line", required=True, null=False),
            "count": integer(required=True, null=False, minimum=1, maximum=10_000),
            "date_time": datetime(default=now, null=False, earliest="1990-01-01", ahead=1),
            "due_date": date(earliest="1990-01-01"),
            "description": text(),
            "json": json(),
        },
        filters=lines_lab("line"),
        reverse={"subject": ("subject", "request", "id")},
        prepare=_prepare_request,
        effects=(_tell_managers,),
        show=_show_request,
        example={"line": "Pvalb-IRES-Cre", "count": 4},
    ),
)
