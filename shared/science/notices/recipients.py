"""Who is told of a notice, by which way, and when: rules of people, and their quiet hours.

Without a rule people are told of what is theirs (Alyx's scopes: none, mine, lab, all).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time, timedelta

import msgspec

from shared.model.notices import HOURS
from shared.science.notices.due import Notice

NOBODY, MINE, LAB, EVERYONE = "none", "mine", "lab", "all"
APP, MAIL, BOTH = "app", "email", "both"


class Person(msgspec.Struct, frozen=True):
    """A member: the labs, the address, the hours in which nothing is to come."""

    username: str
    labs: tuple[str, ...] = ()
    email: str = ""
    is_manager: bool = False
    quiet_hours: str = ""


class NoticeRule(msgspec.Struct, frozen=True):
    """What a person wants to be told of one kind: of whose animals, how, and when not."""

    scope: str = MINE
    channel: str = BOTH
    quiet_hours: str = ""


Rules = Mapping[tuple[str, str], NoticeRule]
"""By user name and kind of notice."""

USUAL = NoticeRule()


def recipients(
    notice: Notice, lab: str, people: Sequence[Person], rules: Rules
) -> list[tuple[Person, NoticeRule]]:
    """Return who is told of a notice, each with the rule by which.

    Parameters
    ----------
    notice : Notice
    lab : str
        Whose notice it is.
    people : sequence of Person
        Active members of any lab.
    rules : mapping
        What people want to be told.
    """
    whose = set(notice.responsible) & {each.username for each in people}
    if not whose:
        whose = {each.username for each in people if each.is_manager and lab in each.labs}
    told = []
    for person in people:
        rule = rules.get((person.username, notice.kind), USUAL)
        wanted = (
            rule.scope == EVERYONE
            or (rule.scope == LAB and (lab in person.labs or person.username in whose))
            or (rule.scope == MINE and person.username in whose)
        )
        if wanted:
            told.append((person, rule))
    return told


def quiet_until(hours: Iterable[str], now: datetime) -> datetime | None:
    """Return when quiet hours end that it is in; None if it is in none.

    Parameters
    ----------
    hours : iterable of str
        Such as ``22:00-07:00``; empty ones are none. The same beginning and end is all day: that
        is no quiet time, but a rule of its own.
    now : datetime
        The lab's wall clock.
    """
    ends = [end for each in hours if (end := _end_of(each, now)) is not None]
    return max(ends, default=None)


def _end_of(hours: str, now: datetime) -> datetime | None:
    found = HOURS.fullmatch(hours or "")
    if not found:
        return None
    first, last = (time.fromisoformat(each) for each in found.groups())
    at = now.time()
    over_midnight = last < first
    within = at >= first or at < last if over_midnight else first <= at < last
    if not within:
        return None
    end = datetime.combine(now.date(), last)
    return end + timedelta(days=1) if over_midnight and at >= first else end
