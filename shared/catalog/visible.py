"""What anybody may see, as conditions on the search index; `shared.access.visibility` decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from shared.access.visibility import days_begun, is_public
from shared.model import moment
from shared.model.visibility import Visibility
from shared.records.items import Dataset, Session
from shared.records.where import Where

Row = Mapping[str, Any]
Tables = Callable[[str], Any]
"""Gives the table of a kind, as `shared.catalog.table` does."""


def public_sessions(tables: Tables, at: datetime | None = None) -> list[Where]:
    """Return the conditions on sessions that anybody may see.

    Only the sessions whose embargo ends today somewhere are looked at one by one: the zone of
    their lab decides.
    """
    at = at or moment.now()
    everywhere, anywhere = days_begun(at)
    marked = Where("public", "exact", True)
    begun = Where("embargo_until", "test", lambda day: not day or day <= anywhere)
    ending = Where("embargo_until", "test", lambda day: bool(day) and everywhere < day <= anywhere)
    zones = zones_of(tables)
    waiting = {
        row["id"]
        for row in tables("session").select([marked, ending]).all(("id", *_DECIDING))
        if not is_public(of_row(row, zones), at)
    }
    wheres = [marked, begun]
    return [*wheres, Where("id", "in", waiting, negate=True)] if waiting else wheres


_DECIDING = ("public", "embargo_until", "lab")


def released_tags(tables: Tables, at: datetime | None = None) -> set[str]:
    """Return the tags that are public releases and whose embargo is over."""
    at = at or moment.now()
    marked = tables("tag").select([Where("public", "exact", True)]).all()
    return {row["name"] for row in marked if is_public(of_tag(row), at)}


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


def zones_of(tables: Tables) -> dict[str, str]:
    """Return the time zone of each lab."""
    return {row["name"]: row.get("timezone") or "UTC" for row in tables("lab").rows()}


def of_row(session: Row, zones: Mapping[str, str]) -> Visibility:
    """Return what a session's row in the index says of who may see it."""
    return Visibility(
        public=bool(session.get("public")),
        embargo_until=session.get("embargo_until") or None,
        timezone=zones.get(session.get("lab") or "", "UTC"),
    )


def of_item(
    session: Session | None, zones: Mapping[str, str], dataset: Dataset | None = None
) -> Visibility:
    """Return what a stored session, or a dataset of it, says of who may see it."""
    return Visibility(
        public=bool(session and session.public),
        embargo_until=(session.embargo_until or None) if session else None,
        timezone=zones.get(session.lab, "UTC") if session else "UTC",
        tags=tuple((dataset.tags or ()) if dataset else ()),
    )
