"""A page's water values, from the few records that count, against the rules over all records."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from typing import Any

import pytest

from shared import catalog
from shared.catalog import water
from shared.model import moment
from tests.api.conftest import Api, api

__all__ = ["api"]

DAYS = 12


def given(api: Api, seed: int, now: dt.datetime) -> list[dict[str, Any]]:
    """Give mice random weights, waters and restrictions around now; return the mice."""
    draw = random.Random(seed)

    def when(spread: float = DAYS) -> str:
        past = draw.choice([draw.uniform(-1, 2), draw.uniform(-spread, spread), -0.5, 0.0])
        return (now - dt.timedelta(days=past)).replace(microsecond=0, tzinfo=None).isoformat()

    names = [f"W{seed}_{n}" for n in range(6)]
    rows: dict[str, list[dict[str, Any]]] = {
        "subjects": [
            {"nickname": name, "lab": "fimbrialab", "sex": draw.choice("MFU")}
            | {"birth_date": draw.choice([None, "2024-01-01"])}
            for name in names
        ],
        "water-restriction": [],
        "weighings": [],
        "water-administrations": [],
    }
    for name in names:
        for _ in range(draw.randrange(3)):
            restriction: dict[str, Any] = {"subject": name, "start_time": when()}
            restriction["reference_weight"] = draw.choice([0, 21.5])
            if draw.random() < 0.4:
                restriction["end_time"] = when()
            rows["water-restriction"].append(restriction)
        for _ in range(draw.randrange(9)):
            weight = {"subject": name, "date_time": when(), "weight": draw.uniform(15, 30)}
            rows["weighings"].append(weight)
        for _ in range(draw.randrange(9)):
            drunk = {"subject": name, "date_time": when(), "water_type": "Water"}
            volume = draw.choice([None, 0.5, 1.25])
            rows["water-administrations"].append({**drunk, "water_administered": volume})
    api.ok(
        "POST", "/import", {"resource": "water-type", "rows": [{"name": "Water"}]}, user="admin"
    )
    for resource, some in rows.items():
        whole = [{"id": str(uuid.uuid4()), **row} for row in some]
        answer = api.ok("POST", "/import", {"resource": resource, "rows": whole}, user="admin")
        assert answer["refused"] == [], answer
    catalog.start_request()
    return [
        dict(row) for row in catalog.table("subject").select().all() if row["nickname"] in names
    ]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("hour", [1, 12, 23])
def test_a_page_shows_what_the_rules_say_of_all_records(
    api: Api, monkeypatch: pytest.MonkeyPatch, seed: int, hour: int
) -> None:
    mice = given(api, seed, moment.now())
    now = moment.now().replace(hour=hour)
    monkeypatch.setattr(moment, "now", lambda: now)
    shown = water.summaries(mice)
    for mouse in mice:
        rules = water.control(mouse)
        here = water.now_in(mouse["lab"])
        if not rules.restrictions:
            assert shown[mouse["nickname"]] == water.EMPTY
            continue
        open_now = rules.restriction_at(here)
        assert shown[mouse["nickname"]] == {
            "reference_weight": rules.reference_weight(here),
            "last_water_restriction": open_now.start.isoformat() if open_now else None,
            "expected_water": rules.expected_water(here),
            "remaining_water": rules.expected_water(here) - rules.given_water(here),
        }
