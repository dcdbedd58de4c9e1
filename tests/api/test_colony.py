"""Weights, water, surgeries, insertions, channels, regions: as the Alyx contract has them."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from shared.model import moment
from shared.records import documents
from tests.api.conftest import Api


@pytest.mark.parametrize("number", [0, 4, 8])
def test_water_requirement_shows_all_columns_as_alyx_computes_them(
    api: Api, shared_data: Path, number: int
) -> None:
    vectors = json.loads((shared_data / "water_control" / "vectors.json").read_text())
    case = vectors[number % len(vectors)]
    lab, nickname, user = "goldlab", "GOLD_1", {"user": "admin"}
    documents.create("lab", lab, {"name": lab, **case["lab"]}, who="test")
    body = {"nickname": nickname, "lab": lab, "sex": case["sex"], "birth_date": case["birth_date"]}
    api.ok("POST", "/subjects", body, **user)
    eid = api.ok(
        "POST", "/sessions", {"subject": nickname, "start_time": "2020-01-01T00:00:00"}, **user
    )["id"]

    def server(text: str) -> str:
        """Times of the vectors are the server's, but those of restrictions the lab's."""
        return moment.instant(text, case["server_tz"])

    for start, weight in case["surgeries"]:
        body = {"subject": nickname, "start_time": server(start), "implant_weight": weight}
        api.ok("POST", "/surgeries", body, **user)
    for when, weight in case["weighings"]:
        body = {"subject": nickname, "date_time": server(when), "weight": weight}
        api.ok("POST", "/weighings", body, **user)
    for when, volume, rewarded in case["waters"]:
        body = {"subject": nickname, "date_time": server(when), "water_administered": volume}
        body |= {"session": eid} if rewarded else {}
        api.ok("POST", "/water-administrations", body, **user)
    for start, end, weight in case["restrictions"]:
        # Written as it is: the API would fill in a reference weight of zero
        key = str(uuid.uuid4())
        row = {
            "id": key,
            "subject": nickname,
            "start_time": moment.instant(start, case["lab"]["timezone"]),
            "end_time": end and moment.instant(end, case["lab"]["timezone"]),
            "reference_weight": weight,
        }
        documents.create("water-restriction", key, row, who="test")
    days = [row["date"] for row in case["out"]]
    query = f"start_date={days[0]}&end_date={days[-1]}"
    shown = api.ok("GET", f"/water-requirement/{nickname}?{query}")
    for found, wanted in zip(shown["records"], case["out"], strict=True):
        assert found == pytest.approx(wanted, abs=1e-9), found["date"]


def test_a_restriction_takes_its_weight_from_the_last_weighing_and_sets_the_protocol(
    api: Api,
) -> None:
    weight = {"subject": "FI_001", "date_time": "2024-07-01T09:00:00", "weight": 24.0}
    api.ok("POST", "/weighings", weight)
    start = {"subject": "FI_001", "start_time": "2024-07-03T09:00:00"}
    made = api.ok("POST", "/water-restriction", start)
    assert made["reference_weight"] == 24.0
    (row,) = api.ok("GET", "/water-restriction?subject=FI_001")["results"]
    fields = {"subject", "start_time", "end_time", "water_type", "reference_weight", "version"}
    assert set(row) == fields
    (listed,) = api.ok("GET", "/subjects?water_restricted=True")["results"]
    assert listed["nickname"] == "FI_001"
    assert documents.get("subject", "FI_001").body["protocol_number"] == "3"
    (restricted,) = api.ok("GET", "/water-restricted-subjects")["results"]
    assert restricted["nickname"] == "FI_001"
    late = {"subject": "FI_002", "start_time": "2024-07-20T09:00:00"}
    api.ok("POST", "/weighings", {**weight, "subject": "FI_002"})
    refused = api("POST", "/water-restriction", late)
    assert "days old" in refused.body["reference_weight"][0]
    # When the animal dies, its restriction ends and it gets no more water
    api.ok("PATCH", "/subjects/FI_001", {"death_date": "2024-07-05"})
    assert api.ok("GET", "/water-restriction?subject=FI_001")["results"][0]["end_time"]
    water = {"subject": "FI_001", "date_time": "2024-07-06T09:00:00", "water_administered": 1}
    assert "died on" in api("POST", "/water-administrations", water).body["date_time"][0]


def test_weighings_and_waters_are_read_and_deleted_by_their_address(api: Api) -> None:
    made = api.ok(
        "POST",
        "/weighings",
        {"subject": "FI_001", "date_time": "2024-07-01T09:00:00", "weight": 22.2},
    )
    path = made["url"].removeprefix("http://fornix.test")
    assert api.ok("GET", path) == made
    assert (made["date_time"], made["user"]) == ("2024-07-01T09:00:00", "fimbrialab_member")
    assert api.ok("GET", "/subjects/FI_001")["weighings"][0]["weight"] == 22.2
    assert api("DELETE", path).status == 204
    assert api("GET", path).status == 404
    for weight in (-1, "heavy", None, float("1e400")):
        answer = api("POST", "/weighings", {"subject": "FI_001", "weight": weight})
        assert answer.status == 400


@pytest.fixture
def brain(api: Api) -> dict[str, Any]:
    """A probe in CA1 of one of two sessions."""
    for key, acronym, name, parent in (
        (0, "void", "void", None),
        (997, "root", "root", 0),
        (375, "HPF", "Hippocampal formation", 997),
        (382, "CA1", "Field CA1", 375),
        (672, "CP", "Caudoputamen", 997),
    ):
        body = {"id": key, "acronym": acronym, "name": name, "parent": parent, "description": ""}
        documents.create("brain-region", str(key), body, who="test")
    ids = {}
    for subject, region in (("FI_001", 382), ("FI_002", 672)):
        body: dict[str, Any] = {"subject": subject, "start_time": "2024-07-01T10:00:00"}
        eid = api.ok("POST", "/sessions", body)["id"]
        pid = api.ok("POST", "/insertions", {"session": eid, "name": "probe00"})["id"]
        track = {"probe_insertion": pid, "x": 1, "y": 2, "depth": 3, "theta": 4, "phi": 5}
        track["provenance"] = "Ephys aligned histology track"
        tid = api.ok("POST", "/trajectories", track)["id"]
        channels = [
            {"trajectory_estimate": tid, "axial": a, "lateral": 0, "brain_region": region}
            for a in (20, 40)
        ]
        assert len(api.ok("POST", "/channels", channels)) == 2
        ids[subject] = {"eid": eid, "pid": pid, "tid": tid}
    return ids


def test_a_brain_region_that_does_not_exist_is_named(api: Api, brain: dict[str, Any]) -> None:
    track = {"trajectory_estimate": brain["FI_001"]["tid"], "axial": 60, "lateral": 0}
    message = ['Invalid pk "383" - object does not exist.']
    wrong = {**track, "brain_region": 383}
    for body in (wrong, [{**track, "brain_region": 382}, wrong]):
        answer = api("POST", "/channels", body)
        assert (answer.status, answer.body["brain_region"]) == (400, message)
    # Of a list with a wrong one nothing is kept; a region may be unknown
    assert api.ok("GET", "/channels")["count"] == 4
    channel = api.ok("POST", "/channels", {**track, "brain_region": None})
    answer = api("PATCH", f"/channels/{channel['id']}", {"brain_region": 383})
    assert (answer.status, answer.body["brain_region"]) == (400, message)
    # The same for the regions of a field of view
    session = {"session": brain["FI_001"]["eid"], "name": "FOV_00"}
    view = api.ok("POST", "/fields-of-view", session)["id"]
    place = {"field_of_view": view, "provenance": "E"}
    assert api.ok("POST", "/fov-location", {**place, "brain_region": [382]})
    place["provenance"] = "F"
    answer = api("POST", "/fov-location", {**place, "brain_region": [382, 383]})
    assert (answer.status, answer.body["brain_region"]) == (400, message)
    assert api("POST", "/fov-location", {**place, "brain_region": "CA1"}).status == 400


def test_tracks_are_found_by_the_day_of_their_session(api: Api, brain: dict[str, Any]) -> None:
    of_day = api.ok("GET", "/trajectories?date=2024-07-01&subject=FI_001")["results"]
    assert [row["id"] for row in of_day] == [brain["FI_001"]["tid"]]
    assert api.ok("GET", "/trajectories?date=2024-07-02")["count"] == 0


def test_subjects_show_the_projects_of_their_sessions(api: Api) -> None:
    for number, projects in ((1, ["demo"]), (2, [])):
        body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": number}
        api.ok("POST", "/sessions", {**body, "projects": projects})
    assert api.ok("GET", "/subjects/FI_001")["session_projects"] == ["demo"]
    rows = api.ok("GET", "/subjects?lab=fimbrialab")["results"]
    shown = {row["nickname"]: row["session_projects"] for row in rows}
    assert shown == {"FI_001": ["demo"], "FI_002": []}


def test_a_restriction_that_has_ended_is_not_the_present_one(api: Api) -> None:
    body = {"subject": "FI_001", "start_time": "2024-07-01T09:00:00", "reference_weight": 25}
    api.ok("POST", "/water-restriction", body)
    assert api.ok("GET", "/subjects/FI_001")["last_water_restriction"] == body["start_time"]
    (row,) = api.ok("GET", "/water-restricted-subjects")["results"]
    assert row["last_water_restriction"] == body["start_time"]
    later = body | {"start_time": "2024-07-08T09:00:00", "end_time": "2024-07-09T09:00:00"}
    api.ok("POST", "/water-restriction", later)
    assert api.ok("GET", "/subjects/FI_001")["last_water_restriction"] is None


@pytest.mark.parametrize(
    "query", ["atlas_acronym=ca1", "atlas_acronym=HPF", "atlas_id=375", "atlas_name=hippocampal"]
)
def test_sessions_and_insertions_are_found_by_where_their_probe_is(
    api: Api, brain: dict[str, Any], query: str
) -> None:
    wanted = brain["FI_001"]
    assert [r["id"] for r in api.ok("GET", f"/sessions?{query}")["results"]] == [wanted["eid"]]
    assert [r["id"] for r in api.ok("GET", f"/insertions?{query}")["results"]] == [wanted["pid"]]


def test_regions_list_ancestors_and_descendants(api: Api, brain: dict[str, Any]) -> None:
    def acronyms(query: str) -> list[str]:
        return sorted(
            row["acronym"] for row in api.ok("GET", f"/brain-regions?{query}")["results"]
        )

    assert acronyms("ancestors=CA1") == ["CA1", "HPF", "root"]
    assert acronyms("descendants=375") == ["CA1", "HPF"]
    assert api.ok("GET", "/brain-regions/382")["parent"] == 375


def test_one_insertion_of_a_name_per_session_and_one_trajectory_of_a_kind(
    api: Api, brain: dict[str, Any]
) -> None:
    ids = brain["FI_001"]
    again = api("POST", "/insertions", {"session": ids["eid"], "name": "probe00"})
    assert again.status == 400
    found = api.ok("GET", f"/insertions?session={ids['eid']}&name=probe00")["results"]
    assert found[0]["session_info"]["subject"] == "FI_001"
    query = f"probe_insertion={ids['pid']}&provenance=Ephys%20aligned%20histology%20track"
    (track,) = api.ok("GET", f"/trajectories?{query}")["results"]
    assert (track["id"], track["probe_name"]) == (ids["tid"], "probe00")
    # Deleting the insertion takes its trajectory and channels along
    api.ok("DELETE", f"/insertions/{ids['pid']}")
    assert api.ok("GET", f"/trajectories?probe_insertion={ids['pid']}")["count"] == 0
    assert api.ok("GET", f"/channels?trajectory_estimate={ids['tid']}")["count"] == 0
    assert api.ok("GET", "/channels")["count"] == 2


def test_a_session_shows_its_insertions_notes_and_water(api: Api, brain: dict[str, Any]) -> None:
    eid = brain["FI_001"]["eid"]
    body = {"subject": "FI_001", "water_administered": 0.5, "session": eid}
    api.ok("POST", "/water-administrations", body)
    shown = api.ok("GET", f"/sessions/{eid}")
    assert [each["name"] for each in shown["probe_insertion"]] == ["probe00"]
    (water,) = shown["wateradmin_session_related"]
    assert set(water) == {"id", "name", "water_type", "water_administered"}
    api.ok("DELETE", f"/sessions/{eid}")
    assert api.ok("GET", "/water-administrations")["count"] == 0
    left = [api.ok("GET", f"/{path}")["count"] for path in ("insertions", "trajectories")]
    assert left == [1, 1]
    assert api.ok("GET", "/channels")["count"] == 2


def test_an_update_based_on_an_old_state_is_refused_if_the_client_asks_so(api: Api) -> None:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00"}
    eid = api.ok("POST", "/sessions", body)["id"]
    old = {"If-Match": '"1"'}
    answer = api("PATCH", f"/sessions/{eid}", {"json": {"a": 1}}, headers=old)
    assert answer.status == 412
