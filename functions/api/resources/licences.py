"""Licences: the animals that a project may use, their number and the procedures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    KINDS,
    LISTS,
    Body,
    Resource,
    Row,
    choice,
    date,
    declare,
    integer,
    json,
    listing,
    ref,
    refs,
    text,
)
from functions.api.errors import Invalid
from functions.api.resources.culls import SEVERITY
from functions.api.resources.parts import in_order, own_lab, with_id
from shared import catalog
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan

NEARLY = 0.9
"""Used share of an allowance from which the licence warns."""

EXCESS = {"warn": "warn", "refuse": "refuse"}


def _in_order(body: Body, old: Body | None, call: Call) -> Body:
    in_order(body, "valid_from", "valid_until", "A licence cannot end before it begins.")
    return body


def used(licence: Row, allowance: Row) -> int:
    """Return how many animals have a licence, and the species and severity of its allowance."""
    wheres = [Where("licence", "exact", licence["number"])]
    if allowance.get("species"):
        wheres.append(Where("species", "exact", allowance["species"]))
    if allowance.get("severity"):
        wheres.append(Where("actual_severity", "exact", allowance["severity"]))
    return len(catalog.table("subject").select(wheres))


def count(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Refuse an animal beyond the allowance if the licence says so."""
    if after is None or not after.get("licence"):
        return
    names = ("licence", "species", "actual_severity")
    if before and all(before.get(name) == after.get(name) for name in names):
        return
    licence = plan.get("licence", after["licence"])
    if licence is None:
        return
    plan.change(KINDS["licence"], licence["number"], lambda body: body)  # serialises the counts
    for limit in licence["allowance"] if licence["excess"] == "refuse" else ():
        if used(licence, limit) > limit["count"]:
            text = f"{licence['number']} allows {limit['count']} animals"
            of = f" of {limit['species']}" if limit.get("species") else ""
            raise Invalid({"licence": [f"{text}{of}, and has them."]})


def outside(licence: Row, day: str, procedures: Sequence[str]) -> list[str]:
    """Return the parts of a surgery that a licence does not cover: its day, its procedures.

    A licence without days, or without procedures, covers all of them.
    """
    number = licence["number"]
    faults = []
    if day < (licence.get("valid_from") or day):
        faults.append(f"{number} is valid from {licence['valid_from']} on.")
    if day > (licence.get("valid_until") or day):
        faults.append(f"{number} was valid until {licence['valid_until']}.")
    covered = licence.get("procedures") or procedures
    if others := sorted(set(procedures) - set(covered)):
        faults.append(f"{number} does not allow {', '.join(others)}.")
    return faults


def _show(shown: Body, row: Row, call: Call) -> Body:
    counted = [{**limit, "used": used(row, limit)} for limit in row.get("allowance") or ()]
    names = {number: name for name, number in SEVERITY.items()}
    warnings = [
        f"{limit['used']} of {limit['count']} animals are used"
        + (f" ({limit['species']})" if limit.get("species") else "")
        for limit in counted
        if limit["used"] >= NEARLY * limit["count"]
    ]
    allowance = [{**limit, "severity": names.get(limit.get("severity") or 0)} for limit in counted]
    return {**with_id(shown, row, call), "allowance": allowance, "warnings": warnings}


declare(
    Resource(
        path="licences",
        kind="licence",
        model="misc.licence",
        key="number",
        access=LISTS,
        lab="lab",
        fields={
            "number": text(required=True, maximum=64),
            "title": text(maximum=255),
            "holder": ref("user"),
            "lab": ref("lab", null=False, default=own_lab),
            "valid_from": date(),
            "valid_until": date(),
            "allowance": listing(
                {
                    "species": ref("species"),
                    "severity": choice(SEVERITY),
                    "count": integer(required=True, null=False, minimum=0, maximum=10**6),
                }
            ),
            "procedures": refs("procedure"),
            "excess": choice(EXCESS, default="warn", null=False),
            "protocols": json(shape="texts"),
            "description": text(),
            "json": json(),
        },
        prepare=_in_order,
        show=_show,
        example={"number": "PP1234567", "title": "Decisions of mice", "lab": "fimbrialab"},
    ),
)
