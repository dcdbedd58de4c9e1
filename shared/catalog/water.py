"""Water control of a subject, from its records: the input of the water rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from shared.catalog.index import table
from shared.model import moment
from shared.model.identity import nickname_of
from shared.records.where import Where

if TYPE_CHECKING:
    from shared.science.water.control import WaterControl
    from shared.science.water.records import Weighing

Row = Mapping[str, Any]

EMPTY: Mapping[str, Any] = {
    "reference_weight": 0,
    "last_water_restriction": None,
    "expected_water": 0,
    "remaining_water": 0,
}


def _clock(value: str | None) -> datetime | None:
    return datetime.fromisoformat(str(moment.naive(value))) if value else None


def _wall(value: str) -> datetime:
    return datetime.fromisoformat(str(moment.naive(value)))


FIELDS: Mapping[str, tuple[str, ...]] = {
    "surgery": ("subject", "start_time", "implant_weight"),
    "water-restriction": ("subject", "start_time", "end_time", "reference_weight"),
    "weighing": ("subject", "date_time", "weight"),
    "watering": ("subject", "date_time", "water_administered", "session"),
}
"""What the rules need of each kind of record."""

A_DAY_AND_MORE = timedelta(hours=48)
"""Waters of a lab's present day began less than this ago, whatever its time zone."""


def control(subject: Row) -> WaterControl:
    """Return the water control of a subject, in its lab's wall clock.

    Parameters
    ----------
    subject : mapping
        Its row in the index.
    """
    return controls([subject])[subject["nickname"]]


def controls(subjects: Sequence[Row]) -> dict[str, WaterControl]:
    """Return the water control of several subjects by nickname, by one pass over each kind."""
    return _controls(subjects, {kind: _records(kind, subjects) for kind in FIELDS})


def _controls(
    subjects: Sequence[Row], records: Mapping[str, Mapping[str, Sequence[Row]]]
) -> dict[str, WaterControl]:
    """Return the water control of subjects by nickname, from records by kind and nickname."""
    return {
        row["nickname"]: _control(
            row, {kind: rows.get(row["nickname"], ()) for kind, rows in records.items()}
        )
        for row in subjects
    }


def _records(kind: str, subjects: Sequence[Row], *more: Where) -> dict[str, list[Row]]:
    """Return the records of one kind that subjects have, by nickname, by one pass."""
    names = {row["nickname"] for row in subjects}
    several = Where("subject", "in", names)
    condition = several if len(names) != 1 else Where("subject", "exact", next(iter(names)))
    found: dict[str, list[Row]] = defaultdict(list)
    for row in table(kind).select([condition, *more]).all(FIELDS[kind]):
        found[row["subject"]].append(row)
    return found


def _control(subject: Row, mine: Mapping[str, Sequence[Row]]) -> WaterControl:
    """Return the water control of a subject and its records by kind."""
    from shared.science.water.control import WaterControl
    from shared.science.water.records import Restriction, Surgery, Water, Weighing

    lab = table("lab").get(subject["lab"]) or {}
    birth = subject.get("birth_date")
    return WaterControl(
        reference_weight_pct=float(lab.get("reference_weight_pct") or 0),
        zscore_weight_pct=float(lab.get("zscore_weight_pct") or 0),
        sex=subject.get("sex") or "U",
        birth_date=date.fromisoformat(birth) if birth else None,
        nickname=subject["nickname"],
        surgeries=[
            Surgery(_wall(record["start_time"]), float(record.get("implant_weight") or 0))
            for record in mine["surgery"]
            if record.get("start_time")
        ],
        restrictions=[
            Restriction(
                _wall(record["start_time"]),
                _clock(record.get("end_time")),
                float(record.get("reference_weight") or 0),
            )
            for record in mine["water-restriction"]
        ],
        weighings=[
            Weighing(_wall(record["date_time"]), float(record["weight"]))
            for record in mine["weighing"]
        ],
        waters=[
            Water(
                _wall(record["date_time"]),
                record.get("water_administered"),
                bool(record.get("session")),
            )
            for record in mine["watering"]
        ],
    )


def now_in(lab: str | None) -> datetime:
    """Return the lab's present wall clock."""
    return local(moment.now(), lab)


def local(when: datetime, lab: str | None) -> datetime:
    """Return a lab's wall clock at a moment; a naive moment is UTC."""
    lab_row = table("lab").get(lab) if lab else None
    zone = moment.zone((lab_row or {}).get("timezone"))
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return when.astimezone(zone).replace(tzinfo=None)


def summaries(subjects: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return the water values of subjects by nickname, by one pass over each kind.

    Of the weights and waters of a mouse, which may be thousands, only those that count are read
    into objects.
    """
    values: dict[str, dict[str, Any]] = {subject["nickname"]: dict(EMPTY) for subject in subjects}
    restrictions = _records("water-restriction", subjects)
    restricted = [subject for subject in subjects if restrictions.get(subject["nickname"])]
    if not restricted:
        return values
    recent = (moment.now() - A_DAY_AND_MORE).isoformat()
    records = {
        "water-restriction": restrictions,
        "surgery": _records("surgery", restricted),
        "watering": _records("watering", restricted, Where("date_time", "gte", recent)),
        "weighing": {},
    }
    without_weights = _controls(restricted, records)
    weighings = _records("weighing", restricted)
    for subject in restricted:
        name, now = subject["nickname"], now_in(subject["lab"])
        restriction = without_weights[name].restriction_at(now)
        counting = _last_of_days(
            weighings.get(name, ()),
            {now.date(), restriction.start.date() if restriction else None},
        )
        found = replace(without_weights[name], weighings=counting)
        expected = found.expected_water(now)
        values[name] = {
            "reference_weight": found.reference_weight(now),
            "last_water_restriction": restriction.start.isoformat() if restriction else None,
            "expected_water": expected,
            "remaining_water": expected - found.given_water(now),
        }
    return values


def _last_of_days(rows: Sequence[Row], days: Iterable[date | None]) -> list[Weighing]:
    """Return the last weighing up to the end of each day: no other counts on these days."""
    from shared.science.water.records import Weighing

    latest_first = sorted(rows, key=itemgetter("date_time"))[::-1]
    # A day's times begin with it, and "~" sorts behind all of them.
    ends = [f"{day.isoformat()}~" for day in days if day]
    found = [next((row for row in latest_first if row["date_time"] < end), None) for end in ends]
    return [Weighing(_wall(row["date_time"]), float(row["weight"])) for row in found if row]


def status(found: WaterControl, now: datetime) -> dict[str, Any]:
    """Return the water status of a restricted animal at a moment of its lab's wall clock.

    Units are grams and millilitres. ``status`` is ``ok``, ``attention`` (less than 2 % above the
    least share of the expected weight), ``warning`` (not above it) or ``not weighed`` (that day).
    ``water_factors`` are the water due per gram from ``threshold`` grams on (``low``) and below
    it (``high``), so that a device can compute the water due while a weight is typed.
    """
    from shared.science.water.alerts import min_percentage, weighing_alert
    from shared.science.water.control import WATER_FRACTION, WATER_FRACTION_LIGHT

    last = found.last_weighing(now)
    implant, expected = found.implant_weight(now), found.expected_weight(now)
    given = found.given_water(now)
    last_water = found.last_water(now)
    alert = weighing_alert(found, now)
    status_word = "ok" if alert is None else alert.title.partition(":")[0].lower()
    return {
        "nickname": nickname_of(found.nickname),
        "implant_weight": implant,
        "weight": found.weight(now),
        "weighed_at": last[0].isoformat() if last else None,
        "weighed_today": found.weighing_at(now) is not None,
        "percentage_weight": found.percentage_weight(now),
        "expected_weight": expected,
        "min_weight": found.min_weight(now),
        "min_percentage": min_percentage(found),
        "reference_weight": found.reference_weight(now),
        "expected_water": found.expected_water(now),
        "given_water": given,
        "remaining_water": max(0.0, found.expected_water(now) - given),
        "last_water": last_water.isoformat() if last_water else None,
        "hours_since_water": round((now - last_water).total_seconds() / 3600, 2)
        if last_water
        else None,
        "status": status_word if found.weighing_at(now) is not None or alert else "not weighed",
        "water_factors": {
            "low": WATER_FRACTION,
            "high": WATER_FRACTION_LIGHT,
            "threshold": found.fraction * (expected - implant) + implant,
        },
    }
