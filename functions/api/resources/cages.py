"""Cages, their equipment, and the stays of animals in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine import zones
from functions.api.engine.declarations import (
    HUSBANDRY,
    KINDS,
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
from functions.api.engine.visible import belonging
from functions.api.errors import Invalid
from functions.api.resources.of_subject import (
    BY_SUBJECT,
    RECORDED,
    by_subject,
    in_days,
    now,
    replacing,
)
from functions.api.resources.parts import in_order, own_lab, word_list
from shared import catalog
from shared.model import moment
from shared.model.identity import nickname_of
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan

WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _days(value: list[str]) -> None:
    if wrong := [day for day in value if day not in WEEK]:
        raise ValueError(f"{wrong[0][:40]!r} is not one of {', '.join(WEEK)}.")


def _show_cage(shown: Body, row: Row, call: Call) -> Body:
    stays = belonging(call, row, "stay", "cage", wheres=[Where("end", "isnull", True)])
    return {**shown, "subjects": sorted({nickname_of(stay["subject"]) for stay in stays})}


def _prepare_stay(body: Body, old: Body | None, call: Call) -> Body:
    in_order(body, "start", "end", "A stay cannot end before it begins.")
    begins = old is None or old.get("end") or old["subject"] != body["subject"]
    if begins and not body.get("end") and not call.is_import:
        subject = catalog.table("subject").get(body["subject"]) or {}
        if died := subject.get("death_date"):
            text = f"{nickname_of(body['subject'])} died on {died}; give the stay's end."
            raise Invalid({"subject": [text]})
    return {name: value for name, value in body.items() if name != "confirmed"}


def _settle(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Keep an animal in one cage at a time; its field ``cage`` names it."""
    for nickname in sorted({str(version["subject"]) for version in (before, after) if version}):
        subject = plan.get("subject", nickname)
        if subject is None:
            continue  # deleted, and its stays with it
        if after is not None and after["subject"] == nickname and not after.get("end"):
            _leave_others(plan, after)
            if before is None or before["cage"] != after["cage"]:
                _ask(plan, after)
        still = plan.select("stay", [Where("subject", "exact", nickname), _OPEN])
        if still:
            name = _name(plan, still[0])
        elif subject.get("death_date") or subject.get("cage") not in _left(plan, before, after):
            continue  # keep the cage where it died, and one entered by hand
        else:
            name = None
        plan.change(KINDS["subject"], nickname, replacing(cage=name))


def _left(plan: Plan, *stays: Body | None) -> list[str | None]:
    """Return the names of the cages of stays."""
    return [_name(plan, stay) for stay in stays if stay]


def _name(plan: Plan, stay: Body) -> str | None:
    return (plan.get("cage", stay["cage"]) or {}).get("name")


_OPEN = Where("end", "isnull", True)


def _leave_others(plan: Plan, stay: Body) -> None:
    """End the other open stay of an animal that comes into a cage."""
    for other in plan.select("stay", [Where("subject", "exact", stay["subject"]), _OPEN]):
        if other["id"] == stay["id"]:
            continue
        if other["start"] > stay["start"]:
            cage = (plan.get("cage", other["cage"]) or {}).get("name")
            message = (
                f"{nickname_of(stay['subject'])} came into {cage} later; give this stay an end."
            )
            raise Invalid({"start": [message]})
        plan.change(KINDS["stay"], other["id"], replacing(end=stay["start"]))


def _ask(plan: Plan, stay: Body) -> None:
    """Refuse an unusual stay until the client confirms it."""
    if plan.call.is_import or plan.record(KINDS["stay"], stay["id"]).given.get("confirmed"):
        return
    cage = plan.get("cage", stay["cage"]) or {}
    still = plan.select("stay", [Where("cage", "exact", stay["cage"]), _OPEN])
    occupants = {str(present["subject"]) for present in still}
    unusual = []
    if cage.get("capacity") and len(occupants) > cage["capacity"]:
        unusual.append(
            f"{cage['name']} is for {cage['capacity']}; it would hold {len(occupants)}."
        )
    if _are_mixed(plan, occupants):
        unusual.append(f"Males and females would be together in {cage['name']}, and are no pair.")
    if unusual:
        raise Invalid({"confirmed": [*unusual, "Send confirmed: true if it is meant."]})


def _are_mixed(plan: Plan, names: set[str]) -> bool:
    """Return whether there are grown animals of both sexes other than one breeding pair."""
    rows = [animal for animal in (plan.get("subject", name) for name in names) if animal]
    grown = [animal for animal in rows if animal.get("wean_date") or not animal.get("litter")]
    if {"M", "F"} - {animal.get("sex") for animal in grown}:
        return False
    nicknames = {str(animal["nickname"]) for animal in grown}
    pairs = plan.select("breeding-pair", [Where("end_date", "isnull", True)])
    return not any(
        nicknames <= {p.get(n) for n in ("father", "mother1", "mother2")} for p in pairs
    )


def end_with_death(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """End an animal's stay when it has died."""
    if after is None or not after.get("death_date") or (before and before.get("death_date")):
        return
    end = moment.instant(after["death_date"], zones.zone_of(after.get("lab")))
    for stay in plan.select("stay", [Where("subject", "exact", after["nickname"]), _OPEN]):
        plan.change(KINDS["stay"], stay["id"], replacing(end=max(end, stay["start"])))


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
        effects=(_settle,),
        example={"subject": "FI_001", "cage": "<cage id>"},
        **by_subject("stay", "start"),  # type: ignore[arg-type]
    ),
)
