"""Two labs have a mouse of one nickname: what is asked, written, found and shown of each."""

from __future__ import annotations

from typing import Any

import pytest

from functions.api.resources import subjects
from functions.api.resources.subjects import key_for
from shared import catalog
from tests.api.conftest import LABS, Api

ADMIN: dict[str, Any] = {"user": "admin"}
HERE, THERE = LABS
MICE = "/subjects/M1"


def member(lab: str) -> dict[str, Any]:
    return {"user": f"{lab}_member"}


@pytest.fixture
def mice(api: Api) -> dict[str, str]:
    """A mouse M1 in each lab; their ids by lab."""
    return {
        lab: api.ok(
            "POST", "/subjects", {"nickname": "M1", "lab": lab, "sex": sex}, **member(lab)
        )["id"]
        for lab, sex in ((HERE, "F"), (THERE, "M"))
    }


def test_a_nickname_is_unique_within_its_lab_alone(api: Api, mice: dict[str, str]) -> None:
    rows = api.ok("GET", "/subjects?nickname=M1")["results"]
    assert {(row["nickname"], row["lab"], row["id"]) for row in rows} == {
        ("M1", lab, mice[lab]) for lab in LABS
    }
    for name, words in (("M1", "already exists"), ("m1", "looks the same")):
        again = api("POST", "/subjects", {"nickname": name, "lab": THERE}, **member(THERE))
        assert (again.status, words in again.body["nickname"][0]) == (400, True)


def test_an_address_that_means_two_mice_says_so_and_how_to_ask(
    api: Api, mice: dict[str, str]
) -> None:
    refused = api("GET", MICE)
    assert (refused.status, refused.body["labs"]) == (409, [HERE, THERE])
    assert f"?lab={HERE}" in refused.body["detail"]
    for lab in LABS:
        for path in (f"{MICE}?lab={lab}", f"{MICE}@{lab}", f"/subjects/{mice[lab]}"):
            row = api.ok("GET", path)
            assert (row["nickname"], row["lab"], row["id"]) == ("M1", lab, mice[lab])
            assert api.ok("GET", row["url"].removeprefix("http://fornix.test")) == row
    assert api("GET", f"{MICE}?lab=nowhere").status == 404
    # A rig sees its own lab's animals alone, so to it the name is not ambiguous
    assert api.ok("GET", MICE, user=f"{THERE}_rig")["id"] == mice[THERE]
    # What is unambiguous is exact as ever
    assert api.ok("GET", "/subjects/FI_001")["url"] == "http://fornix.test/subjects/FI_001"
    assert api("GET", "/subjects/M2").status == 404


def test_what_a_member_writes_is_of_the_members_own_mouse(api: Api, mice: dict[str, str]) -> None:
    for lab, weight in ((HERE, 20.0), (THERE, 30.0)):
        body = {"subject": "M1", "weight": weight, "date_time": "2024-07-01T09:00:00"}
        assert api.ok("POST", "/weighings", body, **member(lab))["subject"] == "M1"
    for lab, weight in ((HERE, 20.0), (THERE, 30.0)):
        (row,) = api.ok("GET", f"/weighings?nickname=M1&lab={lab}")["results"]
        assert (row["subject"], row["weight"]) == ("M1", weight)
        detail = api.ok("GET", f"/subjects/{mice[lab]}")
        assert [each["weight"] for each in detail["weighings"]] == [weight]
        assert api.ok("GET", f"/weighings?subject={mice[lab]}")["results"] == [row]
    assert api.ok("GET", "/weighings?subject=M1")["count"] == 2
    # Who may write both has to say which
    body = {"subject": "M1", "weight": 25.0}
    refused = api("POST", "/weighings", body, **ADMIN)
    assert (refused.status, refused.body["labs"]) == (409, [HERE, THERE])
    api.ok("POST", "/weighings", {**body, "lab": THERE}, **ADMIN)
    api.ok("POST", "/weighings", {**body, "subject": f"M1@{THERE}"}, **ADMIN)
    api.ok("POST", "/weighings", {**body, "subject": mice[THERE]}, **ADMIN)
    counts = [api.ok("GET", f"/weighings?subject=M1@{lab}")["count"] for lab in LABS]
    assert counts == [1, 4]


def test_water_and_reports_do_not_mix(api: Api, mice: dict[str, str]) -> None:
    start = "2024-07-01T09:00:00"
    for lab, weight in ((HERE, 20.0), (THERE, 30.0)):
        mouse: dict[str, Any] = {"subject": "M1"}
        api.ok(
            "POST", "/weighings", {**mouse, "weight": weight, "date_time": start}, **member(lab)
        )
        restricted = {**mouse, "start_time": start, "reference_weight": weight}
        api.ok("POST", "/water-restriction", restricted, **member(lab))
        water = {**mouse, "water_administered": weight / 10, "date_time": start}
        api.ok("POST", "/water-administrations", water, **member(lab))
    assert api("GET", "/water-requirement/M1").status == 409
    for lab, weight in ((HERE, 20.0), (THERE, 30.0)):
        days = "start_date=2024-07-01&end_date=2024-07-01"
        for asked in (f"M1?lab={lab}&{days}", f"{mice[lab]}?{days}"):
            found = api.ok("GET", f"/water-requirement/{asked}")
            (day,) = found["records"]
            assert found["subject"] == "M1"
            assert (day["weight"], day["given_water_total"]) == (weight, weight / 10)
        (status,) = api.ok("GET", f"/water-status?lab={lab}", **member(lab))["results"]
        assert (status["nickname"], status["weight"]) == ("M1", weight)
        (line,) = api.ok("GET", f"/reports/restrictions?lab={lab}", **member(lab))["rows"]
        assert (line["nickname"], line["weight"]) == ("M1", weight)
    listed = api.ok("GET", "/water-restricted-subjects")["results"]
    assert [row["nickname"] for row in listed] == ["M1", "M1"]
    assert {row["url"].rpartition("/")[2] for row in listed} == set(mice.values())


def test_sessions_of_one_day_and_number_are_two_in_two_folders(
    api: Api, mice: dict[str, str]
) -> None:
    made = {
        lab: api.ok(
            "POST",
            "/sessions",
            {"subject": "M1", "lab": lab, "start_time": "2024-07-01T10:00:00", "number": 1},
            **ADMIN,
        )["id"]
        for lab in LABS
    }
    assert len(set(made.values())) == 2
    for lab in LABS:
        (row,) = api.ok("GET", f"/sessions?subject=M1&lab={lab}")["results"]
        assert (row["id"], row["subject"]) == (made[lab], "M1")
        assert api.ok("GET", f"/sessions/{made[lab]}")["subject"] == "M1"
        asked = f"subject__nickname,M1,subject__lab__name,{lab}"
        assert api.ok("GET", f"/sessions?django={asked}")["count"] == 1
        (found,) = api.ok("GET", f"/subjects?django=actions_sessions__id,{made[lab]}")["results"]
        assert found["id"] == mice[lab]
    assert api.ok("GET", "/sessions?nickname=m1")["count"] == 2
    # Files are registered by the folder, with its lab where it is needed
    body = {"path": "M1/2024-07-01/001/alf", "filenames": ["spikes.times.npy"]}
    refused = api("POST", "/register-file", body, **ADMIN)
    assert (refused.status, "lab/Subjects/M1/2024-07-01/001" in refused.body["detail"]) == (
        409,
        True,
    )
    for lab in LABS:
        path = f"{lab}/Subjects/{body['path']}"
        (file,) = api.ok("POST", "/register-file", {**body, "path": path}, **ADMIN)
        assert (file["session"], file["subject"]) == (made[lab], "M1")
    (mine,) = api.ok("POST", "/register-file", body, **member(THERE))
    assert mine["session"] == made[THERE]
    for lab in LABS:
        data = api.ok("GET", f"/datasets?subject=M1&lab={lab}")["results"]
        folders = {each["data_url"].partition("/data/")[2] for each in data[0]["file_records"]}
        assert all(folder.startswith(f"{lab}/Subjects/M1/2024-07-01/001/") for folder in folders)


def test_a_change_means_the_animal_of_the_record(api: Api, mice: dict[str, str]) -> None:
    body = {"subject": f"M1@{THERE}", "weight": 20.0, "date_time": "2024-07-01T09:00:00"}
    weighing = api.ok("POST", "/weighings", body, **ADMIN)["id"]
    kept = api.ok("PUT", f"/weighings/{weighing}", {**body, "subject": "M1"}, **ADMIN)
    assert kept["subject"] == "M1"
    assert api.ok("GET", f"/weighings?subject={mice[THERE]}")["count"] == 1
    body = {"subject": mice[THERE], "start_time": "2024-07-01T10:00:00"}
    eid = api.ok("POST", "/sessions", body, **ADMIN)["id"]
    api.ok("PATCH", f"/sessions/{eid}", {"subject": "M1", "narrative": "n"}, **ADMIN)
    # The sessions of two animals never share a folder
    refused = api("POST", "/sessions", {**body, "lab": HERE}, **ADMIN)
    assert (refused.status, "share folders" in refused.body["lab"][0]) == (400, True)


def test_two_labs_name_their_mice_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a lab that does not see yet that the other has just named its mouse so
    tried: list[str] = []

    def first_sees_none(nickname: str, identity: str) -> str:
        tried.append(nickname)
        return nickname if len(tried) <= 2 else key_for(nickname, identity)

    monkeypatch.setattr(subjects, "key_for", first_sees_none)
    # When both make it, then each has its own, the second by another try
    for lab in LABS:
        made = api("POST", "/subjects", {"nickname": "R1", "lab": lab}, **member(lab))
        assert made.status == 201, made.raw
    assert tried == ["R1"] * 3
    assert api.ok("GET", "/subjects?nickname=R1")["count"] == 2


def test_a_rename_in_one_lab_leaves_the_other_alone(api: Api, mice: dict[str, str]) -> None:
    for lab, weight in ((HERE, 20.0), (THERE, 30.0)):
        api.ok("POST", "/weighings", {"subject": "M1", "weight": weight}, **member(lab))
    manager = {"user": f"{THERE}_manager"}
    assert api("POST", f"{MICE}/rename", {"nickname": "M9"}, **ADMIN).status == 409
    (row,) = api.ok("POST", f"{MICE}/rename?lab={THERE}", {"nickname": "M9"}, **manager)["rows"]
    assert (row["nickname"], row["former_names"], row["id"]) == ("M9", ["M1"], mice[THERE])
    # Its records went with it, those of the other mouse did not
    assert [w["weight"] for w in api.ok("GET", "/weighings?subject=M9")["results"]] == [30.0]
    assert [w["weight"] for w in api.ok("GET", "/weighings?subject=M1")["results"]] == [20.0]
    # M1 is one mouse again, and in the other lab still means the one that was called so
    assert api.ok("GET", MICE)["id"] == mice[HERE]
    assert api.ok("GET", f"{MICE}?lab={THERE}")["nickname"] == "M9"
    # Both ways at once: the first gets the name that the other has
    (row,) = api.ok("POST", f"{MICE}/rename?lab={HERE}", {"nickname": "M9"}, **ADMIN)["rows"]
    assert (row["nickname"], row["id"]) == ("M9", mice[HERE])
    counts = [api.ok("GET", f"/weighings?subject={mice[lab]}")["count"] for lab in LABS]
    assert counts == [1, 1]
    taken = api("POST", "/subjects", {"nickname": "M1", "lab": HERE}, **member(HERE))
    assert (taken.status, "is a name of M9" in taken.body["nickname"][0]) == (400, True)


def test_a_mouse_does_not_move_to_a_lab_that_has_its_name(api: Api, mice: dict[str, str]) -> None:
    refused = api("PATCH", f"{MICE}?lab={THERE}", {"lab": HERE}, **ADMIN)
    assert (refused.status, "M1" in refused.body["nickname"][0]) == (400, True)
    kept = api.ok("PATCH", f"{MICE}?lab={THERE}", {"nickname": "M1", "description": "b"}, **ADMIN)
    assert (kept["id"], kept["description"]) == (mice[THERE], "b")
    assert api.ok("GET", f"{MICE}?lab={HERE}")["description"] == ""
    api.ok("DELETE", f"{MICE}?lab={THERE}", **ADMIN)
    assert api.ok("GET", MICE)["id"] == mice[HERE]


def test_workflows_and_notes_mean_the_mouse_of_the_lab(api: Api, mice: dict[str, str]) -> None:
    note = {"content_type": "subject", "object_id": "M1", "text": "bites"}
    for lab in LABS:
        api.ok("POST", "/notes", note, **member(lab))
    (about,) = api.ok("GET", "/subjects?django=notes__text,bites,lab,fimbrialab")["results"]
    assert about["id"] == mice[HERE]
    assert {row["object_id"] for row in api.ok("GET", "/notes")["results"]} == set(mice.values())
    body = {"subjects": ["M1"], "date": "2024-08-01", "severity": "mild"}
    assert api("POST", "/subjects/cull", body, **ADMIN).status == 409
    answer = api.ok("POST", f"/subjects/cull?lab={THERE}", body, **ADMIN)
    assert [row["subject"] for row in answer["rows"]] == ["M1"]
    assert api.ok("GET", f"/subjects/{mice[THERE]}")["death_date"] == "2024-08-01"
    assert api.ok("GET", f"/subjects/{mice[HERE]}")["death_date"] is None
    cage = api.ok("POST", "/cages", {"name": "C1", "lab": HERE}, **ADMIN)["id"]
    api.ok("POST", "/stays", {"subject": "M1", "cage": cage}, **ADMIN)  # the cage's lab decides
    assert api.ok("GET", f"/subjects/{mice[HERE]}")["cage"] == "C1"
    assert api.ok("GET", f"/cages/{cage}")["subjects"] == ["M1"]


def test_a_device_holds_its_own_mouse_and_sends_by_its_key(api: Api, mice: dict[str, str]) -> None:
    for lab, weight in ((HERE, 20.0), (THERE, 30.0)):
        batch = {
            "group": f"00000000-0000-4000-8000-00000000000{LABS.index(lab)}",
            "writes": [
                {
                    "op": "create",
                    "resource": "weighings",
                    "body": {"subject": "M1", "weight": weight},
                },
                {"op": "update", "resource": "subjects", "key": "M1", "body": {"cage": lab}},
            ],
        }
        api.ok("POST", "/batch", batch, **member(lab))
    for lab, weight in ((HERE, 20.0), (THERE, 30.0)):
        page = api.ok("GET", "/changes?kinds=subject,weighing", **member(lab))
        held = {block["kind"]: block for block in page["blocks"]}
        mouse, weighed = held["subject"], held["weighing"]
        keys = dict(zip(mouse["columns"][mouse["fields"].index("id")], mouse["keys"], strict=True))
        rows = weighed["columns"][weighed["fields"].index("subject")]
        assert rows == [keys[mice[lab]]]
        assert weighed["columns"][weighed["fields"].index("weight")] == [weight]
        assert api.ok("GET", f"/subjects/{mice[lab]}")["cage"] == lab


def test_an_import_maps_mice_by_their_lab(api: Api) -> None:
    ids = {lab: f"0000000{n}-0000-4000-8000-000000000001" for n, lab in enumerate(LABS, 1)}
    animals = [{"id": ids[lab], "nickname": "M1", "lab": lab, "sex": "M"} for lab in LABS]
    weights = [
        {
            "id": f"{ids[lab][:-1]}2",
            "subject": ids[lab],
            "weight": 20.0 + n,
            "date_time": "2024-07-01",
        }
        for n, lab in enumerate(LABS)
    ]
    for outcome in ("created", "unchanged"):
        for resource, rows in (("subjects", animals), ("weighings", weights)):
            answer = api.ok("POST", "/import", {"resource": resource, "rows": rows}, **ADMIN)
            assert (answer[outcome], answer["refused"]) == (2, [])
    for n, lab in enumerate(LABS):
        (row,) = api.ok("GET", f"/weighings?subject=M1@{lab}")["results"]
        assert row["weight"] == 20.0 + n


def test_the_public_sees_the_mouse_that_has_a_public_session(
    api: Api, mice: dict[str, str]
) -> None:
    body = {"subject": mice[THERE], "start_time": "2024-07-01T10:00:00", "public": True}
    api.ok("POST", "/sessions", body, **ADMIN)
    catalog.start_request()
    assert api.ok("GET", MICE, user="visitor")["id"] == mice[THERE]
    assert [row["id"] for row in api.ok("GET", "/subjects", user="visitor")["results"]] == [
        mice[THERE]
    ]
