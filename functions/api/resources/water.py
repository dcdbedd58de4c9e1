"""Weights and water."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    REFERENCE,
    Access,
    Body,
    Resource,
    datetime,
    declare,
    flag,
    json,
    number,
    ref,
    text,
)
from functions.api.errors import Invalid
from shared import catalog
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
from functions.api.resources.of_subject import (
    BY_SUBJECT,
    MAX_GRAMS,
    RECORDED,
    RIG,
    by_subject,
    default_user,
    in_days,
    now,
    set_protocol,
    with_url,
)


def _prepare_water(body: Body, old: Body | None, call: Call) -> Body:
    subject = catalog.table("subject").get(body["subject"]) or {}
    died = subject.get("death_date")
    if died and str(body["date_time"])[:10] > died:
        raise Invalid({"date_time": [f"{body['subject']} died on {died}."]})
    if not body.get("water_type"):
        mine = [Where("subject", "exact", body["subject"])]
        rows = catalog.table("water-restriction").select(mine, order=("-start_time",)).page(0, 1)
        default = (rows[0].get("water_type") if rows else None) or "Water"
        known = catalog.table("water-type").get(default)
        body = {**body, "water_type": default if known else None}
    return body


def _place_water(body: Body) -> tuple[str, str] | None:
    """Return the place within the session it was given in, so that one query reads both."""
    return (f"SES#{body['session']}", f"H#{body['id']}") if body.get("session") else None


def _prepare_restriction(body: Body, old: Body | None, call: Call) -> Body:
    """Fill in the reference weight from the last weighing, at most a week before the start."""
    if body.get("reference_weight"):
        return body
    start = str(body["start_time"])
    mine = [Where("subject", "exact", body["subject"])]
    rows = catalog.table("weighing").select(mine, order=("-date_time",)).all()
    before = [row for row in rows if row["date_time"][:10] <= start[:10]]
    if not before:
        return {**body, "reference_weight": 0}
    days = (
        dt.date.fromisoformat(start[:10]) - dt.date.fromisoformat(before[0]["date_time"][:10])
    ).days
    if days >= 7:
        raise Invalid(
            {"reference_weight": [f"The last weighing is {days} days old; weigh or give one."]}
        )
    return {**body, "reference_weight": before[0]["weight"]}


declare(
    Resource(
        path="weighings",
        kind="weighing",
        model="actions.weighing",
        actions="list create read update partial_update delete",
        access=RIG,
        fields={
            "subject": ref("subject", required=True, null=False, on_delete="cascade"),
            "date_time": datetime(default=now, null=False, **RECORDED),
            "weight": number(unit="g", required=True, null=False, minimum=0, maximum=MAX_GRAMS),
            "user": ref("user", default=default_user),
            "json": json(),
        },
        filters={**BY_SUBJECT, "users": "user", "date_range": in_days("date_time")},
        show=with_url("weighings"),  # type: ignore[arg-type]
        example={"subject": "FI_001", "weight": 24.3},
        **by_subject("weighing", "date_time"),  # type: ignore[arg-type]
    ),
    Resource(
        path="water-type",
        django=False,
        kind="water-type",
        model="actions.watertype",
        key="name",
        access=REFERENCE,
        fields={"name": text(required=True, maximum=128), "json": json()},
        show=lambda shown, row, call: {
            "url": call.url(f"/water-type/{row['name']}"),
            **shown,
        },
        example={"name": "Water"},
    ),
    Resource(
        path="water-administrations",
        kind="watering",
        model="actions.wateradministration",
        access=RIG,
        fields={
            "subject": ref("subject", required=True, null=False, on_delete="cascade"),
            "date_time": datetime(default=now, null=False, **RECORDED),
            "water_administered": number(unit="mL", minimum=0, maximum=MAX_GRAMS),
            "water_type": ref("water-type"),
            "user": ref("user", default=default_user),
            "session": ref("session", by="id", on_delete="cascade"),
            "adlib": flag(),
            "json": json(),
        },
        filters={**BY_SUBJECT, "users": "user", "date_range": in_days("date_time")},
        prepare=_prepare_water,
        place=_place_water,
        show=with_url("water-administrations"),  # type: ignore[arg-type]
        example={"subject": "FI_001", "water_administered": 0.9},
        **by_subject("watering", "date_time"),  # type: ignore[arg-type]
    ),
    Resource(
        path="water-restriction",
        kind="water-restriction",
        access=Access(welfare=("end_time",)),
        model="actions.waterrestriction",
        fields={
            "subject": ref("subject", required=True, null=False, on_delete="cascade"),
            "start_time": datetime(default=now, null=False, **RECORDED),
            "end_time": datetime(earliest="1990-01-01"),
            "water_type": ref("water-type"),
            "reference_weight": number(unit="g", minimum=0, maximum=MAX_GRAMS),
            "json": json(),
        },
        filters={**BY_SUBJECT, "date_range": in_days("start_time")},
        shown=("subject", "start_time", "end_time", "water_type", "reference_weight"),
        prepare=_prepare_restriction,
        effects=(set_protocol,),
        show=lambda shown, row, call: {k: v for k, v in shown.items() if k != "id"},
        show_detail=lambda shown, row, call: {"id": row["id"], **shown},
        example={"subject": "FI_001", "start_time": "2024-07-01T09:00:00"},
        **by_subject("water-restriction", "start_time"),  # type: ignore[arg-type]
    ),
)
