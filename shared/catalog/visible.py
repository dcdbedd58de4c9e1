"""Public records, as conditions on the search index; `shared.access.visibility` decides."""

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
"""Returns the table of a kind, as `shared.catalog.table` does."""


def public_sessions(tables: Tables, at: datetime | None = None) -> list[Where]:
    """Return the conditions of public sessions.

    Only sessions that may be under an embargo are checked one by one, because their lab's time
    zone decides: an own embargo that ends today somewhere, their subject's or a project's.
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
    """Return the tags that are public releases with an embargo that is over.

    A tag of NWB files needs the release of the datasets that the files were made from.
    """
    at = at or moment.now()
    marked = tables("tag").select([Where("public", "exact", True)]).all()
    public = {tag["name"] for tag in marked if is_public(of_tag(tag), at)}

    def held(name: str) -> bool:
        base = tag_of_nwb(name)
        return base is not None and base not in public and tables("tag").get(base) is not None

    return {name for name in public if not held(name)}


def of_tag(tag: Row) -> Visibility:
    """Return the visibility of a tag's datasets, from the tag's row."""
    return Visibility(
        public=bool(tag.get("public")),
        embargo_until=tag.get("embargo_until") or None,
        timezone=tag.get("embargo_zone") or "UTC",
    )


def released_sessions(tables: Tables) -> set[str]:
    """Return the sessions with a dataset in a public release."""
    tags = released_tags(tables)
    if not tags:
        return set()
    sessions: set[str] = tables("dataset").select([Where("tags", "in", tags)]).values("session")
    return sessions


class Calendar(msgspec.Struct, frozen=True):
    """Time zones, and the embargoes of subjects and projects.

    Attributes
    ----------
    zones : dict of str
        Time zone by lab.
    subjects, projects : dict of str
        First public day (ISO date) of all sessions of a subject, and of a project.
    """

    zones: Mapping[str, str] = {}
    subjects: Mapping[str, str] = {}
    projects: Mapping[str, str] = {}

    def embargo(self, own: str | None, subject: str, projects: Iterable[str]) -> str | None:
        """Return the latest embargo of a session, its subject and its projects."""
        days = [own, self.subjects.get(subject), *(self.projects.get(name) for name in projects)]
        return last_day(days)

    def held_subjects(self, day: str) -> set[str]:
        """Return the subjects whose embargo may last beyond the beginning of a day."""
        return {name for name, until in self.subjects.items() if until > day}

    def held_projects(self, day: str) -> set[str]:
        """Return the projects whose embargo may last beyond the beginning of a day."""
        return {name for name, until in self.projects.items() if until > day}


def calendar_of(tables: Tables) -> Calendar:
    """Return time zones and embargoes from the index."""
    embargoed = [Where("embargo_until", "test", bool)]

    def days(kind: str, key: str) -> dict[str, str]:
        return {row[key]: row["embargo_until"] for row in tables(kind).select(embargoed).all()}

    return Calendar(zones_of(tables), days("subject", "nickname"), days("project", "name"))


def zones_of(tables: Tables) -> dict[str, str]:
    """Return the time zone of each lab."""
    return {lab["name"]: lab.get("timezone") or "UTC" for lab in tables("lab").rows()}


def of_row(session: Row, calendar: Calendar) -> Visibility:
    """Return a session's visibility, from its row in the index."""
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
    """Return the visibility of a stored session, or of one of its datasets."""
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
