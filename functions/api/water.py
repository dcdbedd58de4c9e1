"""Water control of a subject, from its records: what the water rules are asked with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from shared import catalog
from shared.model import moment
from shared.records.where import Where

if TYPE_CHECKING:
    from shared.science.water.control import WaterControl

Row = Mapping[str, Any]

EMPTY = {
    "reference_weight": 0,
    "last_water_restriction": None,
    "expected_water": 0,
    "remaining_water": 0,
}


def _mine(kind: str, subject: str) -> list[dict[str, Any]]:
    return catalog.table(kind).select([Where("subject", "exact", subject)]).all()


def control(subject: Row) -> WaterControl:
    """Return the water control of a subject, in its lab's wall clock.

    Parameters
    ----------
    subject : mapping
        Its row in the index.
    """
    from shared.science.water.control import WaterControl
    from shared.science.water.records import Restriction, Surgery, Water, Weighing

    lab = catalog.table("lab").get(subject["lab"]) or {}
    nickname = subject["nickname"]

    def clock(value: str | None) -> datetime | None:
        return datetime.fromisoformat(str(moment.naive(value))) if value else None

    def wall(value: str) -> datetime:
        return datetime.fromisoformat(str(moment.naive(value)))

    birth = subject.get("birth_date")
    return WaterControl(
        reference_weight_pct=float(lab.get("reference_weight_pct") or 0),
        zscore_weight_pct=float(lab.get("zscore_weight_pct") or 0),
        sex=subject.get("sex") or "U",
        birth_date=date.fromisoformat(birth) if birth else None,
        nickname=nickname,
        surgeries=[
            Surgery(wall(row["start_time"]), float(row.get("implant_weight") or 0))
            for row in _mine("surgery", nickname)
            if row.get("start_time")
        ],
        restrictions=[
            Restriction(
                wall(row["start_time"]),
                clock(row.get("end_time")),
                float(row.get("reference_weight") or 0),
            )
            for row in _mine("water-restriction", nickname)
        ],
        weighings=[
            Weighing(wall(row["date_time"]), float(row["weight"]))
            for row in _mine("weighing", nickname)
        ],
        waters=[
            Water(wall(row["date_time"]), row.get("water_administered"), bool(row.get("session")))
            for row in _mine("watering", nickname)
        ],
    )


def now_in(lab: str | None) -> datetime:
    """Return the lab's present wall clock."""
    row = catalog.table("lab").get(lab) if lab else None
    zone = moment.zone((row or {}).get("timezone"))
    return moment.now().astimezone(zone).replace(tzinfo=None)


def summary(subject: Row) -> dict[str, Any]:
    """Return the water values that rows of subjects show."""
    restrictions = _mine("water-restriction", subject["nickname"])
    if not restrictions:
        return dict(EMPTY)
    found = control(subject)
    now = now_in(subject["lab"])
    expected = found.expected_water(now)
    restriction = found.restriction_at(now)
    return {
        "reference_weight": found.reference_weight(now),
        "last_water_restriction": restriction.start.isoformat() if restriction else None,
        "expected_water": expected,
        "remaining_water": expected - found.given_water(now),
    }
