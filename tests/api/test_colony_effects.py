"""What follows from a write in the colony: request and exact answer, and taking it back."""

from __future__ import annotations

from typing import Any

import pytest

from shared.records import audit
from tests.api.conftest import Api

MANAGER: dict[str, Any] = {"user": "fimbrialab_manager"}


@pytest.fixture
def colony(api: Api) -> Api:
    """A line with two alleles and three sequences; a father and two mothers in a pair."""
    for name in ("Cre", "wt", "tdT"):
        api.ok("POST", "/sequences", {"name": name}, **MANAGER)
    for name in ("Pvalb-Cre", "Ai14"):
        api.ok("POST", "/alleles", {"nickname": name}, **MANAGER)
    line = {"name": "PV line", "nickname": "PV", "alleles": ["Pvalb-Cre", "Ai14"]}
    line |= {"species": None, "strain": None}
    api.ok("POST", "/lines", line, **MANAGER)
    for nickname, sex in (("DAD", "M"), ("MUM", "F"), ("MUM2", "F")):
        body = {"nickname": nickname, "lab": "fimbrialab", "sex": sex, "line": "PV line"}
        api.ok("POST", "/subjects", {**body, "species": "Mus musculus"})
    pair = {"line": "PV", "father": "DAD", "mother1": "MUM", "start_date": "2024-05-01"}
    api.ok("POST", "/breeding-pairs", pair)
    return api


def zygosities(api: Api, nickname: str) -> list[tuple[str, int, str, str | None]]:
    rows = api.ok("GET", f"/subjects/{nickname}")["genotype"]
    return [(each["allele"], each["zygosity"], each["by"], each["rule"]) for each in rows]


def rule(api: Api, **more: Any) -> str:
    body = {"line": "PV", "allele": "Pvalb-Cre", "sequence0": "Cre", "result0": "present"}
    return str(api.ok("POST", "/zygosity-rules", {**body, **more}, **MANAGER)["id"])


def test_names_come_from_the_line_s_counters_and_are_given_once(colony: Api) -> None:
    pup = {"lab": "fimbrialab", "line": "PV"}
    names = [colony.ok("POST", "/subjects", {**pup, "nickname": n})["nickname"] for n in ("", "-")]
    assert names == ["PV_0001", "PV_0002"]
    colony.ok("DELETE", "/subjects/PV_0002", user="admin")
    colony.ok("POST", "/subjects", {**pup, "nickname": "PV_0003"})
    assert colony.ok("POST", "/subjects", pup)["nickname"] == "PV_0004"
    assert colony.ok("POST", "/litters", {"breeding_pair": "PV_BP_001"})["name"] == "PV_L_001"
    assert colony.ok("POST", "/litters", {"line": "PV", "name": "-"})["name"] == "PV_L_002"
    second = colony.ok("POST", "/breeding-pairs", {"line": "PV", "mother1": "MUM2"})
    assert second["name"] == "PV_BP_002"
    counters = colony.ok("GET", "/lines/PV line".replace(" ", "%20"))
    assert [counters[f"{kind}_autoname_index"] for kind in ("subject", "litter")] == [4, 2]
    nameless = colony("POST", "/subjects", {"lab": "fimbrialab"})
    assert nameless.body["nickname"] == ["This field is required."]


def test_a_pup_has_what_its_litter_line_and_parents_have(colony: Api) -> None:
    colony.ok("POST", "/litters", {"breeding_pair": "PV_BP_001", "birth_date": "2024-07-01"})
    pup = colony.ok("POST", "/subjects", {"lab": "fimbrialab", "litter": "PV_L_001"})
    shown = {name: pup[name] for name in ("nickname", "line", "birth_date", "species", "litter")}
    assert shown == {
        "nickname": "PV_0001",
        "line": "PV line",
        "birth_date": "2024-07-01",
        "species": "Mus musculus",
        "litter": "PV_L_001",
    }
    assert (pup["father"], pup["mother"]) == ("DAD", "MUM")
    # A corrected birth of the litter is that of its pups
    colony.ok("PATCH", "/litters/PV_L_001", {"birth_date": "2024-07-02"})
    assert colony.ok("GET", "/subjects/PV_0001")["birth_date"] == "2024-07-02"


def test_tests_give_zygosities_by_the_first_rule_that_matches(colony: Api) -> None:
    one = rule(colony, zygosity=3, order=2)
    two = rule(colony, zygosity=2, order=1, sequence1="wt", result1="absent")
    test = {"subject": "DAD", "sequence": "Cre", "test_result": "present", "date": "2024-07-03"}
    colony.ok("PATCH", "/subjects/DAD", {"to_be_genotyped": True})
    made = colony.ok("POST", "/genotype-tests", test)
    # The rule of two tests waits for the second, the rule of one holds
    assert zygosities(colony, "DAD") == [("Pvalb-Cre", 3, "rule", one)]
    shown = colony.ok("GET", "/subjects/DAD")
    assert (shown["genotype_date"], shown["to_be_genotyped"]) == ("2024-07-03", False)
    second = {**test, "sequence": "wt", "test_result": "absent"}
    colony.ok("POST", "/genotype-tests", second)
    assert zygosities(colony, "DAD") == [("Pvalb-Cre", 2, "rule", two)]
    # A test that is taken back takes its zygosity back
    colony.ok("DELETE", f"/genotype-tests/{made['id']}")
    assert zygosities(colony, "DAD") == []
    # All of a request is one group of the audit
    entries = list(audit.history("subject", "DAD"))
    assert len({entry.sk for entry in entries}) == len(entries)


def test_what_somebody_gave_by_hand_stays_until_it_is_cleared(colony: Api) -> None:
    one = rule(colony, zygosity=1)
    manual = [{"allele": "Pvalb-Cre", "zygosity": 2}]
    colony.ok("PATCH", "/subjects/DAD", {"zygosities": manual})
    test = {"subject": "DAD", "sequence": "Cre", "test_result": "present"}
    colony.ok("POST", "/genotype-tests", test)
    assert zygosities(colony, "DAD") == [("Pvalb-Cre", 2, "manual", None)]
    colony.ok("PATCH", "/subjects/DAD", {"zygosities": []})
    colony.ok("PATCH", f"/zygosity-rules/{one}", {"zygosity": 3}, **MANAGER)
    assert zygosities(colony, "DAD") == [("Pvalb-Cre", 3, "rule", one)]


def test_a_rule_that_changes_or_goes_changes_the_animals_of_its_line(colony: Api) -> None:
    for nickname in ("DAD", "MUM"):
        test = {"subject": nickname, "sequence": "Cre", "test_result": "present"}
        colony.ok("POST", "/genotype-tests", test)
    assert zygosities(colony, "DAD") == []
    one = rule(colony, zygosity=2)
    assert zygosities(colony, "DAD") == zygosities(colony, "MUM")
    assert zygosities(colony, "DAD") == [("Pvalb-Cre", 2, "rule", one)]
    # A pup of two that have both copies has both, whatever is tested of it
    colony.ok("POST", "/litters", {"breeding_pair": "PV_BP_001", "birth_date": "2024-07-01"})
    colony.ok("POST", "/subjects", {"lab": "fimbrialab", "litter": "PV_L_001"})
    assert zygosities(colony, "PV_0001") == []
    other = {"subject": "PV_0001", "sequence": "tdT", "test_result": "absent"}
    colony.ok("POST", "/genotype-tests", other)
    assert zygosities(colony, "PV_0001") == [("Pvalb-Cre", 2, "parents", None)]
    colony.ok("DELETE", f"/zygosity-rules/{one}", **MANAGER)
    assert zygosities(colony, "DAD") == []


def test_a_cull_ends_a_life_and_deleting_it_takes_all_back(colony: Api) -> None:
    # Given an animal under restriction, in a cage and a pair, that is to be culled
    api = colony
    cage = api.ok("POST", "/cages", {"name": "C1"})["id"]
    stay = api.ok("POST", "/stays", {"subject": "DAD", "cage": cage, "start": "2024-06-01T10:00"})
    restriction = {"subject": "DAD", "start_time": "2024-06-01T10:00", "reference_weight": 20}
    water = api.ok("POST", "/water-restriction", restriction)["id"]
    api.ok("PATCH", "/subjects/DAD", {"to_be_culled": True})
    before = {
        path: api.ok("GET", path)
        for path in (
            "/subjects/DAD",
            f"/stays/{stay['id']}",
            f"/water-restriction/{water}",
            "/breeding-pairs/PV_BP_001",
        )
    }
    assert before["/subjects/DAD"]["cage"] == "C1"
    # When it is culled
    body = {"subject": "DAD", "date": "2024-07-01", "severity": "mild"}
    cull = api.ok("POST", "/culls", body)
    assert "ended" not in cull
    # Then it is dead, and all that it was in has ended on that day
    dead = api.ok("GET", "/subjects/DAD")
    shown = [dead[n] for n in ("death_date", "alive", "actual_severity", "to_be_culled", "cage")]
    assert shown == ["2024-07-01", False, "mild", False, "C1"]
    assert api.ok("GET", f"/stays/{stay['id']}")["end"] == "2024-07-01T00:00:00"
    assert api.ok("GET", f"/water-restriction/{water}")["end_time"] == "2024-07-01T00:00:00"
    assert api.ok("GET", "/breeding-pairs/PV_BP_001")["end_date"] == "2024-07-01"
    # And when the cull is deleted, all is as it was
    assert api("DELETE", f"/culls/{cull['id']}").status == 204
    after = {path: api.ok("GET", path) for path in before}
    assert all(after[path].pop("version") > before[path].pop("version") for path in before)
    assert after == before


def test_death_and_cull_are_on_one_day(colony: Api) -> None:
    body = {"subject": "DAD", "date": "2024-07-01", "severity": "mild"}
    cull = colony.ok("POST", "/culls", body)["id"]
    colony.ok("PATCH", f"/culls/{cull}", {"date": "2024-07-02"})
    assert colony.ok("GET", "/subjects/DAD")["death_date"] == "2024-07-02"
    colony.ok("PATCH", "/subjects/DAD", {"death_date": "2024-07-03"})
    assert colony.ok("GET", f"/culls/{cull}")["date"] == "2024-07-03"
    kept = colony("PATCH", "/subjects/DAD", {"death_date": None})
    assert "delete the cull" in kept.body["death_date"][0]
    twice = colony("POST", "/culls", {**body, "date": "2024-07-05"})
    assert twice.body["subject"] == ["It was culled on 2024-07-03; change that cull."]


def test_a_pair_goes_on_while_one_mother_lives(colony: Api) -> None:
    colony.ok("PATCH", "/breeding-pairs/PV_BP_001", {"mother2": "MUM2"})
    for mother, end in (("MUM", None), ("MUM2", "2024-07-02")):
        body = {"subject": mother, "date": end or "2024-07-01", "severity": "mild"}
        colony.ok("POST", "/culls", body)
        assert colony.ok("GET", "/breeding-pairs/PV_BP_001")["end_date"] == end


def test_an_animal_is_in_one_cage_at_a_time(colony: Api) -> None:
    first, second = (
        colony.ok("POST", "/cages", {"name": name, "capacity": 1})["id"] for name in ("C1", "C2")
    )
    stay = {"subject": "FI_001", "cage": first, "start": "2024-07-01T10:00:00"}
    one = colony.ok("POST", "/stays", stay)
    assert (one["end"], "confirmed" in one) == (None, False)
    colony.ok("POST", "/stays", {**stay, "cage": second, "start": "2024-07-02T10:00:00"})
    assert colony.ok("GET", f"/stays/{one['id']}")["end"] == "2024-07-02T10:00:00"
    assert colony.ok("GET", "/subjects/FI_001")["cage"] == "C2"
    assert [colony.ok("GET", f"/cages/{each}")["subjects"] for each in (first, second)] == [
        [],
        ["FI_001"],
    ]
    earlier = colony("POST", "/stays", {**stay, "start": "2024-07-01T12:00:00"})
    assert "came into C2 later" in earlier.body["start"][0]
    # A full cage and mixed sexes are asked about; what is asked about is not written
    more = {"subject": "MUM", "cage": second, "start": "2024-07-03T10:00:00"}
    asked = colony("POST", "/stays", more)
    assert asked.status == 400
    assert asked.body["confirmed"] == [
        "C2 is for 1; it would hold 2.",
        "Males and females would be together in C2, and are no pair.",
        "Send confirmed: true if it is meant.",
    ]
    assert colony.ok("GET", "/stays?subject=MUM")["count"] == 0
    colony.ok("POST", "/stays", {**more, "confirmed": True})
    # An end leaves it in no cage
    open_one = colony.ok("GET", "/stays?subject=MUM")["results"][0]["id"]
    colony.ok("PATCH", f"/stays/{open_one}", {"end": "2024-07-04T10:00:00"})
    assert colony.ok("GET", "/subjects/MUM")["cage"] is None


def test_a_pair_may_share_a_cage_and_its_cage_houses_its_parents(colony: Api) -> None:
    colony.ok("POST", "/cages", {"name": "B1"})
    colony.ok("PATCH", "/breeding-pairs/PV_BP_001", {"cage": "B1"})
    for nickname in ("DAD", "MUM"):
        assert colony.ok("GET", f"/subjects/{nickname}")["cage"] == "B1"
        assert colony.ok("GET", f"/stays?subject={nickname}")["count"] == 1
    # A cage that is only a name is one, too
    colony.ok("PATCH", "/breeding-pairs/PV_BP_001", {"cage": "old 7"})
    assert colony.ok("GET", "/subjects/DAD")["cage"] == "old 7"


def test_a_request_is_told_counted_and_closed(colony: Api) -> None:
    colony.ok("PATCH", "/users/fimbrialab_manager", {"is_stock_manager": True}, user="admin")
    asked = colony.ok("POST", "/subject-requests", {"line": "PV", "count": 1})
    (notice,) = colony.ok("GET", "/notifications", **MANAGER)["results"]
    assert notice["title"] == "fimbrialab_member asks for 1 of PV line"
    assert (notice["notification_type"], notice["status"]) == ("request", "to-send")
    colony.ok("PATCH", "/subjects/DAD", {"responsible_user": "fimbrialab_manager"}, user="admin")
    owner = {"responsible_user": "fimbrialab_member"}
    colony.ok("PATCH", "/subjects/DAD", owner, **MANAGER)
    assert colony.ok("GET", "/subjects/DAD")["request"] == asked["id"]
    shown = colony.ok("GET", f"/subject-requests/{asked['id']}")
    assert (shown["remaining"], shown["status"]) == (0, "closed")
    told = colony.ok("GET", "/notifications")["results"]
    assert "DAD is fimbrialab_member's now, no longer fimbrialab_manager's" in [
        each["title"] for each in told
    ]
    colony.ok("POST", "/culls", {"subject": "DAD", "date": "2024-07-01", "severity": "mild"})
    assert colony.ok("GET", f"/subject-requests/{asked['id']}")["remaining"] == 1


def test_a_membership_that_runs_gives_an_account_its_lab(colony: Api) -> None:
    body = {"username": "new", "lab": ["fimbrialab"], "role": "member"}
    colony.ok("POST", "/users", body, **MANAGER)
    member = {"user": "new", "lab": "septumlab", "start_date": "2020-01-01"}
    made = colony.ok("POST", "/lab-memberships", member, user="admin")["id"]
    assert colony.ok("GET", "/users/new")["lab"] == ["fimbrialab", "septumlab"]
    ended = {"end_date": "2021-01-01"}
    colony.ok("PATCH", f"/lab-memberships/{made}", ended, user="admin")
    assert colony.ok("GET", "/users/new")["lab"] == ["fimbrialab"]
    refused = colony("POST", "/lab-memberships", member, **MANAGER)
    assert refused.status == 403


def test_a_licence_refuses_an_animal_too_many_where_it_says_so(colony: Api) -> None:
    licence = {"number": "PP1", "excess": "refuse", "allowance": [{"count": 1}]}
    colony.ok("POST", "/licences", licence, **MANAGER)
    colony.ok("PATCH", "/subjects/DAD", {"licence": "PP1"})
    refused = colony("PATCH", "/subjects/MUM", {"licence": "PP1"})
    assert refused.body["licence"] == ["PP1 allows 1 animals, and has them."]
    assert colony.ok("GET", "/licences/PP1")["allowance"][0]["used"] == 1


def test_an_animal_with_records_of_the_colony_is_not_deleted(colony: Api) -> None:
    cage = colony.ok("POST", "/cages", {"name": "C1"})["id"]
    colony.ok("POST", "/stays", {"subject": "FI_002", "cage": cage})
    test = {"subject": "FI_002", "sequence": "Cre", "test_result": "present"}
    colony.ok("POST", "/genotype-tests", test)
    colony.ok("POST", "/culls", {"subject": "FI_002", "date": "2024-07-01", "severity": "mild"})
    refused = colony("DELETE", "/subjects/FI_002", user="admin")
    assert refused.status == 409
    for path in ("stays", "genotype-tests", "culls"):
        assert f"1 of /{path}" in refused.body["detail"]
        assert colony.ok("GET", f"/{path}")["count"] == 1, path


def test_the_generation_of_a_line_is_told_from_the_pedigree(colony: Api) -> None:
    # Given a line that is crossed back to a strain, and its founder with a female of the strain
    api = colony
    scheme = {"strain": "C57BL/6J", "generation_scheme": "backcross"}
    nameless = api("PATCH", "/lines/PV", {"generation_scheme": "backcross"}, **MANAGER)
    assert nameless.body["strain"] == ["Name the strain that the line is crossed back to."]
    api.ok("POST", "/strains", {"name": "C57BL/6J"}, user="admin")
    api.ok("PATCH", "/lines/PV", scheme, **MANAGER)
    b6 = {"lab": "fimbrialab", "nickname": "B6", "sex": "F", "strain": "C57BL/6J"}
    api.ok("POST", "/subjects", b6)
    # When it is crossed back once, and its pups with each other
    bred = {}
    for name, father, mother in (("N1", "DAD", "B6"), ("N1F1", "PV_0001", "PV_0002")):
        pair = {"line": "PV", "father": father, "mother1": mother}
        pair = api.ok("POST", "/breeding-pairs", pair)["name"]
        bred[name] = api.ok("POST", "/litters", {"breeding_pair": pair})["name"]
        api.ok("POST", f"/litters/{bred[name]}/pups", {"male": 1, "female": 1})
    # Then pups and their litters say so, the founder nothing
    generation = {
        path: api.ok("GET", path)["generation"]
        for path in ("/subjects/DAD", "/subjects/B6", "/subjects/PV_0002", "/subjects/PV_0003")
    }
    assert list(generation.values()) == [None, None, "N1", "N1F1"]
    assert {api.ok("GET", f"/litters/{key}")["generation"] for key in bred.values()} == set(bred)
    listed = api.ok("GET", "/subjects?nickname=PV_0003")["results"]
    assert ["generation" in each for each in listed] == [False]  # lists cost nothing by the row
    # And without a scheme nobody does
    api.ok("PATCH", "/lines/PV", {"generation_scheme": "intercross"}, **MANAGER)
    assert api.ok("GET", "/subjects/PV_0003")["generation"] == "F2"
    api.ok("PATCH", "/lines/PV", {"generation_scheme": None}, **MANAGER)
    assert api.ok("GET", "/subjects/PV_0003")["generation"] is None
