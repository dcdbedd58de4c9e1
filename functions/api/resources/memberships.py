"""Memberships of laboratories, with their first and last days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api.engine.declarations import (
    KINDS,
    LISTS,
    Body,
    Resource,
    date,
    declare,
    json,
    ref,
    text,
)
from functions.api.resources.of_subject import replacing
from functions.api.resources.parts import in_order
from shared.catalog import water
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan


def _in_order(body: Body, old: Body | None, call: Any) -> Body:
    in_order(body, "start_date", "end_date", "A membership cannot end before it begins.")
    return body


def _follow(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Add the lab to an account during a membership, and remove it after the last one.

    This happens when a membership is written; labs without any membership do not change.
    """
    for username, lab in sorted({(m["user"], m["lab"]) for m in (before, after) if m}):
        user = plan.get("user", username)
        if user is None:
            continue
        wheres = [Where("user", "exact", username), Where("lab", "exact", lab)]
        today = water.now_in(lab).date().isoformat()
        runs = any(
            (item.get("start_date") or today) <= today <= (item.get("end_date") or today)
            for item in plan.select("lab-membership", wheres)
        )
        others = [item for item in user.get("lab") or () if item != lab]
        labs = [*others, lab] if runs else others
        if set(labs) != set(user.get("lab") or ()):
            plan.change(KINDS["user"], username, replacing(lab=labs))


declare(
    Resource(
        path="lab-memberships",
        kind="lab-membership",
        model="misc.labmembership",
        access=LISTS,
        lab="lab",
        fields={
            "user": ref("user", required=True, null=False, on_delete="cascade"),
            "lab": ref("lab", required=True, null=False),
            "role": text(maximum=255),
            "start_date": date(earliest="1970-01-01"),
            "end_date": date(earliest="1970-01-01"),
            "json": json(),
        },
        prepare=_in_order,
        effects=(_follow,),
        example={"user": "fimbrialab_member", "lab": "fimbrialab", "role": "technician"},
    ),
)
