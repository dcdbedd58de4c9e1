"""Alerts about a mouse's weight and water."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from shared.science.water.control import WaterControl
from shared.science.water.records import Moment

WEIGHT_THRESHOLD = 0.75
"""Least fraction of the expected weight below which every lab is warned."""

_ATTENTION_MARGIN = 2.0
_WATER_INTERVAL = timedelta(hours=23, seconds=-10)


@dataclass(frozen=True)
class Alert:
    """A notice to the people responsible: its type (as in Alyx), a title and details."""

    kind: Literal["mouse_underweight", "mouse_not_weighed", "mouse_water"]
    title: str
    details: str = ""


def min_percentage(control: WaterControl) -> float:
    """Return the percentage at which a weighing raises an alert."""
    return 100 * max(control.fraction, WEIGHT_THRESHOLD)


def weighing_alert(control: WaterControl, d: Moment) -> Alert | None:
    """Return the alert a weighing on that day raises, if any."""
    percentage = control.percentage_weight(d)
    if percentage == 0 or percentage > min_percentage(control) + _ATTENTION_MARGIN:
        return None
    header = "WARNING" if percentage <= min_percentage(control) else "ATTENTION"
    last = control.last_weighing(d)
    when = f" on {last[0]:%Y-%m-%d %H:%M}" if last else ""
    return Alert(
        "mouse_underweight", f"{header}: {control.nickname} weight was {percentage:.1f}%{when}"
    )


def daily_alerts(control: WaterControl, now: datetime) -> list[Alert]:
    """Return the alerts of the hourly check of a living mouse.

    Parameters
    ----------
    now : datetime
        The server's time.

    Returns
    -------
    list of Alert
        None unless restricted, and none on the first day of the restriction.
    """
    d = control.local(now)
    restriction = control.restriction_at(d)
    if restriction is None or restriction.start.date() == d.date():
        return []
    alerts = []
    if control.weighing_at(d) is None:
        alerts.append(
            Alert(
                "mouse_not_weighed",
                f"ATTENTION: {control.nickname} weighing missing for {d:%Y-%m-%d}",
            )
        )
    remaining = -control.excess_water(d)
    times = [when for when, _ in control._waters if when <= d]
    since = times[-1] if times else restriction.start
    if remaining > 0 and d - since >= _WATER_INTERVAL:
        hours = (d - since).total_seconds() / 3600
        alerts.append(
            Alert(
                "mouse_water",
                f"{remaining:.1f} mL remaining for {control.nickname}",
                f"last water {since:%Y-%m-%d %H:%M}, {hours:.1f} hours ago",
            )
        )
    return alerts
