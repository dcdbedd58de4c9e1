"""Recipients of a notice, the way and the time: people's rules and their quiet hours.

People without a rule get notices about their own records (Alyx's scopes: none, mine, lab, all).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time, timedelta

import msgspec

from shared.model.notices import HOURS
from shared.science.notices.due import Notice

NOBODY, MINE, LAB, EVERYONE = "none", "mine", "lab", "all"
APP, BOTH = "app", "both"


class Person(msgspec.Struct, frozen=True):
    """A member: the labs, the address, the quiet hours."""

    username: str
    labs: tuple[str, ...] = ()
    email: str = ""
    is_manager: bool = False
    quiet_hours: str = ""


class NoticeRule(msgspec.Struct, frozen=True):
    """A person's rule for one kind of notice: about whose animals, how, and when not."""

    scope: str = MINE
    channel: str = BOTH
    quiet_hours: str = ""


Rules = Mapping[tuple[str, str], NoticeRule]
"""By user name and kind of notice."""

USUAL = NoticeRule()


def recipients(
    notice: Notice, lab: str, people: Sequence[Person], rules: Rules
) -> list[tuple[Person, NoticeRule]]:
    """Return the recipients of a notice, each with the rule that applies.

    Parameters
    ----------
    notice : Notice
    lab : str
        The lab of the notice.
    people : sequence of Person
        Active members of any lab.
    rules : mapping
        People's rules for kinds of notices.
    """
    whose = set(notice.responsible) & {each.username for each in people}
    if not whose:
        whose = {each.username for each in people if each.is_manager and lab in each.labs}
    chosen = []
    for person in people:
        rule = rules.get((person.username, notice.kind), USUAL)
        wanted = (
            rule.scope == EVERYONE
            or (rule.scope == LAB and (lab in person.labs or person.username in whose))
            or (rule.scope == MINE and person.username in whose)
        )
        if wanted:
            chosen.append((person, rule))
    return chosen


def quiet_until(hours: Iterable[str], now: datetime) -> datetime | None:
    """Return the end of the quiet hours at a moment; None if it is in none.

    Parameters
    ----------
    hours : iterable of str
        Such as ``22:00-07:00``; empty ones are none. Hours with the same beginning and end
        would be all day: they do not count as quiet hours.
    now : datetime
        The lab's wall clock.
    """
    ends = [end for span in hours if (end := _end_of(span, now)) is not None]
    return max(ends, default=None)


def _end_of(hours: str, now: datetime) -> datetime | None:
    match = re.fullmatch(HOURS, hours or "")
    if not match:
        return None
    first, last = (time.fromisoformat(each) for each in match.groups())
    at = now.time()
    over_midnight = last < first
    within = at >= first or at < last if over_midnight else first <= at < last
    if not within:
        return None
    end = datetime.combine(now.date(), last)
    return end + timedelta(days=1) if over_midnight and at >= first else end
