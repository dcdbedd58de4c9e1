"""Surgeries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    KINDS,
    Body,
    Resource,
    choice,
    datetime,
    declare,
    flag,
    json,
    number,
    ref,
    refs,
    text,
)

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan
from functions.api.errors import Invalid
from functions.api.resources import licences, lives
from functions.api.resources.culls import SEVERITY
from functions.api.resources.of_subject import (
    BY_SUBJECT,
    MAX_GRAMS,
    RECORDED,
    by_subject,
    default_users,
    in_days,
    now,
    replacing,
    set_protocol,
)
from shared import catalog

MODERATE = SEVERITY["moderate"]
"""The lowest severity of a life with a surgery."""

LAST = ("a", "n")
"""Outcomes that an animal does not survive: acute, non-recovery."""


def _prepare_surgery(body: Body, old: Body | None, call: Call) -> Body:
    """Check the time; fill in the animal's lab."""
    if call.is_import:
        return body
    lives.check_time(body, old, call, "start_time")
    lives.check_ends(body, old, call, "surgery")
    _check_licence(body, old)
    return {**body, "lab": body.get("lab") or lives.subject_of(body).get("lab")}


def _check_licence(body: Body, old: Body | None) -> None:
    """Refuse a surgery that the animal's licence does not cover, or ask to confirm it.

    The licence decides: ``refuse`` or ``warn``, as for animals beyond the allowance.
    """
    names = ("subject", "start_time", "procedures")
    if old is not None and all(body.get(name) == old.get(name) for name in names):
        return
    number = lives.subject_of(body).get("licence")
    licence = catalog.table("licence").get(number) if number else None
    if licence is None or not body.get("start_time"):
        return
    faults = licences.outside(licence, str(body["start_time"])[:10], body.get("procedures") or ())
    if faults and licence.get("excess") == "refuse":
        raise Invalid({"procedures": faults})
    if faults and not body.get("unusual"):
        raise Invalid(
            {"unusual": [*faults, 'If it is right, send it again with "unusual": true.']}
        )


def _mark_life(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Raise the severity of a life with a surgery, and end the life if the outcome says so."""
    subject = plan.get("subject", str(after["subject"])) if after else None
    if after is None or subject is None or call.is_import:
        return
    changes: Body = {}
    if before is None and (subject.get("actual_severity") or 0) < MODERATE:
        changes["actual_severity"] = MODERATE
    last = after.get("outcome_type") in LAST and after.get("end_time")
    if last and not subject.get("death_date"):
        changes["death_date"] = str(after["end_time"])[:10]
    if changes:
        plan.change(KINDS["subject"], subject["nickname"], replacing(**changes))


declare(
    Resource(
        path="surgeries",
        kind="surgery",
        model="actions.surgery",
        fields={
            "name": text(maximum=255),
            "subject": ref("subject", required=True, null=False, on_delete="cascade"),
            "lab": ref("lab"),
            "location": ref("location"),
            "users": refs("user", default=default_users),
            "procedures": refs("procedure"),
            "narrative": text(),
            "start_time": datetime(default=now, **RECORDED),
            "end_time": datetime(**RECORDED),
            "unusual": flag(help="It is right although the animal's licence does not cover it."),
            "outcome_type": choice({"a": "a", "r": "r", "n": "n"}),
            "implant_weight": number(
                unit="g", required=True, null=False, minimum=0, maximum=MAX_GRAMS
            ),
            "json": json(),
        },
        filters={
            "procedure": "procedures__iexact",
            **BY_SUBJECT,
            "location": "location__icontains",
            "date_range": in_days("start_time"),
        },
        prepare=_prepare_surgery,
        effects=(set_protocol, _mark_life),
        example={"subject": "FI_001", "implant_weight": 1.4},
        **by_subject("surgery", "start_time"),  # type: ignore[arg-type]
    ),
)
