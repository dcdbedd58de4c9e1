"""Water of a lab, how its numbers came about, and the reports: request and exact answer."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

import pytest

from shared.model import moment
from tests.api.conftest import Api

MANAGER: dict[str, Any] = {"user": "fimbrialab_manager"}


@pytest.fixture
def restricted(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """Friday 5 July 2024, noon in Lisbon: FI_001 is restricted since Monday, FI_002 is not."""
    at = dt.datetime(2024, 7, 5, 11, tzinfo=dt.UTC)
    monkeypatch.setattr(moment, "now", lambda: at)
    for day, weight in (("2024-06-30", 25.0), ("2024-07-04", 21.0), ("2024-07-05", 20.0)):
        body = {"subject": "FI_001", "date_time": f"{day}T09:00:00", "weight": weight}
        api.ok("POST", "/weighings", body)
    start = {"subject": "FI_001", "start_time": "2024-07-01T09:00:00"}
    api.ok("POST", "/water-restriction", start)
    water = {"subject": "FI_001", "date_time": "2024-07-05T10:00:00", "water_administered": 0.3}
    api.ok("POST", "/water-administrations", water)
    return api


def test_the_water_of_a_lab_in_one_answer(restricted: Api) -> None:
    answer = restricted.ok("GET", "/water-status?lab=fimbrialab")
    assert (answer["lab"], answer["date"]) == ("fimbrialab", "2024-07-05")
    (row,) = answer["results"]
    # 0.8 of the reference of 25 g is 20 g; 20 g is not below it: 4 % of the weight is due
    factors = row.pop("water_factors")
    assert factors == {"low": 0.04, "high": 0.05, "threshold": pytest.approx(20.0)}
    assert row == {
        "nickname": "FI_001",
        "implant_weight": 0.0,
        "weight": 20.0,
        "weighed_at": "2024-07-05T09:00:00",
        "weighed_today": True,
        "percentage_weight": pytest.approx(80.0),
        "expected_weight": pytest.approx(25.0),
        "min_weight": pytest.approx(20.0),
        "min_percentage": 80.0,
        "reference_weight": 25.0,
        "expected_water": pytest.approx(0.8),
        "given_water": 0.3,
        "remaining_water": pytest.approx(0.5),
        "last_water": "2024-07-05T10:00:00",
        "hours_since_water": 2.0,
        "status": "warning",
        "responsible_user": "fimbrialab_member",
        "cage": None,
    }
    (before,) = restricted.ok("GET", "/water-status?date=2024-07-03")["results"]
    assert (before["weight"], before["status"]) == (25.0, "not weighed")
    assert restricted.ok("GET", "/water-status?lab=septumlab")["results"] == []


def test_each_number_of_a_mouse_s_water_is_explained(restricted: Api) -> None:
    answer = restricted.ok("GET", "/water-explanation/FI_001?date=2024-07-05")
    assert (answer["subject"], answer["date"]) == ("FI_001", "2024-07-05")
    steps = {each["quantity"]: each for each in answer["steps"]}
    assert steps["weight"] == {
        "quantity": "weight",
        "value": 20.0,
        "unit": "g",
        "how": "weighed 2024-07-05 09:00",
    }
    assert steps["water due"]["how"] == (
        "0.04 ml/g · (20 − 0) g, not below 80% of the expected weight"
    )
    assert steps["excess water"]["value"] == pytest.approx(-0.5)
    assert restricted("GET", "/water-explanation/NOBODY").status == 404
    assert restricted("GET", "/water-explanation/FI_001", user="visitor").status == 403
    rig = {"user": "septumlab_rig"}
    assert restricted("GET", "/water-explanation/FI_001", **rig).status == 404


def test_the_restrictions_of_today(restricted: Api) -> None:
    answer = restricted.ok("GET", "/reports/restrictions")
    assert {name: answer[name] for name in ("report", "lab", "from", "to")} == {
        "report": "restrictions",
        "lab": "fimbrialab",
        "from": "2024-07-05",
        "to": "2024-07-05",
    }
    (row,) = answer["rows"]
    assert (row["nickname"], row["since"], row["status"]) == ("FI_001", "2024-07-01", "warning")
    assert row["remaining_water"] == pytest.approx(0.5)


def test_the_week_of_training(restricted: Api) -> None:
    for day in ("2024-07-01", "2024-07-03", "2024-06-28"):
        body = {"subject": "FI_001", "start_time": f"{day}T10:00:00"}
        restricted.ok("POST", "/sessions", body)
    answer = restricted.ok("GET", "/reports/week")
    assert (answer["from"], answer["to"], answer["monday"]) == (
        "2024-07-01",
        "2024-07-07",
        "2024-07-01",
    )
    (row,) = answer["rows"]
    assert [day for day, trained in row.items() if trained is True] == [
        "Monday",
        "Wednesday",
        "few",
    ]
    assert row["days"] == 2
    (last,) = restricted.ok("GET", "/reports/week?from=2024-06-26")["rows"]
    assert (last["days"], last["Friday"]) == (1, True)


def test_what_is_to_be_done(restricted: Api) -> None:
    line = {"name": "PV line", "nickname": "PV", "wean_age_days": 20}
    restricted.ok("POST", "/lines", line, **MANAGER)
    restricted.ok("POST", "/litters", {"name": "L1", "line": "PV", "birth_date": "2024-06-01"})
    pup = {"nickname": "PUP", "lab": "fimbrialab", "litter": "L1", "line": "PV"}
    restricted.ok("POST", "/subjects", {**pup, "birth_date": "2024-06-01"})
    restricted.ok("PATCH", "/subjects/FI_001", {"to_be_genotyped": True})
    restricted.ok("PATCH", "/subjects/FI_002", {"death_date": "2024-07-04"})
    rows = restricted.ok("GET", "/reports/todo")["rows"]
    assert [(row["task"], row["nickname"], row["since"]) for row in rows] == [
        ("wean", "PUP", "2024-06-21"),
        ("genotype", "FI_001", "2024-01-01"),
        ("reduce", "FI_002", "2024-07-04"),
    ]


def test_the_year_s_return_counts_its_lists_and_names_what_is_missing(restricted: Api) -> None:
    restricted.ok(
        "POST",
        "/surgeries",
        {"subject": "FI_001", "implant_weight": 0, "start_time": "2024-07-02"},
    )
    restricted.ok("PATCH", "/subjects/FI_002", {"death_date": "2024-07-04"})
    body = {"nickname": "FI_003", "lab": "fimbrialab", "birth_date": "2024-02-01"}
    restricted.ok("POST", "/subjects", body)
    answer = restricted.ok("GET", "/reports/year")
    counts = {each["list"]: (each["count"], each["percent_male"]) for each in answer["lists"]}
    assert len(counts) == 16
    assert counts["all"] == (3, 100.0)
    assert counts["killed"] == (1, 100.0)
    assert counts["used"] == (1, 100.0)
    assert counts["not used"] == (2, 100.0)
    assert counts["sex bias"] == (1, 100.0)
    assert answer["missing"] == {"sex": ["FI_003"], "severity": ["FI_002"], "cull": ["FI_002"]}
    assert [row["nickname"] for row in answer["rows"] if row["list"] == "all"] == [
        "FI_001",
        "FI_002",
        "FI_003",
    ]
    assert restricted.ok("GET", "/reports/year?from=2023-01-01&to=2023-12-31")["rows"] == []


def test_a_table_for_spreadsheets_has_no_formulas(restricted: Api) -> None:
    for number, mark in enumerate(("=1+1", "+1", "-1", "@x", "  =1", 'a"b,c')):
        body = {"nickname": f"F{number}", "lab": "fimbrialab", "ear_mark": mark}
        restricted.ok("POST", "/subjects", {**body, "birth_date": "2024-01-01"})
    answer = restricted("GET", "/reports/year?format=csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.headers["Content-Disposition"] == (
        'attachment; filename="year_fimbrialab_2024-01-01_2024-12-31.csv"'
    )
    rows = list(csv.DictReader(io.StringIO(answer.raw.decode())))
    marks = [row["ear_mark"] for row in rows if row["list"] == "all" and row["ear_mark"]]
    assert marks == ["'=1+1", "'+1", "'-1", "'@x", "'  =1", 'a"b,c']


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/reports/nothing", 404, "detail"),
        ("/reports/year?lab=nowhere", 400, "lab"),
        ("/reports/year?from=yesterday", 400, "from"),
        ("/reports/year?from=0001-01-01", 400, "from"),
        ("/reports/year?from=2024-02-02&to=2024-02-01", 400, "to"),
        ("/reports/year?from=1900-01-01&to=2199-01-01", 400, "to"),
        ("/reports/year?format=xlsx", 400, "format"),
        ("/water-status?lab=%00", 400, "lab"),
        ("/water-status?date=2024-99-01", 400, "date"),
        ("/water-explanation/FI_001?date=x", 400, "date"),
    ],
)
def test_what_is_not_there_is_said(restricted: Api, path: str, status: int, field: str) -> None:
    answer = restricted("GET", path)
    assert answer.status == status
    assert field in answer.body
    assert restricted("GET", "/reports/year", user="admin").status == 400
