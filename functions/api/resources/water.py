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
    refs,
    text,
)
from functions.api.errors import Invalid
from shared import catalog
from shared.model import moment
from shared.model.identity import nickname_of
from shared.model.people import MACHINES
from shared.records import keys
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
from functions.api.resources import lives
from functions.api.resources.of_subject import (
    BY_SUBJECT,
    MAX_GRAMS,
    RECORDED,
    RIG,
    by_subject,
    default_user,
    default_users,
    in_days,
    is_open,
    now,
    set_protocol,
    with_url,
)


def _prepare_water(body: Body, old: Body | None, call: Call) -> Body:
    lives.check_time(body, old, call, "date_time")
    if not body.get("water_type"):
        wheres = [Where("subject", "exact", body["subject"])]
        rows = catalog.table("water-restriction").select(wheres, order=("-start_time",)).page(0, 1)
        default = (rows[0].get("water_type") if rows else None) or "Water"
        water_type = catalog.table("water-type").get(default)
        body = {**body, "water_type": default if water_type else None}
    return body


def _place_water(body: Body) -> tuple[str, str] | None:
    """Return a place within its session, so that one query reads both."""
    return (keys.session(body["session"]), f"H#{body['id']}") if body.get("session") else None


HEAD_START = dt.timedelta(seconds=60)
"""How far a device's clock may be ahead."""

USUAL_GRAMS = (5, 60)
USUAL_CHANGE = 0.2
"""Usual weights of mice and usual relative change; other weights must be confirmed."""


def _prepare_weighing(body: Body, old: Body | None, call: Call) -> Body:
    """Refuse a weight in the future, and an unusual weight until it is confirmed.

    Unusual weights from rigs are stored and marked: a rig cannot confirm.
    """
    same = old and all(body[name] == old[name] for name in ("subject", "date_time", "weight"))
    if call.is_import or same:
        return body
    lives.check_time(body, old, call, "date_time")
    if moment.utc(lives.instant_of(body, "date_time")) > moment.now() + HEAD_START:
        raise Invalid({"date_time": ["It lies in the future; look at the clock of this device."]})
    fault = None if body["unusual"] else _looks_wrong(body)
    if fault and call.who.role not in MACHINES:
        text = f'{fault} If it is right, send it again with "unusual": true.'
        raise Invalid({"weight": [text]})
    return {**body, "unusual": bool(body["unusual"] or fault)}


def _looks_wrong(body: Body) -> str | None:
    """Explain why a weight is unusual; None if it is not."""
    weight, (least, most) = body["weight"], USUAL_GRAMS
    if not least <= weight <= most:
        return f"{weight} g is not between {least} and {most} g."
    at = moment.utc(lives.instant_of(body, "date_time"))
    wheres = [Where("subject", "exact", body["subject"])]
    former = [
        row
        for row in catalog.table("weighing").select(wheres).all()
        if moment.utc(row["date_time"]) < at and row["id"] != body.get("id")
    ]
    last = max(former, key=lambda row: moment.utc(row["date_time"]), default=None)
    if last is None or not last["weight"]:
        return None
    change = weight / last["weight"] - 1
    if abs(change) <= USUAL_CHANGE:
        return None
    word = "more" if change > 0 else "less"
    day = last["date_time"][:10]
    return f"{weight} g is {abs(change):.0%} {word} than the {last['weight']} g of {day}."


def _prepare_restriction(body: Body, old: Body | None, call: Call) -> Body:
    """Check the times; fill in the lab, the water and the reference weight."""
    if call.is_import:  # an empty reference weight stays: the rules then use the last weighing
        return body
    lives.check_time(body, old, call, "start_time")
    lives.check_ends(body, old, call, "restriction")
    _check_only_one(body, old)
    lab = catalog.table("lab").get(lives.subject_of(body).get("lab") or "") or {}
    water = body.get("water_type") or lab.get("water_type") or "Water"
    water_type = catalog.table("water-type").get(water)
    body = {**body, "water_type": water if water_type else None}
    return _with_reference({**body, "lab": body.get("lab") or lab.get("name")})


def _check_only_one(body: Body, old: Body | None) -> None:
    """Refuse a second open restriction of an animal.

    The later of two concurrent restrictions sees the other, because both change the animal's
    protocol.
    """
    if not is_open(body) or (old and is_open(old) and old["subject"] == body["subject"]):
        return
    wheres = [Where("subject", "exact", body["subject"])]
    for restriction in catalog.table("water-restriction").select(wheres).all():
        if restriction["id"] != body.get("id") and is_open(restriction):
            began = restriction["start_time"][:10]
            animal = nickname_of(body["subject"])
            text = f"{animal} is restricted since {began} already; end that first."
            raise Invalid({"subject": [text]})


def _with_reference(body: Body) -> Body:
    """Fill in the reference weight from the last weighing, at most a week before the start."""
    if body.get("reference_weight"):
        return body
    start = str(body["start_time"])
    wheres = [Where("subject", "exact", body["subject"])]
    rows = catalog.table("weighing").select(wheres, order=("-date_time",)).all()
    before = [weighing for weighing in rows if weighing["date_time"][:10] <= start[:10]]
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
        many=True,
        access=RIG,
        fields={
            "subject": ref("subject", required=True, null=False, on_delete="cascade"),
            "date_time": datetime(default=now, null=False, **RECORDED),
            "weight": number(unit="g", required=True, null=False, minimum=0, maximum=MAX_GRAMS),
            "user": ref("user", default=default_user),
            "unusual": flag(help="The weight is right although it looks like a slip."),
            "json": json(),
        },
        filters={**BY_SUBJECT, "users": "user", "date_range": in_days("date_time")},
        prepare=_prepare_weighing,
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
            "lab": ref("lab"),
            "location": ref("location"),
            "users": refs("user", default=default_users),
            "procedures": refs("procedure"),
            "narrative": text(),
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
