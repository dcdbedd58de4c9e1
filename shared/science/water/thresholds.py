"""How a weight stands against the lab's thresholds: statuses, colours, the chart."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Literal

from shared.science.water.control import WaterControl
from shared.science.water.records import Moment

Status = Literal[0, 1, 2]

WEIGHT_THRESHOLD = 0.75
"""Fraction of the expected weight below which the chart is red."""
_REMIND_MARGIN = 0.02


def weight_status(control: WaterControl, d: Moment) -> Status:
    """Return 2 below the lab's threshold, 1 less than 2 % above it, else 0.

    The threshold is the larger of the lab's two fractions, not their sum.
    """
    threshold = max(control.reference_weight_pct, control.zscore_weight_pct)
    percentage = control.percentage_weight(d)
    if percentage == 0:
        return 0
    if percentage / 100 < threshold:
        return 2
    return 1 if percentage / 100 < threshold + _REMIND_MARGIN else 0


def weight_colour(control: WaterControl, d: Moment) -> Literal["grey", "green", "orange", "red"]:
    """Return the colour of the weight: grey if not restricted, else by its status."""
    if not control.is_water_restricted(d):
        return "grey"
    colours: tuple[Literal["green", "orange", "red"], ...] = ("green", "orange", "red")
    return colours[weight_status(control, d)]


def thresholds(control: WaterControl) -> list[tuple[float, Literal["orange", "red"]]]:
    """Return the fractions of the chart and the alerts, ascending, with their colours."""
    pairs: list[tuple[float, Literal["orange", "red"]]] = [
        (control.fraction, "orange"),
        (WEIGHT_THRESHOLD, "red"),
    ]
    return sorted(pairs, key=lambda pair: pair[0])


def min_percentage(control: WaterControl) -> float:
    """Return the percentage at which a weighing raises an alert."""
    return 100 * thresholds(control)[-1][0]


def span_colour(control: WaterControl, d: Moment) -> Literal["green", "orange", "red"]:
    """Return the chart's background: that of the first threshold the weight is below."""
    implant = control.implant_weight(d)
    weight, expected = control.weight(d) - implant, control.expected_weight(d) - implant
    for threshold, colour in thresholds(control):
        if weight < threshold * expected:
            return colour
    return "green"


def water_chart(
    control: WaterControl,
    start: Moment | None = None,
    end: Moment | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Return what the water and weight chart draws over some days.

    Returns
    -------
    dict
        `records` (see :meth:`records`), `thresholds` (fraction and colour) and `spans`:
        stretches of days of one background colour within restrictions.
    """
    records = control.records(start, end, now)
    spans: list[dict[str, str]] = []
    for record in records:
        if not record["is_water_restricted"]:
            continue
        day = date.fromisoformat(record["date"])
        colour = span_colour(control, day)
        follows = spans and spans[-1]["end"] == (day - timedelta(days=1)).isoformat()
        if follows and spans[-1]["colour"] == colour:
            spans[-1]["end"] = record["date"]
        else:
            spans.append({"start": record["date"], "end": record["date"], "colour": colour})
    return {
        "records": records,
        "thresholds": [{"fraction": f, "colour": colour} for f, colour in thresholds(control)],
        "spans": spans,
    }
