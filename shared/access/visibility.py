"""Visibility of records: one decision for API, downloads, cache tables, site and analyses.

A session is public if it is marked public and its embargo is over. An embargo is a day in the
lab's calendar; it ends when that day begins there. A dataset is public if its session is, or if
it is part of a public release (has a tag marked public).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time, timedelta

from shared.model import moment
from shared.model.visibility import Audience, Visibility

FOREVER = datetime.max.replace(tzinfo=UTC)
FIRST_ZONE = timedelta(hours=14)
LAST_ZONE = timedelta(hours=-12)
"""UTC offsets of the zones in which a day begins first and last.

IANA: Pacific/Kiritimati, Etc/GMT+12.
"""


def audience(
    visibility: Visibility, at: datetime, released: Collection[str] = frozenset()
) -> Audience:
    """Return who may see a record.

    Parameters
    ----------
    visibility : Visibility
    at : datetime
        The moment, with its zone.
    released : collection of str
        Tags that are public releases.
    """
    if any(tag in released for tag in visibility.tags):
        return Audience.PUBLIC
    if not visibility.public:
        return Audience.ACCOUNT
    if not visibility.embargo_until:
        return Audience.PUBLIC
    ends = embargo_ends(visibility.embargo_until, visibility.timezone)
    return Audience.PUBLIC if ends is not None and ends <= at else Audience.ACCOUNT


def is_public(
    visibility: Visibility, at: datetime, released: Collection[str] = frozenset()
) -> bool:
    """Return whether the public may see a record; see `audience`."""
    return audience(visibility, at, released) is Audience.PUBLIC


def held_until(visibility: Visibility) -> datetime | None:
    """Return the instant (UTC) at which a record's embargo ends; None if it has none."""
    if not visibility.embargo_until:
        return None
    return embargo_ends(visibility.embargo_until, visibility.timezone)


def may_review(expires: str, revoked: bool, at: datetime) -> bool:
    """Return whether a reviewer's address is still valid."""
    return not revoked and at < datetime.fromisoformat(expires)


def embargo_ends(day: str, timezone: str) -> datetime | None:
    """Return the instant (UTC) at which an embargo ends; None (never) if the day is no date."""
    try:
        first = date.fromisoformat(day[:10])
    except ValueError:
        return None
    return datetime.combine(first, time(), moment.zone(timezone)).astimezone(UTC)


def last_day(days: Iterable[str | None]) -> str | None:
    """Return the latest of several embargoes: a session's own, its animal's, its projects'."""
    return max((day for day in days if day), default=None)


def last_zone(day: str | None, zones: Collection[str]) -> str:
    """Return the time zone, among those of some labs, in which a day begins last.

    Raises
    ------
    ValueError
        The text is no day.
    """
    if day is not None:
        date.fromisoformat(day)
    order = {zone: embargo_ends(day or "2000-01-01", zone) or FOREVER for zone in sorted(zones)}
    return max(order, key=lambda zone: order[zone], default="UTC")


def days_begun(at: datetime) -> tuple[str, str]:
    """Return the last day that has begun everywhere on earth, and the last begun anywhere.

    Embargoes until the first day are over in every lab. Embargoes until a day after the second
    are over in no lab.
    """
    everywhere, anywhere = (at + offset for offset in (LAST_ZONE, FIRST_ZONE))
    return (
        everywhere.astimezone(UTC).date().isoformat(),
        anywhere.astimezone(UTC).date().isoformat(),
    )
