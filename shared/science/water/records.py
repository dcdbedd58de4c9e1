"""Records of a mouse for its water restriction, and moments.

A moment `d` is a naive datetime in the lab's zone; a plain date means noon of it. The calendar
date decides on which day an event happened. Weights are in grams, water in millilitres.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time

Moment = datetime | date


@dataclass(frozen=True)
class Surgery:
    """A surgery: when, and the weight (g) of the implant; none or zero changes nothing."""

    start: datetime
    implant_weight: float | None = None


@dataclass(frozen=True)
class Restriction:
    """A water restriction: start, end (None: still open), reference weight (g)."""

    start: datetime
    end: datetime | None = None
    reference_weight: float | None = None


@dataclass(frozen=True)
class Weighing:
    """A weighing: when, and how much (g)."""

    when: datetime
    weight: float


@dataclass(frozen=True)
class Water:
    """A water administration: when, how much (ml, None unknown), and whether in a session."""

    when: datetime
    volume: float | None
    in_session: bool = False


def day_of(d: Moment) -> date:
    """Return the calendar date of a moment."""
    return d.date() if isinstance(d, datetime) else d


def moment_of(d: Moment) -> datetime:
    """Return a date as noon of it."""
    return d if isinstance(d, datetime) else datetime.combine(d, time(12))


def wall_time(when: datetime) -> datetime:
    """Return a time without its zone."""
    return when.replace(tzinfo=None)
