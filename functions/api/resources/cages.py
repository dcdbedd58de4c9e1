"""Cages, what is in them, and which animal stays where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    HUSBANDRY,
    Body,
    Resource,
    Row,
    date,
    datetime,
    declare,
    flag,
    integer,
    json,
    ref,
    refs,
    text,
)
from functions.api.engine.visible import related
from functions.api.resources.of_subject import BY_SUBJECT, RECORDED, by_subject, in_days, now
from functions.api.resources.parts import in_order, own_lab, word_list
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call

WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _days(value: list[str]) -> None:
    if wrong := [each for each in value if each not in WEEK]:
        raise ValueError(f"{wrong[0][:40]!r} is not one of {', '.join(WEEK)}.")


def _show_cage(shown: Body, row: Row, call: Call) -> Body:
    here = [Where("cage", "exact", row["id"]), Where("end", "isnull", True)]
    return {**shown, "subjects": sorted(related(call, "stay", here).values("subject"))}


def _prepare_stay(body: Body, old: Body | None, call: Call) -> Body:
    in_order(body, "start", "end", "A stay cannot end before it begins.")
    return {name: value for name, value in body.items() if name != "confirmed"}


declare(
    word_list("cage-types", "cage-type", "misc.cagetype", "IVC"),
    word_list("enrichments", "enrichment", "misc.enrichment", "Cardboard tunnel"),
    word_list("foods", "food", "misc.food", "Envigo 2918"),
    Resource(
        path="cages",
        kind="cage",
        access=HUSBANDRY,
        model="misc.cage",
        lab="lab",
        fields={
            "name": text(required=True, maximum=64),
            "lab": ref("lab", null=False, default=own_lab),
            "room": text(maximum=64),
            "rack": text(maximum=64),
            "row": integer(minimum=0, maximum=1000),
            "column": integer(minimum=0, maximum=1000),
            "cage_type": ref("cage-type"),
            "enrichment": refs("enrichment"),
            "food": ref("food"),
            "light_cycle": text(maximum=64),
            "cleaning_days": json(shape="texts", check=_days),
            "capacity": integer(minimum=1, maximum=1000),
            "last_cleaned": date(earliest="1990-01-01", ahead=1),
            "card": text(maximum=64),
            "description": text(),
            "json": json(),
        },
        unique=(("lab", "name"), ("lab", "room?", "rack", "row", "column"), ("lab", "card")),
        reverse={"stay": ("stay", "cage", "id")},
        show=_show_cage,
        order=("lab", "name", "id"),
        example={"name": "C12", "lab": "fimbrialab"},
    ),
    Resource(
        path="stays",
        kind="stay",
        access=HUSBANDRY,
        model="misc.stay",
        many=True,
        fields={
            "subject": ref("subject", required=True, null=False, on_delete="cascade"),
            "cage": ref("cage", by="id", required=True, null=False),
            "start": datetime(default=now, null=False, **RECORDED),
            "end": datetime(**RECORDED),
            "confirmed": flag(indexed=False, hidden=True),
            "json": json(),
        },
        filters={**BY_SUBJECT, "date_range": in_days("start")},
        prepare=_prepare_stay,
        example={"subject": "FI_001", "cage": "<cage id>"},
        **by_subject("stay", "start"),  # type: ignore[arg-type]
    ),
)
