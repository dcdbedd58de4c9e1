"""Culls of animals, their reasons and methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    KINDS,
    Body,
    Resource,
    Row,
    choice,
    date,
    declare,
    json,
    ref,
    text,
)
from functions.api.errors import Invalid
from functions.api.resources.of_subject import BY_SUBJECT, by_subject, default_user, replacing
from functions.api.resources.parts import word_list
from shared import catalog
from shared.model.identity import nickname_of
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan

SEVERITY = {"sub-threshold": 1, "mild": 2, "moderate": 3, "severe": 4, "non-recovery": 5}
"""Severities of a procedure or a life, with the numbers Alyx stores."""


def _prepare_cull(body: Body, old: Body | None, call: Call) -> Body:
    """Refuse a death before birth or in the future, and one without a severity."""
    from shared.catalog import water

    subject = catalog.table("subject").get(body["subject"]) or {}
    culls = catalog.table("cull").select([Where("subject", "exact", body["subject"])]).all()
    if old is None and culls:
        raise Invalid({"subject": [f"It was culled on {culls[0]['date']}; change that cull."]})
    if old and old["subject"] != body["subject"]:
        raise Invalid({"subject": ["A cull stays with its animal; delete it and make another."]})
    if body["date"] > water.now_in(subject.get("lab")).date().isoformat():
        raise Invalid({"date": ["It is in the future; mark the animal as to be culled instead."]})
    if subject.get("birth_date") and body["date"] < subject["birth_date"]:
        raise Invalid(
            {"date": [f"{nickname_of(body['subject'])} was born on {subject['birth_date']}."]}
        )
    if not body.get("severity"):
        if call.is_import:  # older records have none
            return {**body, "severity": subject.get("actual_severity")}
        if not subject.get("actual_severity"):
            raise Invalid({"severity": ["Say how severe the animal's life was."]})
        body = {**body, "severity": subject["actual_severity"]}
    return body


ENDED = {"water-restriction": "end_time", "stay": "end", "breeding-pair": "end_date"}
"""Kinds of record that end with an animal's life, and their field for the end."""


def _die(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Record an animal's death by its cull, and note what ends, so that it can be undone."""
    cull = after or before or {}
    subject = plan.get("subject", cull["subject"])
    if subject is None:
        return  # deleted, and its cull with it
    if after is None:
        _take_back(plan, cull, subject)
        return
    if before and all(before.get(n) == after.get(n) for n in ("date", "severity")):
        return
    is_new = before is None and not after.get("ended")  # a restored cull has the note
    noted = {"subject": _of_life(subject), **_going_on(plan, subject)} if is_new else None
    died = replacing(
        death_date=after["date"], actual_severity=after["severity"], to_be_culled=False
    )
    plan.change(KINDS["subject"], subject["nickname"], died)
    if noted:
        ends = {
            kind: [[key, end] for key in keys if (end := _end(plan, kind, key)) is not None]
            for kind, keys in noted.items()
            if kind in ENDED
        }
        plan.change(KINDS["cull"], after["id"], replacing(ended={**noted, **ends}))


def _of_life(subject: Row) -> Body:
    names = ("death_date", "actual_severity", "to_be_culled", "cage")
    return {name: subject.get(name) for name in names}


def _going_on(plan: Plan, subject: Row) -> dict[str, list[str]]:
    """Return the keys of an animal's open records, by kind."""
    wheres = [Where("subject", "exact", subject["nickname"])]
    ongoing = {
        kind: [
            str(record["id"])
            for record in plan.select(kind, [*wheres, Where(ENDED[kind], "isnull", True)])
        ]
        for kind in ("water-restriction", "stay")
    }
    pairs = plan.select("breeding-pair", [Where("end_date", "isnull", True)])
    names = ("father", "mother1", "mother2")
    ongoing["breeding-pair"] = [
        str(record["name"])
        for record in pairs
        if subject["nickname"] in [record.get(n) for n in names]
    ]
    return ongoing


def _end(plan: Plan, kind: str, key: str) -> str | None:
    return (plan.get(kind, key) or {}).get(ENDED[kind])


def _take_back(plan: Plan, cull: Body, subject: Body) -> None:
    """Undo an animal's death: reopen what its cull ended, if unchanged since.

    A pair with another dead parent stays ended until that parent's cull is deleted.
    """
    noted = cull.get("ended") or {}
    life = noted.get("subject") or {"death_date": None}
    plan.change(KINDS["subject"], subject["nickname"], replacing(**life))
    for kind, field in ENDED.items():
        for key, end in noted.get(kind) or ():
            record = plan.get(kind, key)
            if record is None or record.get(field) not in (end, None):  # None: restored by an undo
                continue
            dead = _dead_parents(plan, record) if kind == "breeding-pair" else []
            if dead:
                _hand_on(plan, dead, [key, end])
            plan.change(KINDS[kind], key, replacing(**{field: end if dead else None}))


def _dead_parents(plan: Plan, pair: Row) -> list[str]:
    """Return the parents whose death ended a pair: its father, or all of its mothers."""

    def dead(*names: str) -> list[str] | None:
        rows = [plan.get("subject", str(pair[name])) for name in names if pair.get(name)]
        died = [bool(animal.get("death_date")) for animal in rows if animal]
        return (
            [str(animal["nickname"]) for animal in rows if animal] if died and all(died) else None
        )

    return [*(dead("father") or ()), *(dead("mother1", "mother2") or ())]


def _hand_on(plan: Plan, animals: list[str], ended: list[str]) -> None:
    """Note in the culls of other animals the pair to reopen when they are undone."""

    def noting(cull: Body) -> Body:
        noted = dict(cull.get("ended") or {})
        pairs = noted.get("breeding-pair") or []
        new = [pair for pair in pairs if pair[0] != ended[0]]
        return {**cull, "ended": {**noted, "breeding-pair": [*new, ended]}}

    for other_cull in plan.select("cull", [Where("subject", "in", animals)]):
        plan.change(KINDS["cull"], other_cull["id"], noting)


def follow_death(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Keep an animal's cull on the day of its death."""
    if after is None or before is None or before.get("death_date") == after.get("death_date"):
        return
    for cull in plan.select("cull", [Where("subject", "exact", after["nickname"])]):
        if not after.get("death_date"):
            message = f"It was culled on {cull['date']}; delete the cull, which takes all back."
            raise Invalid({"death_date": [message]})
        plan.change(KINDS["cull"], cull["id"], replacing(date=after["death_date"]))


declare(
    word_list("cull-reasons", "cull-reason", "actions.cullreason", "regular experiment end"),
    word_list("cull-methods", "cull-method", "actions.cullmethod", "CO2"),
    Resource(
        path="culls",
        kind="cull",
        model="actions.cull",
        fields={
            "subject": ref("subject", required=True, null=False, on_delete="cascade"),
            "date": date(required=True, null=False, earliest="1990-01-01"),
            "user": ref("user", default=default_user),
            "cull_reason": ref("cull-reason"),
            "cull_method": ref("cull-method"),
            "severity": choice(SEVERITY),
            "description": text(),
            "ended": json(read_only=True, hidden=True, indexed=False),
            "json": json(),
        },
        filters=dict(BY_SUBJECT),
        unique=(("subject",),),
        prepare=_prepare_cull,
        effects=(_die,),
        example={"subject": "FI_001", "date": "2024-07-01", "severity": "mild"},
        **by_subject("cull", "date"),  # type: ignore[arg-type]
    ),
)
