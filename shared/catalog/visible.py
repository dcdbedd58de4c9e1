"""What anybody may see, as conditions on the search index; `shared.access.visibility` decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from shared.access.visibility import days_begun, is_public, last_day
from shared.model import moment
from shared.model.release import tag_of_nwb
from shared.model.visibility import Visibility
from shared.records.items import Dataset, Session
from shared.records.where import Where

Row = Mapping[str, Any]
Tables = Callable[[str], Any]
"""Gives the table of a kind, as `shared.catalog.table` does."""


def public_sessions(tables: Tables, at: datetime | None = None) -> list[Where]:
    """Return the conditions on sessions that anybody may see.

    Only sessions that may still be under an embargo (their own, which ends today somewhere, or
    their subject's or a project's) are looked at one by one: the zone of their lab decides.
    """
    at = at or moment.now()
    everywhere, anywhere = days_begun(at)
    marked = Where("public", "exact", True)
    begun = Where("embargo_until", "test", lambda day: not day or day <= anywhere)
    ending = Where("embargo_until", "test", lambda day: bool(day) and everywhere < day <= anywhere)
    calendar = calendar_of(tables)
    held = [[marked, ending]]
    if subjects := calendar.held_subjects(everywhere):
        held.append([marked, Where("subject", "in", subjects)])
    if projects := calendar.held_projects(everywhere):
        held.append([marked, Where("projects", "in", projects)])
    waiting = {
        row["id"]
        for wheres in held
        for row in tables("session").select(wheres).all(("id", *_DECIDING))
        if not is_public(of_row(row, calendar), at)
    }
    wheres = [marked, begun]
    return [*wheres, Where("id", "in", waiting, negate=True)] if waiting else wheres


_DECIDING = ("public", "embargo_until", "lab", "subject", "projects")


def released_tags(tables: Tables, at: datetime | None = None) -> set[str]:
    """Return the tags that are public releases and whose embargo is over.

    NWB files are seen with what they are made of, and never without it.
    """
    at = at or moment.now()
    marked = tables("tag").select([Where("public", "exact", True)]).all()
    found = {row["name"] for row in marked if is_public(of_tag(row), at)}

    def held(name: str) -> bool:
        base = tag_of_nwb(name)
        return base is not None and base not in found and tables("tag").get(base) is not None

    return {name for name in found if not held(name)}


def of_tag(tag: Row) -> Visibility:
    """Return what a tag's row says of who may see its datasets."""
    return Visibility(
        public=bool(tag.get("public")),
        embargo_until=tag.get("embargo_until") or None,
        timezone=tag.get("embargo_zone") or "UTC",
    )


def released_sessions(tables: Tables) -> set[str]:
    """Return the sessions of which a public release has a dataset."""
    tags = released_tags(tables)
    if not tags:
        return set()
    found: set[str] = tables("dataset").select([Where("tags", "in", tags)]).values("session")
    return found


class Calendar(msgspec.Struct, frozen=True):
    """What holds sessions back beside what they say themselves.

    Attributes
    ----------
    zones : dict of str
        Time zone by lab.
    subjects, projects : dict of str
        First day (ISO date) in public of all sessions of an animal, and of a project.
    """

    zones: Mapping[str, str] = {}
    subjects: Mapping[str, str] = {}
    projects: Mapping[str, str] = {}

    def embargo(self, own: str | None, subject: str, projects: Iterable[str]) -> str | None:
        """Return the last of the days of a session, its animal and its projects."""
        days = [own, self.subjects.get(subject), *(self.projects.get(name) for name in projects)]
        return last_day(days)

    def held_subjects(self, day: str) -> set[str]:
        """Return the animals whose embargo may not be over when a day has begun."""
        return {name for name, until in self.subjects.items() if until > day}

    def held_projects(self, day: str) -> set[str]:
        """Return the projects whose embargo may not be over when a day has begun."""
        return {name for name, until in self.projects.items() if until > day}


def calendar_of(tables: Tables) -> Calendar:
    """Return zones and embargoes as the index has them."""
    embargoed = [Where("embargo_until", "test", bool)]

    def days(kind: str, key: str) -> dict[str, str]:
        return {row[key]: row["embargo_until"] for row in tables(kind).select(embargoed).all()}

    return Calendar(zones_of(tables), days("subject", "nickname"), days("project", "name"))


def zones_of(tables: Tables) -> dict[str, str]:
    """Return the time zone of each lab."""
    return {row["name"]: row.get("timezone") or "UTC" for row in tables("lab").rows()}


def of_row(session: Row, calendar: Calendar) -> Visibility:
    """Return what a session's row in the index says of who may see it."""
    own = session.get("embargo_until") or None
    projects = session.get("projects") or ()
    return Visibility(
        public=bool(session.get("public")),
        embargo_until=calendar.embargo(own, session.get("subject") or "", projects),
        timezone=calendar.zones.get(session.get("lab") or "", "UTC"),
    )


def of_item(
    session: Session | None, calendar: Calendar, dataset: Dataset | None = None
) -> Visibility:
    """Return what a stored session, or a dataset of it, says of who may see it."""
    tags = tuple((dataset.tags or ()) if dataset else ())
    if session is None:
        return Visibility(tags=tags)
    return Visibility(
        public=bool(session.public),
        embargo_until=calendar.embargo(
            session.embargo_until or None, session.subject, session.projects or ()
        ),
        timezone=calendar.zones.get(session.lab, "UTC"),
        tags=tags,
    )
