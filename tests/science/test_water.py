"""Water restriction: Alyx's own records, and the rules at their edges."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.science.water.alerts import daily_alerts, weighing_alert
from shared.science.water.control import COLUMNS, WaterControl
from shared.science.water.explanation import explain
from shared.science.water.records import Restriction, Surgery, Water, Weighing


def from_vector(vector: dict[str, Any]) -> WaterControl:
    def when(text):
        return datetime.fromisoformat(text) if text else None

    return WaterControl(
        sex=vector["sex"],
        birth_date=date.fromisoformat(vector["birth_date"]) if vector["birth_date"] else None,
        reference_weight_pct=vector["lab"]["reference_weight_pct"],
        zscore_weight_pct=vector["lab"]["zscore_weight_pct"],
        lab_timezone=vector["lab"]["timezone"],
        server_timezone=vector["server_tz"],
        surgeries=[Surgery(when(t), weight) for t, weight in vector["surgeries"]],
        restrictions=[Restriction(when(s), when(e), w) for s, e, w in vector["restrictions"]],
        weighings=[Weighing(when(t), weight) for t, weight in vector["weighings"]],
        waters=[Water(when(t), ml, session) for t, ml, session in vector["waters"]],
    )


@pytest.mark.parametrize("which", range(10))
def test_records_are_those_of_alyx(shared_data: Path, which):
    vector = json.loads((shared_data / "water_control" / "vectors.json").read_text())[which]
    expected = vector["out"]
    first, last = (date.fromisoformat(expected[i]["date"]) for i in (0, -1))

    found = from_vector(vector).records(first, last)

    assert len(found) == len(expected) == 36
    for ours, theirs in zip(found, expected, strict=True):
        assert tuple(ours) == COLUMNS
        for column in COLUMNS:
            assert ours[column] == theirs[column], (ours["date"], column)


def at(day: int, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(2024, 3, 1, hour, minute) + timedelta(days=day - 1)


MOUSE = WaterControl(
    nickname="M1",
    sex="M",
    birth_date=date(2023, 11, 1),
    reference_weight_pct=0.8,
    weighings=[Weighing(at(1), 25.0), Weighing(at(3, 9), 21.0), Weighing(at(3, 17), 20.5)],
    waters=[
        Water(at(3, 10), 0.6, in_session=True),
        Water(at(3, 11), 0.2),
        Water(at(3, 12), None),
    ],
    restrictions=[Restriction(at(1, 18), None, 25.0)],
)


def test_a_plain_day():
    record = MOUSE.record(date(2024, 3, 3))
    assert record["weight"] == record["weighing_at"] == 20.5
    assert record["percentage_weight"] == pytest.approx(82.0)
    assert record["min_weight"] == pytest.approx(20.0)
    assert record["expected_water"] == pytest.approx(0.04 * 20.5)
    assert record["given_water_reward"] == 0.6
    assert record["given_water_supplement"] == 0.2
    assert record["excess_water"] == pytest.approx(0.8 - 0.82)


def test_a_light_mouse_gets_more_water():
    light = replace(MOUSE, weighings=[Weighing(at(3), 19.9)])
    assert light.expected_water(at(3)) == pytest.approx(0.05 * 19.9)


def test_a_zero_implant_does_not_reset_an_earlier_one():
    mouse = replace(MOUSE, surgeries=[Surgery(at(1), 1.5), Surgery(at(2), 0.0), Surgery(at(3))])
    assert mouse.implant_weight(at(5)) == 1.5
    assert mouse.reference_weight(at(5)) == 23.5
    assert mouse.expected_weight(at(5)) == 25.0


def test_without_a_weighing_the_implant_makes_the_due_water_negative():
    mouse = WaterControl(reference_weight_pct=0.8, surgeries=[Surgery(at(1), 2.0)])
    assert mouse.expected_water(at(2)) == pytest.approx(-0.05 * 2.0)


def test_an_older_open_restriction_behind_a_newer_closed_one_is_ignored():
    both = [Restriction(at(5), at(6), 24.0), Restriction(at(1), None, 25.0)]
    mouse = replace(MOUSE, restrictions=both)
    assert mouse.is_water_restricted(at(4))
    assert not mouse.is_water_restricted(at(7))
    # The last restriction's reference weight outlives it.
    assert mouse.reference_weight(at(7)) == 24.0


def test_a_restriction_counts_from_the_morning_of_its_first_day_to_the_minute_it_ends():
    mouse = replace(MOUSE, restrictions=[Restriction(at(2, 18), at(4, 12))])
    days = [at(1, 23), at(2, 0), at(4, 12), at(4, 12, 1)]
    assert [mouse.is_water_restricted(d) for d in days] == [False, True, True, False]


def test_no_reference_weight_uses_the_last_weighing_before_the_restriction():
    mouse = replace(MOUSE, restrictions=[Restriction(at(2), None, 0.0)])
    assert mouse.reference_weighing(at(4)) == (at(1), 25.0)
    never = replace(mouse, weighings=[])
    assert never.reference_weighing(at(4)) is None
    assert never.percentage_weight(at(4)) == 0


def test_times_move_to_the_zone_of_the_lab_but_restrictions_do_not():
    tokyo = replace(MOUSE, lab_timezone="Asia/Tokyo", weighings=[Weighing(at(1, 20), 24.0)])
    assert tokyo.weighing_at(date(2024, 3, 1)) is None
    assert tokyo.weighing_at(date(2024, 3, 2)) == 24.0
    assert tokyo.restriction_at(date(2024, 3, 1)).start == at(1, 18)


@pytest.mark.parametrize(
    ("sex", "age_days", "mean_sd"),
    [
        ("M", 0, (15.7, 2.2)),
        ("F", 27, (14.1, 1.8)),
        ("F", 35, (16.9, 1.2)),
        ("M", 10 * 7 + 6, (25.6, 1.7)),
        ("U", 20 * 7, (23.6, 2.3)),
        ("M", 900, (31.8, 2.5)),
    ],
)
def test_growth_table(sex, age_days, mean_sd):
    mouse = WaterControl(sex=sex, birth_date=date(2024, 1, 1))
    assert mouse.growth(datetime(2024, 1, 1, 12) + timedelta(days=age_days)) == mean_sd


def test_zscore_weight_grows_with_age():
    mouse = replace(MOUSE, reference_weight_pct=0.0, zscore_weight_pct=0.8)
    mean, sd = mouse.growth(at(1, 18))
    later = mouse.growth(at(40))
    expected = (25.0 - mean) / sd * later[1] + later[0]
    assert mouse.zscore_weight(at(40)) == pytest.approx(expected)
    assert replace(mouse, birth_date=None).zscore_weight(at(40)) == 0


@pytest.mark.parametrize(
    ("weight", "title"),
    [
        (20.0, "WARNING: M1 weight was 80.0% on 2024-03-03 12:00"),
        (20.5, "ATTENTION: M1 weight was 82.0% on 2024-03-03 12:00"),
        (20.6, None),
    ],
)
def test_weighing_alert(weight, title):
    alert = weighing_alert(replace(MOUSE, weighings=[Weighing(at(3), weight)]), at(3))
    assert (alert and alert.title) == title


def test_daily_alerts():
    assert daily_alerts(MOUSE, at(1, 20)) == []  # first day of the restriction
    assert daily_alerts(MOUSE, at(3, 18)) == []  # weighed, watered at noon
    kinds = [alert.kind for alert in daily_alerts(MOUSE, at(4, 10, 59))]
    assert kinds == ["mouse_not_weighed"]
    kinds = [alert.kind for alert in daily_alerts(MOUSE, at(4, 11))]
    assert kinds == ["mouse_not_weighed", "mouse_water"]
    assert daily_alerts(replace(MOUSE, restrictions=[]), at(4, 11)) == []


def test_a_mouse_never_given_water_is_counted_from_its_restriction():
    mouse = replace(MOUSE, waters=[])
    assert [a.kind for a in daily_alerts(mouse, at(2, 17))] == ["mouse_not_weighed", "mouse_water"]


def test_records_run_from_the_first_record_to_now_in_the_zone_of_the_lab():
    found = MOUSE.records(now=at(4, 1))
    assert [record["date"] for record in found] == [f"2024-03-0{i}" for i in range(1, 5)]
    in_new_york = replace(MOUSE, lab_timezone="America/New_York")
    assert in_new_york.records(now=at(4, 1))[-1]["date"] == "2024-03-03"
    assert WaterControl().records(now=at(1)) == []
    assert MOUSE.records(date(2024, 3, 9), date(2024, 3, 1)) == []
    with pytest.raises(ValueError, match="until when"):
        MOUSE.records()


def test_every_number_of_a_day_is_explained():
    steps = {step["quantity"]: step for step in explain(MOUSE, at(3))}
    assert steps["expected weight"]["value"] == 25.0
    assert steps["water due"]["how"] == (
        "0.04 ml/g · (20.5 − 0) g, not below 80% of the expected weight"
    )
    assert steps["reference weight"]["how"] == "25 g of 2024-03-01 − implant 0 g"
    json.dumps(explain(WaterControl(), at(1)))
