"""Instants as records store them: local time with its UTC offset, in one ISO string.

``2024-03-01T09:30:00+01:00`` is both a UTC instant and the lab's wall clock. Clients of the Alyx
REST contract get the naive part. Input may have an offset; naive input is read in the lab's zone.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


def now() -> datetime:
    """Return the current instant, in UTC."""
    return datetime.now(UTC)


def zone(name: str | None) -> ZoneInfo:
    """Return a time zone, UTC if the name is unknown to this machine."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # only for times without an offset

    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, OSError, ValueError):
        return ZoneInfo("UTC")


def instant(value: str | datetime | date, zone_name: str | None = None) -> str:
    """Return a time in its stored form.

    Parameters
    ----------
    value : str, datetime or date
        ISO time. A naive time is read as the wall clock of ``zone_name``; a time with an offset
        is converted to that zone. A date means its midnight.
    zone_name : str, optional
        IANA name of the lab's time zone; UTC by default.

    Returns
    -------
    str
        ``YYYY-MM-DDTHH:MM:SS[.ffffff]±HH:MM``.

    Raises
    ------
    ValueError
        If the value is not an ISO time.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    elif not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    lab_zone = zone(zone_name)
    value = value.replace(tzinfo=lab_zone) if value.tzinfo is None else value.astimezone(lab_zone)
    return value.isoformat()


def naive(stored: str | None) -> str | None:
    """Return the wall-clock part of a stored instant, as Alyx shows times."""
    if stored is None:
        return None
    return datetime.fromisoformat(stored).replace(tzinfo=None).isoformat()


def utc(stored: str) -> datetime:
    """Return a stored instant in UTC; a naive one is taken as UTC."""
    value = datetime.fromisoformat(stored)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def stamp(when: datetime | None = None) -> str:
    """Return a moment as feed and journal write it (UTC, microseconds, sorts as text)."""
    return (when or now()).replace(tzinfo=None).isoformat(timespec="microseconds")


def of_stamp(text: str) -> datetime:
    """Return the moment that `stamp` wrote."""
    if len(text) != 26 or text[19] != ".":
        raise ValueError(f"{text!r} is no stamp")
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
