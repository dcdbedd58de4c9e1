"""Water restriction: what a mouse weighs, should weigh, drank and should drink, day by day.

The rules are those of the labs' welfare procedures (Alyx REST contract, water control of Alyx
3.6.1), oddities included, since records must agree with earlier ones. Weights are in grams,
water in millilitres, and every function is a pure function of the given records.

A moment `d` is a naive datetime in the lab's zone; a plain date means noon of it. The calendar
date decides on which day an event happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from shared.science.water.records import (
    Moment,
    Restriction,
    Surgery,
    Water,
    Weighing,
    day_of,
    moment_of,
    wall_time,
)

COLUMNS = (
    "date",
    "weight",
    "weighing_at",
    "reference_weight",
    "expected_weight",
    "min_weight",
    "percentage_weight",
    "given_water_reward",
    "given_water_supplement",
    "given_water_total",
    "expected_water",
    "excess_water",
    "is_water_restricted",
    "implant_weight",
)

_FIRST_WEEK = 4
# Mean and standard deviation (g) of C57BL/6J mice by age in whole weeks, from week 4 on.
_MALES = (
    "15.7/2.2 19.4/1.8 21.1/1.5 22.9/1.5 24.0/1.5 25.0/1.6 25.6/1.7 26.7/1.7 27.7/1.7 28.4/1.9 "
    "29.1/1.9 29.7/2.2 30.1/2.1 30.7/2.2 31.1/2.3 31.4/2.4 31.8/2.5"
)
_FEMALES = (
    "14.1/1.8 16.9/1.2 17.5/1.0 18.2/1.1 18.7/1.2 19.3/1.2 19.8/1.3 20.2/1.4 20.7/1.4 21.7/1.5 "
    "22.0/1.6 22.3/1.7 22.6/1.8 22.6/2.0 23.0/2.1 23.5/2.3 23.6/2.3"
)
_GROWTH = {
    male: tuple(
        (float(mean), float(sd)) for mean, sd in (pair.split("/") for pair in table.split())
    )
    for male, table in ((True, _MALES), (False, _FEMALES))
}

WATER_FRACTION = 0.04
WATER_FRACTION_LIGHT = 0.05


@dataclass(frozen=True)
class WaterControl:
    """Records of one mouse and the values that follow from them.

    Attributes
    ----------
    nickname : str
        Used in alerts only.
    sex : str
        'M' uses the growth table of males, anything else that of females.
    birth_date : date, optional
        Without it there is no z-score weight.
    reference_weight_pct, zscore_weight_pct : float
        The lab's weights of the two expectations, as fractions; their sum is the fraction of the
        expected weight a mouse must keep.
    lab_timezone, server_timezone : str
        Times of surgeries, weighings and water are the server's and are converted to the lab's;
        those of restrictions stay as they are. An aware time is converted from its own zone.
    surgeries, restrictions, weighings, waters : sequences
        In any order.
    """

    nickname: str = ""
    sex: str = "U"
    birth_date: date | None = None
    reference_weight_pct: float = 0.0
    zscore_weight_pct: float = 0.0
    lab_timezone: str = "UTC"
    server_timezone: str = "UTC"
    surgeries: Sequence[Surgery] = ()
    restrictions: Sequence[Restriction] = ()
    weighings: Sequence[Weighing] = ()
    waters: Sequence[Water] = ()

    @cached_property
    def _implants(self) -> list[tuple[datetime, float]]:
        return sorted(
            ((self.local(s.start), s.implant_weight) for s in self.surgeries if s.implant_weight),
            key=lambda pair: pair[0],
        )

    @cached_property
    def _weighings(self) -> list[tuple[datetime, float]]:
        return sorted(
            ((self.local(w.when), w.weight) for w in self.weighings), key=lambda pair: pair[0]
        )

    @cached_property
    def _waters(self) -> list[tuple[datetime, Water]]:
        return sorted(((self.local(w.when), w) for w in self.waters), key=lambda pair: pair[0])

    @cached_property
    def _restrictions(self) -> list[Restriction]:
        return sorted(
            (
                Restriction(
                    wall_time(r.start), r.end and wall_time(r.end), r.reference_weight or 0.0
                )
                for r in self.restrictions
            ),
            key=lambda restriction: restriction.start,
        )

    def local(self, when: datetime) -> datetime:
        """Return a time of the server, or an aware time, as a naive one of the lab's zone."""
        if when.tzinfo is None:
            when = when.replace(tzinfo=ZoneInfo(self.server_timezone))
        return when.astimezone(ZoneInfo(self.lab_timezone)).replace(tzinfo=None)

    @property
    def fraction(self) -> float:
        """Return the fraction of the expected weight a mouse must keep (both parts added)."""
        return self.reference_weight_pct + self.zscore_weight_pct

    def implant_weight(self, d: Moment) -> float:
        """Return the implant weight (g) of the latest surgery up to that day, else 0."""
        return _latest(self._implants, d)[1]

    def last_weighing(self, d: Moment) -> tuple[datetime, float] | None:
        """Return the latest weighing up to the end of that day."""
        when, weight = _latest(self._weighings, d)
        return None if when is None else (when, weight)

    def weight(self, d: Moment) -> float:
        """Return the latest weight (g) up to the end of that day, 0 if never weighed."""
        return _latest(self._weighings, d)[1]

    def weighing_at(self, d: Moment) -> float | None:
        """Return the latest weight (g) of that very day."""
        last = self.last_weighing(d)
        return last[1] if last and last[0].date() == day_of(d) else None

    def restriction_at(self, d: Moment) -> Restriction | None:
        """Return the mouse's restriction at a moment.

        Only the latest one started by that day counts: an older one left open behind a newer,
        closed one does not.
        """
        started = [r for r in self._restrictions if r.start.date() <= day_of(d)]
        if not started:
            return None
        last = started[-1]
        return last if last.end is None or moment_of(d) <= last.end else None

    def is_water_restricted(self, d: Moment) -> bool:
        """Tell whether the mouse is under water restriction."""
        return self.restriction_at(d) is not None

    def reference_weighing(self, d: Moment) -> tuple[datetime, float] | None:
        """Return the time and value (g, implant included) of the reference weight.

        That of the latest restriction if it has one and has started, even if it has ended; else
        that of the restriction at the time; if it has none, the last weighing before it.
        """
        if self._restrictions:
            last = self._restrictions[-1]
            if last.reference_weight and moment_of(d) >= last.start:
                return last.start, last.reference_weight
        restriction = self.restriction_at(d)
        if restriction is None:
            return None
        if restriction.reference_weight:
            return restriction.start, restriction.reference_weight
        return self.last_weighing(restriction.start)

    def reference_implant_weight(self, d: Moment) -> float:
        """Return the implant weight (g) at the start of the restriction; at `d` without one."""
        restriction = self.restriction_at(d)
        return self.implant_weight(restriction.start if restriction else d)

    def reference_weight(self, d: Moment) -> float:
        """Return the reference weight (g) without implant, 0 if there is none."""
        reference = self.reference_weighing(d)
        return reference[1] - self.reference_implant_weight(d) if reference else 0.0

    def zscore_weight(self, d: Moment) -> float:
        """Return the weight (g, without implant) of the same z-score at that age, else 0."""
        reference = self.reference_weighing(d)
        if reference is None or self.birth_date is None:
            return 0.0
        when, weight = reference
        mean, sd = self.growth(when)
        z = (weight - self.reference_implant_weight(d) - mean) / sd
        mean, sd = self.growth(d)
        return sd * z + mean

    def growth(self, d: Moment) -> tuple[float, float]:
        """Return mean and standard deviation (g) of mice of this sex at the age of that day.

        Raises
        ------
        ValueError
            Without a birth date.
        """
        if self.birth_date is None:
            raise ValueError(f"{self.nickname or 'the mouse'} has no birth date")
        weeks = (moment_of(d) - moment_of(day_of(self.birth_date))).days // 7
        table = _GROWTH[self.sex == "M"]
        return table[min(max(weeks - _FIRST_WEEK, 0), len(table) - 1)]

    def expected_weight(self, d: Moment) -> float:
        """Return the expected weight (g) with implant; 0 if the lab expects nothing."""
        if self.fraction == 0:
            return 0.0
        z = self.zscore_weight_pct / self.fraction
        r = self.reference_weight_pct / self.fraction
        return z * self.zscore_weight(d) + r * self.reference_weight(d) + self.implant_weight(d)

    def percentage_weight(self, d: Moment) -> float:
        """Return the weight in percent of the expected one, both without implant; 0: unknown."""
        implant, expected = self.implant_weight(d), self.expected_weight(d)
        if expected - implant <= 0:
            return 0.0
        return 100 * (self.weight(d) - implant) / (expected - implant)

    def min_weight(self, d: Moment) -> float:
        """Return the weight (g, with implant) the mouse must not fall below."""
        return (
            self.zscore_weight(d) * self.zscore_weight_pct
            + self.reference_weight(d) * self.reference_weight_pct
            + self.implant_weight(d)
        )

    def expected_water(self, d: Moment) -> float:
        """Return the water (ml) due that day: 4 % of the weight, 5 % if below the minimum.

        It holds for every day, restricted or not. Without a weighing an implant makes it negative.
        """
        implant, weight = self.implant_weight(d), self.weight(d)
        return self.water_fraction(d) * (weight - implant)

    def water_fraction(self, d: Moment) -> float:
        """Return the water due per gram (ml) on that day."""
        implant = self.implant_weight(d)
        floor = self.fraction * (self.expected_weight(d) - implant) + implant
        return WATER_FRACTION_LIGHT if self.weight(d) < floor else WATER_FRACTION

    def given_water(self, d: Moment, in_session: bool | None = None) -> float:
        """Return the water (ml) given that day: in sessions, outside them, or (None) in all."""
        return sum(
            water.volume
            for when, water in self._waters
            if when.date() == day_of(d)
            and water.volume is not None
            and (in_session is None or in_session == water.in_session)
        )

    def last_water(self, d: datetime) -> datetime | None:
        """Return when water was last given, up to a moment."""
        times = [when for when, water in self._waters if when <= d and water.volume is not None]
        return times[-1] if times else None

    def excess_water(self, d: Moment) -> float:
        """Return the water (ml) given beyond the amount due; negative: still to be given."""
        return -(self.expected_water(d) - self.given_water(d))

    def record(self, d: Moment) -> dict[str, Any]:
        """Return all columns of one day, see :data:`COLUMNS`."""
        return {
            "date": day_of(d).isoformat(),
            "weight": self.weight(d),
            "weighing_at": self.weighing_at(d),
            "reference_weight": self.reference_weight(d),
            "expected_weight": self.expected_weight(d),
            "min_weight": self.min_weight(d),
            "percentage_weight": self.percentage_weight(d),
            "given_water_reward": self.given_water(d, in_session=True),
            "given_water_supplement": self.given_water(d, in_session=False),
            "given_water_total": self.given_water(d),
            "expected_water": self.expected_water(d),
            "excess_water": self.excess_water(d),
            "is_water_restricted": self.is_water_restricted(d),
            "implant_weight": self.implant_weight(d),
        }

    def first_moment(self) -> datetime | None:
        """Return the earliest weighing or water, else the birth date, else None."""
        firsts = [records[0][0] for records in (self._weighings, self._waters) if records]
        if firsts:
            return min(firsts)
        return moment_of(day_of(self.birth_date)) if self.birth_date else None

    def records(
        self,
        start: Moment | None = None,
        end: Moment | None = None,
        now: datetime | None = None,
    ) -> list[dict[str, Any]]:
        """Return the record of every day, both ends included.

        Parameters
        ----------
        start : date or datetime, optional
            Default: the earliest weighing or water, else the birth date.
        end : date or datetime, optional
            Default: `now`.
        now : datetime, optional
            The server's time; needed where `end` is not given.

        Returns
        -------
        list of dict
            Empty if nothing was ever recorded or the end is before the start.

        Raises
        ------
        ValueError
            If neither `end` nor `now` is given.
        """
        first = moment_of(start) if start is not None else self.first_moment()
        if end is None and now is None:
            raise ValueError("say until when: give 'end' or 'now'")
        last = day_of(end) if end is not None else self.local(now or datetime.max).date()
        if first is None:
            return []
        return [
            self.record(first + timedelta(days=n)) for n in range((last - first.date()).days + 1)
        ]


def _latest(
    pairs: Sequence[tuple[datetime, float]], d: Moment
) -> tuple[datetime, float] | tuple[None, float]:
    day = day_of(d)
    for when, value in reversed(pairs):
        if when.date() <= day:
            return when, value
    return None, 0.0
