"""The rules of an animal's life: in which order things happen, and what follows from them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from shared.model import moment
from shared.records import documents
from tests.api.conftest import Api
from tests.api.test_races import interleaved

MANAGER = {"user": "fimbrialab_manager"}


def subject(name: str = "FI_001") -> dict[str, Any]:
    return documents.get("subject", name).body


def days_ahead(days: int) -> str:
    return (moment.now() + dt.timedelta(days=days)).date().isoformat()


def test_the_protocol_follows_restrictions_and_surgeries_and_their_deletion(api: Api) -> None:
    def protocol() -> str:
        return str(api.ok("GET", "/subjects/FI_001")["protocol_number"])

    start = {"subject": "FI_001", "reference_weight": 20, "start_time": "2024-07-01T09:00:00"}
    restriction = api.ok("POST", "/water-restriction", start)["id"]
    assert protocol() == "3"
    surgery = api.ok("POST", "/surgeries", {"subject": "FI_001", "implant_weight": 1})["id"]
    api.ok("PATCH", f"/water-restriction/{restriction}", {"end_time": "2024-07-02T09:00:00"})
    assert protocol() == "2"
    api.ok("PATCH", f"/water-restriction/{restriction}", {"end_time": None})
    assert protocol() == "3"
    api.ok("DELETE", f"/water-restriction/{restriction}")
    assert protocol() == "2"
    api.ok("DELETE", f"/surgeries/{surgery}")
    assert protocol() == "1"
    api.ok("PATCH", "/subjects/FI_001", {"protocol_number": "3"})  # it is worked out
    assert protocol() == "1"


@pytest.mark.parametrize(("outcome", "dies"), [("n", True), ("a", True), ("r", False)])
def test_a_surgery_that_is_not_survived_ends_the_life_and_its_restriction(
    api: Api, outcome: str, dies: bool
) -> None:
    api.ok("PATCH", "/subjects/FI_001", {"actual_severity": "mild"})
    start = {"subject": "FI_001", "reference_weight": 20, "start_time": "2024-07-01T09:00:00"}
    restriction = api.ok("POST", "/water-restriction", start)["id"]
    body = {
        **{"subject": "FI_001", "implant_weight": 1, "outcome_type": outcome},
        **{"start_time": "2024-07-02T22:00:00", "end_time": "2024-07-03T00:30:00"},
    }
    made = api.ok("POST", "/surgeries", body)
    assert (made["users"], made["lab"]) == (["fimbrialab_member"], "fimbrialab")
    shown = api.ok("GET", "/subjects/FI_001")
    assert shown["actual_severity"] == "moderate"
    assert (shown["death_date"], shown["alive"]) == (
        ("2024-07-03", False) if dies else (None, True)
    )
    end = api.ok("GET", f"/water-restriction/{restriction}")["end_time"]
    assert end == ("2024-07-03T00:00:00" if dies else None)


@pytest.mark.parametrize(
    ("path", "word", "more"),
    [
        ("surgeries", "surgery", {"implant_weight": 1}),
        ("water-restriction", "restriction", {"reference_weight": 20}),
    ],
)
def test_nothing_ends_before_it_begins(api: Api, path: str, word: str, more: Any) -> None:
    body = {"subject": "FI_001", "start_time": "2024-07-02T09:00:00", **more}
    answer = api("POST", f"/{path}", {**body, "end_time": "2024-07-02T08:00:00"})
    assert answer.status == 400
    assert answer.body["end_time"] == [f"A {word} cannot end before it begins."]
    # An offset counts: 10:00 in Vienna is 9:00 in Lisbon
    same = {**body, "end_time": "2024-07-02T10:00:00+02:00"}
    assert api.ok("POST", f"/{path}", same)["end_time"] == "2024-07-02T09:00:00"


@pytest.mark.parametrize(
    ("path", "field", "more"),
    [
        ("weighings", "date_time", {"weight": 20}),
        ("water-administrations", "date_time", {"water_administered": 1}),
        ("water-restriction", "start_time", {"reference_weight": 20}),
        ("surgeries", "start_time", {"implant_weight": 1}),
    ],
)
def test_nothing_happens_to_a_dead_animal(api: Api, path: str, field: str, more: Any) -> None:
    api.ok("PATCH", "/subjects/FI_001", {"death_date": "2024-07-01"})
    body = {"subject": "FI_001", **more}
    answer = api("POST", f"/{path}", {**body, field: "2024-07-02T00:10:00"})
    assert (answer.status, answer.body[field]) == (400, ["FI_001 died on 2024-07-01."])
    api.ok("POST", f"/{path}", {**body, field: "2024-07-01T23:50:00"})


def test_an_animal_has_one_restriction_at_a_time(api: Api) -> None:
    body = {"subject": "FI_001", "reference_weight": 20, "start_time": "2024-07-01T09:00:00"}
    first = api.ok("POST", "/water-restriction", body)
    assert (first["water_type"], first["users"]) == ("Water", ["fimbrialab_member"])
    again = {**body, "start_time": "2024-07-05T09:00:00"}
    refused = api("POST", "/water-restriction", again)
    text = "FI_001 is restricted since 2024-07-01 already; end that first."
    assert (refused.status, refused.body["subject"]) == (400, [text])
    api.ok("PATCH", f"/water-restriction/{first['id']}", {"end_time": "2024-07-03T09:00:00"})
    api.ok("POST", "/water-restriction", again)


def test_of_two_restrictions_that_begin_at_once_one_is_refused(api: Api) -> None:
    body = {"subject": "FI_001", "reference_weight": 20}
    one, two = interleaved(
        lambda: api("POST", "/water-restriction", body),
        lambda: api("POST", "/water-restriction", body),
    )
    assert two is not None
    assert (one.status, two.status) == (400, 201)
    assert api.ok("GET", "/water-restriction?subject=FI_001")["count"] == 1


def test_a_restriction_has_the_water_of_its_lab(api: Api) -> None:
    api.ok("POST", "/water-type", {"name": "Water 2% Citric Acid"})
    api.ok("PATCH", "/labs/fimbrialab", {"water_type": "Water 2% Citric Acid"}, **MANAGER)
    made = api.ok("POST", "/water-restriction", {"subject": "FI_001", "reference_weight": 20})
    assert (made["water_type"], made["lab"]) == ("Water 2% Citric Acid", "fimbrialab")


@pytest.mark.parametrize("name", ["death_date", "wean_date", "genotype_date", "reduced_date"])
def test_no_day_of_a_life_is_before_its_first(api: Api, name: str) -> None:
    answer = api("PATCH", "/subjects/FI_001", {name: "2023-12-31"})
    assert (answer.status, list(answer.body)) == (400, [name, "status_code"])
    api.ok("PATCH", "/subjects/FI_001", {name: "2024-01-01"})


def test_an_animal_is_reduced_after_its_death_and_no_day_is_far_ahead(api: Api) -> None:
    days = {"death_date": "2024-07-02", "reduced_date": "2024-07-01"}
    answer = api("PATCH", "/subjects/FI_001", days)
    assert answer.body["reduced_date"] == ["It cannot be reduced before its death."]
    for name in ("birth_date", "death_date", "wean_date", "genotype_date", "reduced_date"):
        assert api("PATCH", "/subjects/FI_001", {name: "2099-01-01"}).status == 400


def test_an_animal_lives_until_the_day_of_its_death_has_come(api: Api) -> None:
    api.ok("PATCH", "/subjects/FI_001", {"death_date": days_ahead(3)})
    api.ok("PATCH", "/subjects/FI_002", {"death_date": days_ahead(-3)})

    def listed(alive: bool) -> list[str]:
        rows = api.ok("GET", f"/subjects?alive={alive}&lab=fimbrialab")["results"]
        assert {row["alive"] for row in rows} <= {alive}
        return [row["nickname"] for row in rows]

    assert (listed(True), listed(False)) == (["FI_001"], ["FI_002"])


def test_a_genotype_is_asked_for_until_there_is_one(api: Api) -> None:
    api.ok("PATCH", "/subjects/FI_001", {"to_be_genotyped": True})
    made = api.ok("PATCH", "/subjects/FI_001", {"genotype_date": "2024-02-01"})
    assert made["to_be_genotyped"] is False
    assert api.ok("PATCH", "/subjects/FI_001", {"to_be_genotyped": True})["to_be_genotyped"]


def test_an_animal_is_handed_over_by_whose_it_is_or_who_keeps_the_stock(api: Api) -> None:
    user = {"username": "eva", "lab": ["fimbrialab"], "role": "member"}
    api.ok("POST", "/users", user, user="admin")
    api.ok("PATCH", "/subjects/FI_001", {"responsible_user": "admin"}, user="admin")
    refused = api("PATCH", "/subjects/FI_001", {"responsible_user": "eva"}, user="eva")
    assert (refused.status, refused.body["detail"]) == (
        403,
        "You may not set responsible_user of a subject. Managers, administrators, stock managers "
        "and admin may change it.",
    )
    api.ok("PATCH", "/users/eva", {"is_stock_manager": True}, user="admin")
    api.ok("PATCH", "/subjects/FI_001", {"responsible_user": "eva"}, user="eva")


def test_accounts_have_names_and_preferences(api: Api) -> None:
    more = {"first_name": "Eva", "last_name": "Novak", "preferences": {"theme": "dark"}}
    body = {"username": "eva", "lab": ["fimbrialab"], "is_husbandry": True, **more}
    made = api.ok("POST", "/users", body, **MANAGER)
    assert {name: made[name] for name in (*more, "is_husbandry")} == {**more, "is_husbandry": True}


def test_a_weight_that_looks_like_a_slip_is_asked_about(api: Api) -> None:
    first = {"subject": "FI_001", "weight": 25, "date_time": "2024-07-01T09:00:00"}
    api.ok("POST", "/weighings", first)
    low = {**first, "weight": 18, "date_time": "2024-07-02T09:00:00"}
    refused = api("POST", "/weighings", low)
    assert (refused.status, refused.body["weight"]) == (
        400,
        [
            "18 g is 28% less than the 25 g of 2024-07-01. If it is right, send it again with "
            '"unusual": true.'
        ],
    )
    assert api.ok("POST", "/weighings", {**low, "unusual": True})["unusual"] is True
    tiny = {**low, "weight": 4, "date_time": "2024-07-03T09:00:00"}
    said = api("POST", "/weighings", tiny).body["weight"][0]
    assert said.startswith("4 g is not between 5 and 60 g.")
    # Nobody is at a rig to be asked: what it weighed is kept, and marked
    assert api.ok("POST", "/weighings", tiny, user="fimbrialab_rig")["unusual"] is True


def test_a_weight_is_not_of_the_future(api: Api) -> None:
    at = (moment.now() + dt.timedelta(seconds=120)).isoformat()
    refused = api("POST", "/weighings", {"subject": "FI_001", "weight": 20, "date_time": at})
    text = "It lies in the future; look at the clock of this device."
    assert (refused.status, refused.body["date_time"]) == (400, [text])


def test_weights_are_sent_as_a_list(api: Api) -> None:
    rows = [{"subject": name, "weight": 20} for name in ("FI_001", "FI_002")]
    assert len(api.ok("POST", "/weighings", rows)) == 2
    refused = api("POST", "/weighings", [*rows, {"subject": "FI_001", "weight": 99}])
    assert refused.status == 400
    assert api.ok("GET", "/weighings")["count"] == 2


def test_history_is_taken_as_it_happened(api: Api) -> None:
    api.ok("PATCH", "/subjects/FI_001", {"death_date": "2024-07-01"})
    rows: dict[str, list[dict[str, Any]]] = {
        "weighings": [
            {"id": "6a9b3a3e-8d0e-4b7c-9c1b-000000000001", "weight": 900},
        ],
        "water-restriction": [
            {"id": f"6a9b3a3e-8d0e-4b7c-9c1b-00000000001{i}", "start_time": "2024-08-01T09:00:00"}
            for i in range(2)
        ],
        "surgeries": [
            {
                **{"id": "6a9b3a3e-8d0e-4b7c-9c1b-000000000020", "implant_weight": 1},
                **{"outcome_type": "n", "end_time": "2024-06-01T09:00:00"},
            }
        ],
    }
    for resource, found in rows.items():
        body = {"resource": resource, "rows": [{"subject": "FI_001", **row} for row in found]}
        answer = api.ok("POST", "/import", body, user="admin")
        assert (answer["created"], answer["refused"]) == (len(found), [])
        again = api.ok("POST", "/import", body, user="admin")
        assert again["unchanged"] == len(found)
    assert subject()["death_date"] == "2024-07-01"


def test_procedures_places_and_stacks_are_changed_and_deleted(api: Api) -> None:
    api.ok("POST", "/locations", {"name": "rig 1", "lab": "fimbrialab"}, **MANAGER)
    stack = api.ok("POST", "/imaging-stack", {"name": "s"})["id"]
    for path, change in (
        ("/procedures/Histology", {"description": "slices"}),
        ("/locations/rig%201", {"json": {"room": 2}}),
        (f"/imaging-stack/{stack}", {"name": "t"}),
    ):
        (name, value), *_ = change.items()
        assert api.ok("PATCH", path, change, user="admin")[name] == value
        assert api("DELETE", path, user="admin").status == 204
        assert api("GET", path, user="admin").status == 404
