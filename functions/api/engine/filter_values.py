"""Values of filters, converted to the type of the compared field."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from functions.api.engine.declarations import Field
from functions.api.engine.filter_grammar import (
    BadFilter,
    flag_of,
    number_of,
)
from shared.records.patterns import BadPattern
from shared.records.where import LOOKUPS


def day_of(value: str) -> date:
    """Return the day of a date or a time."""
    return date.fromisoformat(value[:10])


DATE_PARTS: dict[str, Callable[[str], Any]] = {
    "date": lambda x: x[:10],
    "year": lambda x: int(x[:4]),
    "month": lambda x: int(x[5:7]),
    "day": lambda x: int(x[8:10]),
    "hour": lambda x: int(x[11:13] or 0),
    "minute": lambda x: int(x[14:16] or 0),
    "second": lambda x: int(x[17:19] or 0),
    "time": lambda x: x[11:] or "00:00:00",
    "quarter": lambda x: (int(x[5:7]) + 2) // 3,
    "week": lambda x: day_of(x).isocalendar().week,
    "iso_year": lambda x: day_of(x).isocalendar().year,
    "iso_week_day": lambda x: day_of(x).isoweekday(),
    "week_day": lambda x: day_of(x).isoweekday() % 7 + 1,
}
"""Parts of a date or a time that Django's lookups know; its weeks begin on Sunday, day 1."""


DATES = ("date", "datetime")

MOMENTS = frozenset({"exact", "in", "lt", "lte", "gt", "gte", "range"})
"""Lookups that compare whole times."""

SCALARS = ("bool", "int", "float")


def typed(spec: Field, value: str, whole: str) -> Any:
    """Return the boolean or the number in a text; ``001`` is a number, too."""
    read = flag_of if spec.type == "bool" else number_of
    try:
        return read("django", value)
    except BadFilter as error:
        raise BadFilter(f"{whole!r}: {error.body['django'][0]}") from None


def moment_of(value: Any) -> Any:
    """Return a time as in rows: midnight for a bare date, as in Django; T instead of a space.

    Other texts stay unchanged and are compared as texts.
    """
    try:
        return datetime.fromisoformat(value).replace(tzinfo=None).isoformat()
    except (TypeError, ValueError):
        return value


def choice_of(spec: Field, value: Any) -> Any:
    """Return the stored value of a choice named by its word; others stay as they are."""
    for name, stored in (spec.choices or {}).items():
        if value == stored or (isinstance(value, str) and value.upper() == name.upper()):
            return stored
    return value


def fitted(lookup: str, value: Any, whole: str) -> Any:
    """Return a value in the shape that its lookup needs."""
    if lookup == "in":
        return value if isinstance(value, list) else [value]
    if lookup == "range":
        if not isinstance(value, list) or len(value) != 2:
            raise BadFilter(f"{whole!r} takes two values in brackets.")
        return value
    if isinstance(value, list):
        raise BadFilter(f"{whole!r} takes one value, not a list.")
    if lookup == "isnull" and not isinstance(value, bool):
        raise BadFilter(f"{whole!r} takes True or False.")
    if lookup in ("regex", "iregex"):
        try:
            LOOKUPS[lookup](value)
        except BadPattern as error:
            raise BadFilter(f"{whole!r}: {error}") from None
    return value
