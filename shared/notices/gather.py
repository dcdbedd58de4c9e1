"""The facts about a lab that notices are made from, by the search index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from shared import catalog
from shared.access.policy import MANAGERS
from shared.catalog import water
from shared.catalog.memberships import labs_of
from shared.model.identity import nickname_of
from shared.model.people import PEOPLE, Role
from shared.records.where import Where
from shared.science.notices.due import (
    DATA_WITHIN,
    NOTICE_HOUR,
    EmptySession,
    FailedTask,
    LabFacts,
    OpenPair,
    WatchedMouse,
)
from shared.science.notices.recipients import NoticeRule, Person, Rules
from shared.tasks.states import Status

Row = Mapping[str, Any]

LOOKED_BACK = timedelta(days=7)
"""Age up to which sessions and failed tasks make notices."""


def labs() -> list[Row]:
    """Return the rows of all labs."""
    return list(catalog.table("lab").select().all())


def facts_of(lab: Row) -> LabFacts:
    """Return the present facts about a lab."""
    name, now = str(lab["name"]), water.now_in(str(lab["name"]))
    waiting = _waiting(name)
    hour = lab.get("notice_hour")
    return LabFacts(
        lab=name,
        now=now,
        notice_hour=NOTICE_HOUR if hour is None else int(hour),
        mice=tuple(_mice(name, now)),
        pairs=tuple(_pairs(name, now)),
        sessions=tuple(_sessions(name, now)),
        tasks=tuple(_tasks(name, now)),
        waiting=len(waiting),
        waiting_since=min((_local(task["datetime"], name) for task in waiting), default=None),
    )


def _of_lab(kind: str, lab: str, *wheres: Where) -> list[Row]:
    return list(catalog.table(kind).select([Where("lab", "exact", lab), *wheres]).all())


def _mice(lab: str, now: datetime) -> Iterable[WatchedMouse]:
    """Yield the living animals under water restriction, or weighed today."""
    today = now.date().isoformat()
    alive = {
        row["nickname"]: row
        for row in _of_lab("subject", lab)
        if not row.get("death_date") or row["death_date"] > today
    }
    mine = Where("subject", "in", set(alive))
    running = catalog.table("water-restriction").select([mine]).all()
    watched = {
        row["subject"]
        for row in running
        if not row.get("end_time") or str(row["end_time"])[:10] >= today
    }
    watched |= (
        catalog.table("weighing")
        .select([mine, Where("date_time", "gte", today)])
        .values("subject")
    )
    mice = [alive[nickname] for nickname in sorted(watched)]
    controls = water.controls(mice) if mice else {}
    for row in mice:
        yield WatchedMouse(controls[row["nickname"]], _names(row.get("responsible_user")))


def _pairs(lab: str, now: datetime) -> Iterable[OpenPair]:
    """Yield the open breeding pairs of the lab's lines."""
    today = now.date().isoformat()
    lines = {row["name"] for row in _of_lab("line", lab)}
    pairs = catalog.table("breeding-pair").select([Where("line", "in", lines)]).all()
    pairs = [row for row in pairs if not row.get("end_date") or row["end_date"] > today]
    names = {row["name"] for row in pairs}
    litters = defaultdict(list)
    for each in catalog.table("litter").select([Where("breeding_pair", "in", names)]).all():
        if each.get("birth_date"):
            litters[each["breeding_pair"]].append(date.fromisoformat(each["birth_date"]))
    for row in pairs:
        parents = [row.get(each) for each in ("father", "mother1", "mother2")]
        keepers = [(catalog.table("subject").get(each) or {}) for each in parents if each]
        yield OpenPair(
            name=row["name"],
            start=date.fromisoformat(row["start_date"]) if row.get("start_date") else None,
            plugs=tuple(
                date.fromisoformat(each["date"])
                for each in row.get("events") or ()
                if each.get("event") == "plug" and each.get("date")
            ),
            litters=tuple(litters[row["name"]]),
            responsible=_names(*(each.get("responsible_user") for each in keepers)),
        )


def _sessions(lab: str, now: datetime) -> Iterable[EmptySession]:
    """Yield the recent sessions without data, although they should have some by now."""
    wheres = [
        Where("start_time", "gte", (now - LOOKED_BACK).isoformat()),
        Where("start_time", "lt", (now - DATA_WITHIN).isoformat()),
    ]
    rows = _of_lab("session", lab, *wheres)
    in_sessions = Where("session", "in", {session["id"] for session in rows})
    filled = catalog.table("dataset").select([in_sessions]).values("session") if rows else set()
    for session in rows:
        if session["id"] not in filled:
            ended = datetime.fromisoformat(session.get("end_time") or session["start_time"])
            yield EmptySession(
                session["id"], _name(session), ended, tuple(session.get("users") or ())
            )


def _tasks(lab: str, now: datetime) -> Iterable[FailedTask]:
    for task in _of_lab("task", lab, Where("status", "exact", Status.ERRORED.label)):
        if now - _local(task["datetime"], lab) > LOOKED_BACK:
            continue
        session = catalog.table("session").get(task["session"]) or {}
        yield FailedTask(
            id=task["id"],
            name=task["name"],
            session=task["session"],
            session_name=_name(session) if session else task["session"],
            attempt=int(task.get("attempt") or 0),
            users=tuple(session.get("users") or ()),
        )


def _waiting(lab: str) -> list[Row]:
    return _of_lab("task", lab, Where("status", "exact", Status.WAITING.label))


def _local(utc: str, lab: str) -> datetime:
    """Return the lab's wall clock at a moment in UTC, as tasks store it."""
    return water.local(datetime.fromisoformat(str(utc).removesuffix("Z")), lab)


def _name(session: Row) -> str:
    """Return a session's name for people: its animal, day and number."""
    number = int(session["number"])
    animal = nickname_of(str(session["subject"]))
    return f"{animal} {str(session['start_time'])[:10]} {number:03d}"


def _names(*users: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(each) for each in users if each))


def people() -> list[Person]:
    """Return the active members of all labs."""
    return [
        person_of(user)
        for user in catalog.table("user").select().all()
        if user.get("is_active", True)
        and not user.get("is_public_user")
        and (user.get("role") or Role.MEMBER) in PEOPLE
    ]


def person_of(row: Row) -> Person:
    """Return the facts about a member that rules use."""
    return Person(
        username=row["username"],
        labs=labs_of(row),
        email=row.get("email") or "",
        is_manager=row.get("role") in MANAGERS,
        quiet_hours=row.get("quiet_hours") or "",
    )


def rules() -> Rules:
    """Return the notification rules of all people."""
    return {
        (rule["user"], rule["notification_type"]): rule_of(rule)
        for rule in catalog.table("notification-rule").select().all()
    }


def rule_of(row: Row) -> NoticeRule:
    """Return a rule from its stored row."""
    return NoticeRule(
        scope=row.get("subjects_scope") or "mine",
        channel=row.get("channel") or "both",
        quiet_hours=row.get("quiet_hours") or "",
    )
