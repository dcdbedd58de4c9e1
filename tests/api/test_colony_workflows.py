"""The colony's workflows: each is one request, all or none; request and exact answer."""

from __future__ import annotations

from typing import Any

import pytest

from shared.records.meter import metered
from tests.api.conftest import Api

MANAGER: dict[str, Any] = {"user": "fimbrialab_manager"}


@pytest.fixture
def colony(api: Api) -> Api:
    """A line, its pair in a cage, and a litter of five."""
    api.ok("POST", "/alleles", {"nickname": "Cre"}, **MANAGER)
    api.ok("POST", "/sequences", {"name": "Cre"}, **MANAGER)
    line = {"name": "PV line", "nickname": "PV", "alleles": ["Cre"]}
    api.ok("POST", "/lines", line, **MANAGER)
    for nickname, sex in (("DAD", "M"), ("MUM", "F")):
        body = {"nickname": nickname, "lab": "fimbrialab", "sex": sex, "line": "PV line"}
        body |= {"species": "Mus musculus", "projects": ["demo"], "birth_date": "2024-01-01"}
        api.ok("POST", "/subjects", {**body, "responsible_user": "fimbrialab_manager"})
    api.ok("POST", "/cages", {"name": "B1", "capacity": 2})
    pair = {"line": "PV", "father": "DAD", "mother1": "MUM", "cage": "B1"}
    api.ok("POST", "/breeding-pairs", pair)
    litter = {"breeding_pair": "PV_BP_001", "birth_date": "2024-06-01", "born": 5}
    api.ok("POST", "/litters", litter)
    return api


def test_pups_of_a_litter_in_one_request(colony: Api) -> None:
    answer = colony("POST", "/litters/PV_L_001/pups", {"male": 2, "female": 1, "unknown": 1})
    assert answer.status == 200, answer.raw
    assert set(answer.body) == {"group", "rows"}
    shown = [(row["nickname"], row["sex"]) for row in answer.body["rows"]]
    assert shown == [("PV_0001", "M"), ("PV_0002", "M"), ("PV_0003", "F"), ("PV_0004", "U")]
    row = answer.body["rows"][0]
    inherited = ("line", "litter", "birth_date", "lab", "projects", "species", "father", "mother")
    assert {name: row[name] for name in (*inherited, "responsible_user", "cage")} == {
        "line": "PV line",
        "litter": "PV_L_001",
        "birth_date": "2024-06-01",
        "lab": "fimbrialab",
        "projects": ["demo"],
        "species": "Mus musculus",
        "father": "DAD",
        "mother": "MUM",
        "responsible_user": "fimbrialab_manager",
        "cage": "B1",
    }
    # More than were born are refused, all of them
    more = colony("POST", "/litters/PV_L_001/pups", {"male": 2})
    assert (more.status, "4 pups of 5 born" in more.body["non_field_errors"][0]) == (400, True)
    assert len(colony.ok("GET", "/litters/PV_L_001")["pups"]) == 4
    assert colony("POST", "/litters/nothing/pups", {"male": 1}).status == 404
    foreign = colony("POST", "/litters/PV_L_001/pups", {"male": 1}, user="septumlab_member")
    assert foreign.status == 403


def test_a_wean_makes_cages_and_moves_pups(colony: Api) -> None:
    colony.ok("POST", "/litters/PV_L_001/pups", {"male": 2, "female": 2})
    cages = [
        {"name": "M1", "subjects": ["PV_0001", "PV_0002"]},
        {"name": "F1", "subjects": ["PV_0003"]},
    ]
    body = {"date": "2024-06-22", "cages": cages}
    with metered() as cost:
        answer = colony.ok("POST", "/litters/PV_L_001/wean", body)
    assert cost.units < 200
    weaned = {row["nickname"]: row for row in answer["rows"] if "nickname" in row}
    assert set(weaned) == {"PV_0001", "PV_0002", "PV_0003"}
    for nickname, cage in (("PV_0001", "M1"), ("PV_0002", "M1"), ("PV_0003", "F1")):
        shown = colony.ok("GET", f"/subjects/{nickname}")
        assert (shown["wean_date"], shown["cage"]) == ("2024-06-22", cage)
        (stay,) = colony.ok("GET", f"/stays?subject={nickname}")["results"]
        assert (stay["start"], stay["end"]) == ("2024-06-22T12:00:00", None)
    assert colony.ok("GET", "/subjects/PV_0004")["wean_date"] is None
    # Nobody is moved unless all are
    wrong = [{"name": "X", "subjects": ["PV_0004", "DAD"]}]
    refused = colony("POST", "/litters/PV_L_001/wean", {"date": "2024-06-22", "cages": wrong})
    assert refused.body["cages"] == ["No living pup of PV_L_001: DAD."]
    mixed = [{"name": "M1", "subjects": ["PV_0004"]}]
    asked = colony("POST", "/litters/PV_L_001/wean", {"date": "2024-06-22", "cages": mixed})
    assert "Males and females" in asked.body["confirmed"][0]
    assert colony.ok("GET", "/subjects/PV_0004")["wean_date"] is None
    assert colony.ok("GET", "/cages?name=X")["count"] == 0
    body = {"date": "2024-06-22", "cages": mixed, "confirmed": True}
    colony.ok("POST", "/litters/PV_L_001/wean", body)


def test_animals_are_transferred_together(colony: Api) -> None:
    asked = colony.ok("POST", "/subject-requests", {"line": "PV", "count": 2})
    body = {"subjects": ["DAD", "MUM", "DAD"], "to": "fimbrialab_member"}
    answer = colony.ok("POST", "/subjects/transfer", body, **MANAGER)
    assert [row["nickname"] for row in answer["rows"]] == ["DAD", "MUM"]
    for nickname in ("DAD", "MUM"):
        shown = colony.ok("GET", f"/subjects/{nickname}")
        assert shown["responsible_user"] == "fimbrialab_member"
        assert shown["request"] == asked["id"]
    assert colony.ok("GET", f"/subject-requests/{asked['id']}")["status"] == "closed"
    # Nobody else gives away, and none is given if one may not be
    assert colony.ok("PATCH", "/subjects/FI_001", {"responsible_user": "admin"}, user="admin")
    body = {"subjects": ["MUM", "FI_001"], "to": "fimbrialab_manager"}
    assert colony("POST", "/subjects/transfer", body).status == 403
    assert colony.ok("GET", "/subjects/MUM")["responsible_user"] == "fimbrialab_member"
    for wrong, field in (
        ({"subjects": ["nobody"], "to": "admin"}, "subjects"),
        ({"subjects": ["MUM"], "to": "nobody"}, "to"),
        ({"subjects": [], "to": "admin"}, "subjects"),
    ):
        refused = colony("POST", "/subjects/transfer", wrong, **MANAGER)
        assert (refused.status, field in refused.body) == (400, True), refused.raw


def test_animals_are_culled_together_or_not_at_all(colony: Api) -> None:
    colony.ok("POST", "/cull-reasons", {"name": "old age"}, **MANAGER)
    said = {"date": "2024-07-01", "reason": "old age", "severity": "mild"}
    answer = colony.ok("POST", "/subjects/cull", {**said, "subjects": ["DAD", "MUM"]})
    assert [(row["subject"], row["cull_reason"]) for row in answer["rows"]] == [
        ("DAD", "old age"),
        ("MUM", "old age"),
    ]
    assert colony.ok("GET", "/subjects/MUM")["death_date"] == "2024-07-01"
    # FI_002 is not culled with one that is dead already, nor with one of another lab
    for other, status in (("DAD", 400), ("SE_001", 403)):
        body = {**said, "subjects": ["FI_002", other]}
        assert colony("POST", "/subjects/cull", body).status == status
        assert colony.ok("GET", "/subjects/FI_002")["death_date"] is None


def test_an_animal_is_renamed_with_all_that_names_it(colony: Api) -> None:
    # Given a mouse with records of every sort
    weight = colony.ok("POST", "/weighings", {"subject": "FI_001", "weight": 20})
    colony.ok("POST", "/subject-tags", {"name": "cohort", "subjects": ["FI_001", "FI_002"]})
    test = {"subject": "FI_001", "sequence": "Cre", "test_result": "present"}
    colony.ok("POST", "/genotype-tests", test)
    note = {"content_type": "subject", "object_id": "FI_001", "text": "a scratch"}
    noted = colony.ok("POST", "/notes", note)["id"]
    before = colony.ok("GET", "/subjects/FI_001")
    # When it is renamed
    answer = colony.ok("POST", "/subjects/FI_001/rename", {"nickname": "NEW_7"})
    (row,) = answer["rows"]
    assert (row["nickname"], row["id"], row["former_names"]) == ("NEW_7", before["id"], ["FI_001"])
    # Then all that named it does so by the new name, and the old one finds it
    assert colony.ok("GET", "/subjects/FI_001")["nickname"] == "NEW_7"
    assert colony.ok("GET", weight["url"].removeprefix("http://fornix.test"))["subject"] == "NEW_7"
    assert colony.ok("GET", "/subject-tags/cohort")["subjects"] == ["NEW_7", "FI_002"]
    assert colony.ok("GET", "/genotype-tests?subject=NEW_7")["count"] == 1
    assert colony.ok("GET", f"/notes/{noted}")["object_id"] == "NEW_7"
    assert len(colony.ok("GET", "/subjects/NEW_7")["weighings"]) == 1
    assert colony.ok("GET", "/subjects")["count"] == 5
    later = colony.ok("POST", "/weighings", {"subject": "FI_001", "weight": 21})
    assert later["subject"] == "NEW_7"
    # The old name is nobody else's, and may be its own again
    taken = colony("POST", "/subjects", {"nickname": "FI_001", "lab": "fimbrialab"})
    assert taken.body["nickname"] == ["FI_001 is a name of NEW_7; choose another."]
    (row,) = colony.ok("POST", "/subjects/NEW_7/rename", {"nickname": "FI_001"})["rows"]
    assert (row["nickname"], row["former_names"]) == ("FI_001", ["NEW_7"])


def test_an_animal_with_sessions_keeps_its_nickname_and_gets_a_name_besides(colony: Api) -> None:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00"}
    colony.ok("POST", "/sessions", body)
    refused = colony("POST", "/subjects/FI_001/rename", {"nickname": "NEW_7"})
    assert (refused.status, "send alias: true" in refused.body["detail"]) == (409, True)
    body = {"nickname": "NEW_7", "alias": True}
    (row,) = colony.ok("POST", "/subjects/FI_001/rename", body)["rows"]
    assert (row["nickname"], row["name"]) == ("FI_001", "NEW_7")
    assert colony.ok("GET", "/subjects/NEW_7")["nickname"] == "FI_001"
    for name, words in (
        ("FI_002", "is a name of FI_002"),
        ("fi_001", "looks the same"),
        ("a/b", "slashes"),
        ("-", "Give a name."),
        ("cull", "addresses"),
    ):
        wrong = colony("POST", "/subjects/FI_001/rename", {"nickname": name})
        assert (wrong.status, words in wrong.body["nickname"][0]) == (400, True), wrong.raw
    strange = {"user": "septumlab_member"}
    for user, status in ((strange, 403), (MANAGER, 409)):
        answer = colony("POST", "/subjects/FI_001/rename", {"nickname": "X"}, **user)
        assert answer.status == status, answer.raw
    other = colony("POST", "/subjects/DAD/rename", {"nickname": "X"})  # the manager's animal
    assert "stock managers, managers and administrators may" in other.body["detail"]


def test_a_breeding_plan_ranks_pairs(colony: Api) -> None:
    for nickname, sex, copies in (("A", "M", 1), ("B", "F", 1), ("C", "F", 2), ("D", "F", 0)):
        body = {"nickname": nickname, "lab": "fimbrialab", "sex": sex, "birth_date": "2024-01-01"}
        zygosities = [{"allele": "Cre", "zygosity": copies}]
        colony.ok("POST", "/subjects", {**body, "zygosities": zygosities})
    answer = colony.ok("POST", "/breeding-plans", {"wanted": {"Cre": 2}, "count": 6})
    assert answer["pairs"] == [
        {
            "mother": "C",
            "father": "A",
            "fraction": "1/2",
            "share": 0.5,
            "inbreeding": 0,
            "litters": 2,
            "weeks": 7,
        },
        {
            "mother": "B",
            "father": "A",
            "fraction": "1/4",
            "share": 0.25,
            "inbreeding": 0,
            "litters": 4,
            "weeks": 15,
        },
    ]
    assert (answer["count"], answer["left_out"]) == (2, 4)  # whose genotype is not known
    for wrong, field in (
        ({"wanted": {}}, "wanted"),
        ({"wanted": {"Cre": 5}}, "wanted[...]"),
        ({"wanted": {"Flp": 1}}, "wanted"),
        ({"wanted": {"Cre": 1}, "lab": "nowhere"}, "lab"),
    ):
        refused = colony("POST", "/breeding-plans", wrong)
        assert refused.status == 400, refused.raw
        assert field.split("[")[0] in " ".join(refused.body), refused.raw


def test_a_dry_run_shows_what_a_rule_would_change(colony: Api) -> None:
    test = {"subject": "DAD", "sequence": "Cre", "test_result": "present"}
    colony.ok("POST", "/genotype-tests", test)
    rule = {"allele": "Cre", "sequence0": "Cre", "result0": "present", "zygosity": 3}
    where = "/lines/PV%20line/zygosities"
    answer = colony.ok("POST", where, {"dry_run": True, "rule": rule}, **MANAGER)
    (change,) = answer["changes"]
    assert (change["subject"], change["before"]) == ("DAD", [])
    (after,) = change["after"]
    assert (after["allele"], after["zygosity"], after["rule"]) == ("Cre", 3, "proposed")
    assert colony.ok("GET", "/subjects/DAD")["genotype"] == []
    made = colony.ok("POST", "/zygosity-rules", {**rule, "line": "PV"}, **MANAGER)
    assert made["outdated"] == 0
    gone = {"dry_run": True, "without": made["id"]}
    (change,) = colony.ok("POST", where, gone, **MANAGER)["changes"]
    assert change["after"] == []
    # Without a dry run the rules as they are are applied, in pages
    done = colony.ok("POST", where, {}, **MANAGER)
    assert done == {"line": "PV line", "changes": [], "next": None}
    assert colony("POST", where, {"rule": rule}, **MANAGER).status == 400
    assert colony("POST", where, {}).status == 403


def test_large_lines_wait_for_the_route(colony: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from functions.api.resources import genotyping
    from functions.api.routes import colony as route

    monkeypatch.setattr(genotyping, "MOST", 1)
    monkeypatch.setattr(route, "PAGE", 1)
    for nickname in ("DAD", "MUM"):
        test = {"subject": nickname, "sequence": "Cre", "test_result": "present"}
        colony.ok("POST", "/genotype-tests", test)
    rule = {"line": "PV", "allele": "Cre", "sequence0": "Cre", "result0": 1, "zygosity": 3}
    made = colony.ok("POST", "/zygosity-rules", rule, **MANAGER)
    assert made["outdated"] == 2
    body: dict[str, Any] = {}
    done = []
    while True:
        answer = colony.ok("POST", "/lines/PV%20line/zygosities", body, **MANAGER)
        done += [each["subject"] for each in answer["changes"]]
        if answer["next"] is None:
            break
        body = {"after": answer["next"]}
    assert done == ["DAD", "MUM"]
    assert colony.ok("GET", f"/zygosity-rules/{made['id']}")["outdated"] == 0


def test_own_fields_are_typed_required_and_found(colony: Api) -> None:
    field = {"lab": "fimbrialab", "resource": "subjects", "name": "whiskers", "type": "number"}
    colony.ok("POST", "/own-fields", field, **MANAGER)
    choice = {**field, "name": "coat", "type": "choice", "choices": ["black", "white"]}
    colony.ok("POST", "/own-fields", choice, **MANAGER)
    good = {"json": {"own": {"whiskers": 12.5, "coat": "black"}}}
    colony.ok("PATCH", "/subjects/DAD", good)
    for own, words in (
        ({"whiskers": "long"}, "own.whiskers: A valid number is required."),
        ({"whiskers": True}, "own.whiskers: A valid number is required."),
        ({"coat": "red"}, "own.coat: It is not one of black, white."),
        ({"tail": 1}, "own.tail: The lab has no such field; add it to /own-fields first."),
        (5, "own: Expected a JSON object."),
    ):
        refused = colony("PATCH", "/subjects/MUM", {"json": {"own": own}})
        assert refused.body["json"] == [words]
    rows = colony.ok("GET", "/subjects?django=json__own__whiskers__gte,12")["results"]
    assert [row["nickname"] for row in rows] == ["DAD"]
    # A field that is required is asked for in new records, of this lab alone
    needed = {**field, "name": "mark", "type": "text", "required": True}
    colony.ok("POST", "/own-fields", needed, **MANAGER)
    refused = colony("POST", "/subjects", {"nickname": "N", "lab": "fimbrialab"})
    assert refused.body["json"] == ["own.mark: This field is required."]
    other = {"nickname": "N", "lab": "septumlab"}
    colony.ok("POST", "/subjects", other, user="septumlab_member")


HOSTILE: list[Any] = [
    *(None, 5, "x", [], [1], {"male": -1}, {"male": 10**9}, {"male": "x"}, {"male": True}),
    *({"date": "yesterday"}, {"date": "2024-99-99", "subjects": ["DAD"]}, {"subjects": {}}),
    *({"date": "2024-07-01", "cages": [{"name": "", "subjects": []}]}, {"subjects": [None]}),
    *({"date": "2024-07-01", "cages": [{"name": "x" * 300, "subjects": ["DAD"]}]},),
    *({"subjects": ["\0"], "to": "\0"}, {"subjects": ["a" * 3000], "to": "admin"}),
    *({"subjects": ["DAD"] * 200, "to": "admin"}, {"wanted": {"Cre": 1e308}}, {"wanted": []}),
    *({"subjects": ["DAD"], "date": "2024-07-01", "severity": "\ud83d\udc2d"},),
    *({"dry_run": 1}, {"rule": 5}, {"dry_run": True, "rule": {"allele": []}}, {"after": []}),
]


@pytest.mark.parametrize(
    "path",
    [
        *("/litters/PV_L_001/pups", "/litters/PV_L_001/wean", "/subjects/transfer"),
        *(
            "/subjects/cull",
            "/subjects/DAD/rename",
            "/breeding-plans",
            "/lines/PV%20line/zygosities",
        ),
    ],
)
def test_no_body_of_a_workflow_is_an_internal_error(colony: Api, path: str) -> None:
    for body in HOSTILE:
        answer = colony("POST", path, body, user="admin")
        assert answer.status in (200, 400), (path, body, answer.raw)
    assert colony.ok("GET", "/litters/PV_L_001")["pups"] == []
