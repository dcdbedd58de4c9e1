"""Water control against the fourteen rules of the Alyx REST contract, written down once more.

The rules are stated here the plain way, record by record and day by day, without any of the
code under test, and both are asked about mice that nobody thought of.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.science.water.control import COLUMNS, WaterControl
from shared.science.water.records import Restriction, Surgery, Water, Weighing

MALE = [15.7, 19.4, 21.1, 22.9, 24.0, 25.0, 25.6, 26.7, 27.7, 28.4, 29.1, 29.7, 30.1, 30.7, 31.1]
MALE += [31.4, 31.8]
MALE_SD = [2.2, 1.8, 1.5, 1.5, 1.5, 1.6, 1.7, 1.7, 1.7, 1.9, 1.9, 2.2, 2.1, 2.2, 2.3, 2.4, 2.5]
FEMALE = [14.1, 16.9, 17.5, 18.2, 18.7, 19.3, 19.8, 20.2, 20.7, 21.7, 22.0, 22.3, 22.6, 22.6, 23.0]
FEMALE += [23.5, 23.6]
FEMALE_SD = [1.8, 1.2, 1.0, 1.1, 1.2, 1.2, 1.3, 1.4, 1.4, 1.5, 1.6, 1.7, 1.8, 2.0, 2.1, 2.3, 2.3]


def in_time(records: Iterable[tuple]) -> list[tuple]:
    """Sort records by when they were; where clocks are put back, two may be at the same time."""
    return sorted(records, key=lambda each: each[0])


def by_the_rules(mouse: WaterControl, day: date) -> dict:
    """Return the columns of a day, rule by rule."""

    def moved(when: datetime) -> datetime:
        zone = when.tzinfo or ZoneInfo(mouse.server_timezone)
        there = when.replace(tzinfo=zone).astimezone(ZoneInfo(mouse.lab_timezone))
        return there.replace(tzinfo=None)

    surgeries = in_time((moved(s.start), s.implant_weight or 0) for s in mouse.surgeries)
    weighings = in_time((moved(w.when), w.weight) for w in mouse.weighings)
    waters = [(moved(w.when), w.volume, w.in_session) for w in mouse.waters]
    restrictions = in_time((r.start, r.end, r.reference_weight or 0) for r in mouse.restrictions)
    r, z = mouse.reference_weight_pct, mouse.zscore_weight_pct

    def noon(d: date | datetime) -> datetime:
        return d if isinstance(d, datetime) else datetime(d.year, d.month, d.day, 12)

    def on(d: date | datetime) -> date:
        return noon(d).date()

    def iw(d):  # rule 1
        there = [weight for when, weight in surgeries if when.date() <= on(d) and weight]
        return there[-1] if there else 0

    def last(d):  # rule 2
        there = [each for each in weighings if each[0].date() <= on(d)]
        return there[-1] if there else None

    def restricted(d):  # rule 3
        there = [each for each in restrictions if each[0].date() <= on(d)]
        if not there:
            return None
        start, end, reference = there[-1]
        return (start, reference) if end is None or noon(d) <= end else None

    def reference(d):  # rule 4
        if restrictions:
            start, _, weight = restrictions[-1]
            if weight and noon(d) >= start:
                return start, weight
        under = restricted(d)
        if under is None:
            return None
        return under if under[1] else last(under[0])

    def riw(d):  # rule 5
        under = restricted(d)
        return iw(under[0]) if under else iw(d)

    def reference_weight(d):
        found = reference(d)
        return found[1] - riw(d) if found else 0

    def growth(d):  # rule 6
        weeks = (noon(d) - noon(mouse.birth_date)) // timedelta(weeks=1)
        index = sorted((0, weeks - 4, 16))[1]
        males = mouse.sex == "M"
        return (MALE if males else FEMALE)[index], (MALE_SD if males else FEMALE_SD)[index]

    def zscore_weight(d):
        found = reference(d)
        if found is None or mouse.birth_date is None:
            return 0
        (mean, sd), (mean_now, sd_now) = growth(found[0]), growth(d)
        return mean_now + (found[1] - riw(d) - mean) / sd * sd_now

    p = r + z
    weight = last(day)[1] if last(day) else 0
    expected = 0  # rule 7
    if p:
        expected = (z * zscore_weight(day) + r * reference_weight(day)) / p + iw(day)
    implant = iw(day)
    percentage = 0  # rule 8
    if expected > implant:
        percentage = 100 * (weight - implant) / (expected - implant)
    floor = p * (expected - implant) + implant
    k = 0.05 if weight < floor else 0.04  # rule 10
    that_day = [each for each in waters if each[0].date() == day and each[1] is not None]
    reward = sum(ml for _, ml, session in that_day if session)  # rule 11
    supplement = sum(ml for _, ml, session in that_day if not session)
    at = [each for each in weighings if each[0].date() == day]
    return {
        "date": day.isoformat(),
        "weight": weight,
        "weighing_at": at[-1][1] if at else None,
        "reference_weight": reference_weight(day),
        "expected_weight": expected,
        "min_weight": z * zscore_weight(day) + r * reference_weight(day) + implant,  # rule 9
        "percentage_weight": percentage,
        "given_water_reward": reward,
        "given_water_supplement": supplement,
        "given_water_total": reward + supplement,
        "expected_water": k * (weight - implant),
        "excess_water": reward + supplement - k * (weight - implant),
        "is_water_restricted": restricted(day) is not None,
        "implant_weight": implant,
    }


FIRST = datetime(2024, 3, 25)
ZONES = ["UTC", "Europe/London", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe"]
DAYS = 14
moments = st.integers(0, DAYS * 96).map(lambda n: FIRST + timedelta(minutes=15 * n))
grams = st.integers(1200, 3300).map(lambda n: n / 100)


def some(strategy: st.SearchStrategy) -> st.SearchStrategy:
    """Up to six records, no two at the same time: their order would not be known."""
    return st.lists(strategy, max_size=6, unique_by=lambda each: each[0])


@st.composite
def restrictions(draw: st.DrawFn) -> list[Restriction]:
    found = []
    for start, length, weight in draw(
        some(
            st.tuples(
                moments,
                st.none() | st.integers(0, 8 * 96),
                st.none() | st.just(0.0) | grams,
            )
        )
    ):
        end = None if length is None else start + timedelta(minutes=15 * length)
        found.append(Restriction(start, end, weight))
    return found


mice = st.builds(
    WaterControl,
    sex=st.sampled_from("MFU"),
    birth_date=st.none() | st.integers(0, 300).map(lambda n: FIRST.date() - timedelta(days=n)),
    reference_weight_pct=st.sampled_from([0.0, 0.4, 0.75, 0.85]),
    zscore_weight_pct=st.sampled_from([0.0, 0.4, 0.8]),
    lab_timezone=st.sampled_from(ZONES),
    server_timezone=st.sampled_from(ZONES),
    surgeries=some(
        st.tuples(moments, st.none() | st.just(0.0) | st.just(1.5) | st.just(2.25))
    ).map(lambda rows: [Surgery(*row) for row in rows]),
    restrictions=restrictions(),
    weighings=some(st.tuples(moments, grams)).map(lambda rows: [Weighing(*r) for r in rows]),
    waters=some(
        st.tuples(moments, st.none() | st.integers(0, 200).map(lambda n: n / 100), st.booleans())
    ).map(lambda rows: [Water(*row) for row in rows]),
)


@settings(max_examples=400, deadline=None)
@given(mice)
@example(WaterControl(surgeries=[Surgery(FIRST, 2.0)], reference_weight_pct=0.8))
def test_every_column_of_every_day_is_what_the_rules_say(mouse):
    first, last = FIRST.date() - timedelta(days=1), FIRST.date() + timedelta(days=DAYS + 1)
    found = mouse.records(first, last)
    assert len(found) == DAYS + 3
    for record in found:
        expected = by_the_rules(mouse, date.fromisoformat(record["date"]))
        assert tuple(record) == COLUMNS == tuple(expected)
        for column, value in expected.items():
            exact = value is None or isinstance(value, (bool, str))
            wanted = value if exact else pytest.approx(value, rel=1e-9, abs=1e-9)
            assert record[column] == wanted, (record["date"], column)


def test_records_come_in_any_order():
    """What is given does not depend on how the records are sorted."""
    weighings = [Weighing(FIRST + timedelta(days=n), 20.0 + n) for n in range(4)]
    closed = Restriction(FIRST, FIRST + timedelta(days=1), 22.0)
    open_ = Restriction(FIRST + timedelta(days=2), None, None)
    one = WaterControl(reference_weight_pct=0.8, weighings=weighings, restrictions=[closed, open_])
    other = WaterControl(
        reference_weight_pct=0.8, weighings=weighings[::-1], restrictions=[open_, closed]
    )
    days = FIRST.date(), FIRST.date() + timedelta(days=5)
    assert one.records(*days) == other.records(*days)
    # The open restriction has no reference weight: the last weighing up to its first day is it
    assert one.records(*days)[-1]["reference_weight"] == 22.0
