"""Water numbers are the same after an import as in the Alyx they come from."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lab.client import Client, Settings
from lab.importers.alyx import AlyxImport
from lab.importers.carrier import Carrier
from lab.importers.journal import Journal
from tests.importers.served import empty_fornix


@pytest.fixture
def api(table: str) -> Iterator[Client]:
    """Client of an administrator of an empty Fornix."""
    with empty_fornix() as (url, token):
        yield Client(Settings(url, "root", token=token), sleep=lambda s: None)


def fill(alyx: Any, vector: dict[str, Any], lab: str, subject: str) -> None:
    """Put a subject of the vectors into the small Alyx, as Alyx's lists show it."""

    def add(route: str, **fields: Any) -> None:
        id_ = str(uuid.uuid4())
        rows = alyx.lists.setdefault(route, [])
        rows.append({"subject": subject, "url": f"{alyx.url}/{route}/{id_}", **fields})

    alyx.lists["labs"].append({"name": lab, "repositories": [], **vector["lab"]})
    row = {"nickname": subject, "id": str(uuid.uuid4()), "lab": lab, "sex": vector["sex"]}
    alyx.lists["subjects"].append(row | {"birth_date": vector["birth_date"]})
    session = alyx.session(subject=subject, n_datasets=0, lab=lab, projects=[], procedures=[])
    for time, weight in vector["weighings"]:
        add("weighings", date_time=time.replace(" ", "T"), weight=weight, user="ada")
    for time, volume, in_session in vector["waters"]:
        add(
            "water-administrations",
            date_time=time.replace(" ", "T"),
            water_administered=volume,
            session=session if in_session else None,
            adlib=False,
        )
    for start, end, weight in vector["restrictions"]:
        row = {"subject": subject, "start_time": start.replace(" ", "T")}
        row |= {"end_time": end and end.replace(" ", "T"), "reference_weight": weight}
        alyx.lists.setdefault("water-restriction", []).append(row)
    for start, weight in vector["surgeries"]:
        time = start.replace(" ", "T")
        add("surgeries", id=str(uuid.uuid4()), start_time=time, implant_weight=weight)
        alyx.lists["surgeries"][-1]["subject"] = row_id(alyx, subject)


def row_id(alyx: Any, subject: str) -> str:
    return next(r["id"] for r in alyx.lists["subjects"] if r["nickname"] == subject)


def test_water_requirements_are_those_of_the_source(alyx, api, shared_data):
    # Given an Alyx with the subjects for which Alyx's own numbers are known
    vectors = json.loads((shared_data / "water_control" / "vectors.json").read_text())
    for i, vector in enumerate(vectors):
        fill(alyx, vector, f"lab{i}", f"S{i}")
    # When it is copied
    journal = Journal()
    zone = ZoneInfo(vectors[0]["server_tz"])
    AlyxImport(alyx.source(), Carrier(api, journal), zone).run()
    assert list(journal.refusals()) == []
    # Then all numbers of all days are the same
    for i, vector in enumerate(vectors):
        days = [date.fromisoformat(out["date"]) for out in vector["out"]]
        answer = api.get(
            f"/water-requirement/S{i}",
            start_date=min(days).isoformat(),
            end_date=max(days).isoformat(),
        )
        assert len(answer["records"]) == len(vector["out"])
        for record, expected in zip(answer["records"], vector["out"], strict=True):
            assert set(record) == set(expected)
            for name, value in expected.items():
                if isinstance(value, float | int) and not isinstance(value, bool):
                    assert record[name] == pytest.approx(value, abs=1e-6), (i, name, expected)
                elif name == "weighing_at":
                    assert bool(record[name]) == bool(value), (i, name, expected)
                else:
                    assert record[name] == value, (i, name, expected)
