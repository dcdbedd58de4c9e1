"""The colony's kinds of record: each asked for and answered exactly, and what each refuses."""

from __future__ import annotations

from typing import Any

import pytest

from functions.api.auth import passwords
from functions.api.resources import RESOURCES
from shared.records import reference
from tests.api.conftest import PASSWORD, Api

MANAGER: dict[str, Any] = {"user": "fimbrialab_manager"}
ADMIN: dict[str, Any] = {"user": "admin"}
GIVEN = {"lab": "fimbrialab"}
ABSENT_ID = "cf264653-2deb-44cb-aa84-89b82507028a"


@pytest.fixture
def colony(api: Api) -> Api:
    """A line with an allele and a sequence, a father and a mother."""
    api.ok("POST", "/sequences", {"name": "Cre", "base_pairs": "ACGT"}, **MANAGER)
    api.ok("POST", "/sequences", {"name": "wt"}, **MANAGER)
    api.ok("POST", "/alleles", {"nickname": "Pvalb-Cre", "sequences": ["Cre"]}, **MANAGER)
    line = {"name": "Pvalb-IRES-Cre", "nickname": "PV", "alleles": ["Pvalb-Cre"]}
    api.ok("POST", "/lines", line, **MANAGER)
    for nickname, sex in (("DAD", "M"), ("MUM", "F"), ("MUM2", "F")):
        body = {"nickname": nickname, "lab": "fimbrialab", "sex": sex, "line": "PV"}
        api.ok("POST", "/subjects", body)
    return api


PLAIN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("sequences", {"name": "tdT", "base_pairs": "ac gtn"}, {"description": ""}),
    ("alleles", {"nickname": "Ai14", "name": "Rosa26"}, {"sequences": [], "x_linked": False}),
    (
        "lines",
        {"name": "Ai14 line", "nickname": "Ai14", "alleles": ["Pvalb-Cre"]},
        {
            **GIVEN,
            "is_active": True,
            "subject_autoname_index": 0,
            "litter_autoname_index": 0,
            "breeding_pair_autoname_index": 0,
            "strain": None,
            "wean_age_days": None,
        },
    ),
    (
        "zygosity-rules",
        {
            "line": "PV",
            "allele": "Pvalb-Cre",
            "sequence0": "Cre",
            "result0": "present",
            "sequence1": "wt",
            "result1": "absent",
            "zygosity": 2,
        },
        {"line": "Pvalb-IRES-Cre", "order": 0},
    ),
    (
        "genotype-tests",
        {"subject": "DAD", "sequence": "Cre", "test_result": "present", "date": "2024-07-01"},
        {"user": "fimbrialab_manager", "plate": "", "well": ""},
    ),
    (
        "breeding-pairs",
        {
            "name": "PV_BP_010",
            "line": "PV",
            "father": "DAD",
            "mother1": "MUM",
            "start_date": "2024-06-01",
            "events": [{"date": "2024-06-03", "event": "plug"}],
        },
        {"line": "Pvalb-IRES-Cre", "mother2": None, "end_date": None, "warnings": []},
    ),
    (
        "litters",
        {"name": "PV_L_010", "line": "PV", "birth_date": "2024-07-01", "born": 7, "died": 1},
        {
            "line": "Pvalb-IRES-Cre",
            "breeding_pair": None,
            "expected_wean_date": "2024-07-22",
            "pups": [],
            "warnings": [],
        },
    ),
    (
        "subject-requests",
        {"line": "PV", "count": 3, "date_time": "2024-07-01T10:00:00", "due_date": "2024-08-01"},
        {
            "user": "fimbrialab_manager",
            "line": "Pvalb-IRES-Cre",
            "status": "open",
            "remaining": 3,
            "description": "",
        },
    ),
    ("cull-reasons", {"name": "old age"}, {"description": ""}),
    ("cull-methods", {"name": "Perfusion"}, {"description": ""}),
    ("cage-types", {"name": "IVC"}, {"description": ""}),
    ("enrichments", {"name": "House"}, {"description": ""}),
    ("foods", {"name": "Envigo"}, {"description": ""}),
    (
        "cages",
        {"name": "C12", "room": "1", "rack": "A", "row": 2, "column": 3, "capacity": 5},
        {**GIVEN, "cleaning_days": None, "card": "", "subjects": []},
    ),
    (
        "other-actions",
        {"subject": "DAD", "procedures": ["Histology"], "start_time": "2024-07-01T10:00:00"},
        {"users": ["fimbrialab_manager"], "end_time": None, "narrative": ""},
    ),
    (
        "virus-injections",
        {"subject": "DAD", "virus_batch": "AAV", "injection_volume": 300, "injection_type": "P"},
        {"rate_of_injection": None, "location": None},
    ),
    (
        "lab-memberships",
        {"user": "fimbrialab_member", "lab": "fimbrialab", "role": "technician"},
        {"start_date": None, "end_date": None},
    ),
    (
        "notification-rules",
        {"notification_type": "mouse_underweight", "quiet_hours": "22:00-07:00"},
        {"user": "fimbrialab_manager", "subjects_scope": "mine", "channel": "both"},
    ),
    (
        "templates",
        {"title": "Headplate", "fields": [{"name": "dose", "type": "number", "unit": "mg"}]},
        {**GIVEN, "active": True, "body": ""},
    ),
    (
        "licences",
        {
            "number": "PP1",
            "valid_from": "2024-01-01",
            "valid_until": "2028-12-31",
            "procedures": ["Histology"],
        },
        {**GIVEN, "excess": "warn", "allowance": [], "warnings": [], "holder": None},
    ),
    (
        "own-fields",
        {"resource": "subjects", "name": "whiskers", "type": "number", "unit": "mm"},
        {**GIVEN, "required": False, "order": 0, "choices": None},
    ),
    (
        "views",
        {"screen": "mice", "name": "mine", "filters": {"alive": True}, "columns": ["nickname"]},
        {**GIVEN, "user": "fimbrialab_manager", "sort": None},
    ),
    ("subject-tags", {"name": "cohort 1", "subjects": ["DAD", "MUM"]}, {**GIVEN}),
]


@pytest.mark.parametrize(("path", "body", "more"), PLAIN, ids=[each[0] for each in PLAIN])
def test_a_record_is_made_shown_listed_changed_and_deleted(
    colony: Api, path: str, body: dict[str, Any], more: dict[str, Any]
) -> None:
    # When it is made, the answer has what was sent, by its full names, and the rest
    made = colony("POST", f"/{path}", body, **MANAGER)
    assert made.status == 201, made.raw
    expected = {**body, **more}
    for name, value in expected.items():
        if name == "events":
            assert made.body[name] == value
        elif name == "fields":
            assert made.body[name] == [{**value[0], "choices": None}]
        elif name.endswith("_time") and value:
            assert made.body[name] == value
        else:
            assert made.body[name] == value, name
    # Then it is read and listed as it was answered
    key = RESOURCES[path].key
    where = f"/{path}/{made.body[key]}"
    assert colony.ok("GET", where, **MANAGER) == made.body
    rows = colony.ok("GET", f"/{path}", **MANAGER)["results"]
    assert [row for row in rows if row["id"] == made.body["id"]]
    # And changed, and deleted
    changed = colony.ok("PATCH", where, {"json": {"a": 1}}, **MANAGER)
    assert changed["json"] == {"a": 1}
    assert colony("DELETE", where, **MANAGER).status == 204
    assert colony("GET", where, **MANAGER).status == 404


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("sequences", {"name": "x", "base_pairs": "ACQ"}, "base_pairs", "bases"),
    ("alleles", {"nickname": "x", "sequences": ["nope"]}, "sequences", "does not exist"),
    ("lines", {"name": "x", "nickname": "a/b"}, "nickname", "slashes"),
    ("lines", {"name": "x", "nickname": "PV"}, "non_field_errors", "already exists"),
    (
        "lines",
        {"name": "x", "nickname": "x", "source_url": "javascript:x"},
        "source_url",
        "http",
    ),
    (
        "zygosity-rules",
        {"line": "PV", "allele": "Other", "sequence0": "Cre", "result0": 1, "zygosity": 1},
        "allele",
        "no allele of",
    ),
    (
        "zygosity-rules",
        {
            **{"line": "PV", "allele": "Pvalb-Cre", "sequence0": "Cre", "result0": 1},
            **{"sequence1": "wt", "zygosity": 1},
        },
        "result1",
        "go together",
    ),
    (
        "zygosity-rules",
        {"line": "PV", "allele": "Pvalb-Cre", "sequence0": "Cre", "result0": 1, "zygosity": 4},
        "zygosity",
        "less than",
    ),
    ("genotype-tests", {"subject": "DAD", "sequence": "Cre"}, "test_result", "required"),
    ("breeding-pairs", {"line": "PV", "name": "a", "father": "MUM"}, "father", "female"),
    ("breeding-pairs", {"line": "PV", "name": "a", "mother1": "DAD"}, "mother1", "male"),
    ("breeding-pairs", {"line": "PV", "name": "a", "father": "SE_001"}, "father", "septumlab"),
    (
        "breeding-pairs",
        {"line": "PV", "name": "a", "mother1": "MUM", "mother2": "MUM"},
        "mother2",
        "already",
    ),
    (
        "breeding-pairs",
        {"line": "PV", "name": "a", "start_date": "2024-07-02", "end_date": "2024-07-01"},
        "end_date",
        "before it begins",
    ),
    (
        "breeding-pairs",
        {"line": "PV", "name": "a", "events": [{"date": "2024-07-01", "event": "feast"}]},
        "events",
        "Item 1, event",
    ),
    ("litters", {"name": "l"}, "line", "breeding pair"),
    ("litters", {"name": "l", "line": "PV", "born": 2, "died": 3}, "died", "born can have died"),
    ("subject-requests", {"line": "PV", "count": 0}, "count", "greater than"),
    (
        "subject-requests",
        {"line": "PV", "count": 1, "date_time": "2024-07-02T10:00", "due_date": "2024-07-01"},
        "due_date",
        "later",
    ),
    ("culls", {"subject": "DAD", "date": "2199-01-01", "severity": "mild"}, "date", "future"),
    ("culls", {"subject": "FI_001", "date": "2023-12-31", "severity": "mild"}, "date", "born"),
    ("culls", {"subject": "DAD", "date": "2024-07-01"}, "severity", "severe"),
    ("cages", {"name": "C", "cleaning_days": ["Feastday"]}, "cleaning_days", "Monday"),
    ("cages", {"name": "C", "capacity": 0}, "capacity", "greater than"),
    ("stays", {"subject": "DAD", "cage": ABSENT_ID}, "cage", "does not exist"),
    (
        "other-actions",
        {
            "subject": "DAD",
            "start_time": "2024-07-01T10:00:00",
            "end_time": "2024-07-01T09:00:00",
        },
        "end_time",
        "before it begins",
    ),
    (
        "virus-injections",
        {"subject": "DAD", "injection_volume": -1},
        "injection_volume",
        "greater than",
    ),
    ("notification-rules", {"notification_type": "x"}, "notification_type", "valid choice"),
    (
        "notification-rules",
        {"notification_type": "mouse_underweight", "quiet_hours": "25:00-07:00"},
        "quiet_hours",
        "22:00-07:00",
    ),
    ("templates", {"title": "t", "fields": [{"type": "text"}]}, "fields", "Item 1, name"),
    (
        "licences",
        {"number": "1", "allowance": [{"count": 3, "species": "Unicorn"}]},
        "allowance",
        "Item 1, species",
    ),
    ("own-fields", {"resource": "labs2", "name": "x"}, "resource", "is not one of"),
    ("own-fields", {"resource": "subjects", "name": "a__b"}, "name", "single underscores"),
    (
        "own-fields",
        {"resource": "subjects", "name": "a", "type": "choice"},
        "choices",
        "A choice has",
    ),
    ("subject-tags", {"name": "t", "subjects": ["SE_001"]}, "subjects", "septumlab"),
    ("signatures", {"content_type": "nothing", "object_id": "x"}, "content_type", "signed"),
]


@pytest.mark.parametrize(("path", "body", "field", "words"), REFUSED)
def test_what_cannot_be_is_refused_at_its_field(
    colony: Api, path: str, body: dict[str, Any], field: str, words: str
) -> None:
    if field == "allele":
        colony.ok("POST", "/alleles", {"nickname": "Other"}, **MANAGER)
    answer = colony("POST", f"/{path}", body, **MANAGER)
    assert answer.status == 400, answer.raw
    assert words in " ".join(answer.body[field])


def test_stock_managers_keep_lines_and_other_members_read_them(colony: Api) -> None:
    line = {"name": "x", "nickname": "x", "lab": "fimbrialab"}
    refused = colony("POST", "/lines", line)
    assert refused.status == 403
    assert "Stock managers, managers and administrators may" in refused.body["detail"]
    colony.ok("PATCH", "/users/fimbrialab_member", {"is_stock_manager": True}, **MANAGER)
    assert colony("POST", "/lines", line).status == 201
    assert colony("POST", "/lines", {**line, "lab": "septumlab"}).status == 403
    assert colony("DELETE", "/lines/x").status == 403  # managers delete
    assert colony("DELETE", "/lines/x", **MANAGER).status == 204


def test_an_animal_names_its_line_and_litter_and_these_stay_while_it_does(colony: Api) -> None:
    colony.ok("POST", "/litters", {"name": "PV_L_001", "line": "Pvalb-IRES-Cre"})
    shown = colony.ok("PATCH", "/subjects/DAD", {"line": "PV", "litter": "PV_L_001"})
    assert (shown["line"], shown["litter"]) == ("Pvalb-IRES-Cre", "PV_L_001")
    for path in ("/lines/Pvalb-IRES-Cre", "/litters/PV_L_001"):
        kept = colony("DELETE", path, **ADMIN)
        assert (kept.status, "of /subjects" in kept.body["detail"]) == (409, True)
    unknown = colony("PATCH", "/subjects/DAD", {"line": "nobody knows"})
    assert unknown.body["line"] == ["Object with name=nobody knows does not exist."]
    assert colony.ok("GET", "/subjects?line=Pvalb-IRES-Cre")["count"] == 3
    assert colony.ok("GET", "/litters/PV_L_001")["pups"] == ["DAD"]


def test_zygosities_name_alleles_and_are_found_by_them(colony: Api) -> None:
    known = [{"allele": "Pvalb-Cre", "zygosity": 1}]
    colony.ok("PATCH", "/subjects/DAD", {"zygosities": known})
    shown = colony.ok("GET", "/subjects/DAD")
    (genotype,) = shown["genotype"]
    assert {**genotype, "at": ""} == {**known[0], "by": "manual", "rule": None, "at": ""}
    for query, found in (
        ("zygosities__allele,Pvalb-Cre", ["DAD"]),
        ("zygosities__zygosity__gte,1", ["DAD"]),
        ("zygosities__zygosity,0", []),
        ("zygosities__allele__nickname__startswith,Pv", ["DAD"]),
    ):
        rows = colony.ok("GET", f"/subjects?django={query}")["results"]
        assert [row["nickname"] for row in rows] == found, query
    wrong = colony("PATCH", "/subjects/DAD", {"zygosities": [{"allele": "x", "zygosity": 1}]})
    assert wrong.body["zygosities"][0].startswith("Item 1, allele: Object with nickname=x")
    kept = colony("DELETE", "/alleles/Pvalb-Cre", **ADMIN)
    assert "1 of /subjects (zygosities.allele)" in kept.body["detail"]


def test_no_two_rules_tests_or_cages_are_the_same(colony: Api) -> None:
    rule = {"line": "PV", "allele": "Pvalb-Cre", "sequence0": "Cre", "result0": "present"}
    test = {"subject": "DAD", "sequence": "Cre", "test_result": "present"}
    slot = {"rack": "A", "row": 1, "column": 1}
    for path, first, second in (
        ("zygosity-rules", {**rule, "zygosity": 3}, {**rule, "zygosity": 1}),
        ("genotype-tests", test, {**test, "test_result": "absent"}),
        ("cages", {"name": "C1"}, {"name": "C1"}),
        ("cages", {"name": "C2", **slot}, {"name": "C3", **slot}),
        ("notification-rules", *[{"notification_type": "mouse_water"}] * 2),
    ):
        colony.ok("POST", f"/{path}", first, **MANAGER)
        answer = colony("POST", f"/{path}", second, **MANAGER)
        assert answer.status == 400, path
        assert "already exists" in answer.body["non_field_errors"][0]


def test_a_pair_says_what_looks_like_a_slip(colony: Api) -> None:
    pair = {"line": "PV", "father": "DAD", "mother1": "MUM", "start_date": "2024-07-01"}
    colony.ok("POST", "/breeding-pairs", {"name": "BP1", **pair})
    second = colony.ok("POST", "/breeding-pairs", {"name": "BP2", **pair, "mother1": "MUM2"})
    assert second["warnings"] == ["DAD is in BP1, too, which has no end."]
    litter = {"name": "L1", "breeding_pair": "BP1", "birth_date": "2024-05-01"}
    made = colony.ok("POST", "/litters", litter)
    assert made["line"] == "Pvalb-IRES-Cre"
    assert made["warnings"] == ["Born on 2024-05-01, before the time of BP1."]


def test_a_licence_counts_its_animals(colony: Api) -> None:
    allowance = [{"species": "Mus musculus", "count": 1}, {"severity": "severe", "count": 2}]
    body = {"number": "PP1", "allowance": allowance}
    colony.ok("POST", "/licences", body, **MANAGER)
    colony.ok("PATCH", "/subjects/DAD", {"licence": "PP1", "species": "Mus musculus"})
    shown = colony.ok("GET", "/licences/PP1")
    assert [each["used"] for each in shown["allowance"]] == [1, 0]
    assert shown["warnings"] == ["1 of 1 animals are used (Mus musculus)"]


def test_a_licence_covers_days_and_procedures_of_surgeries(colony: Api) -> None:
    body = {"number": "PP2", "valid_from": "2024-01-01", "valid_until": "2024-12-31"}
    body |= {"procedures": ["Histology"]}
    colony.ok("POST", "/licences", {**body, "excess": "refuse"}, **MANAGER)
    colony.ok("PATCH", "/subjects/DAD", {"licence": "PP2"})
    good = {"subject": "DAD", "implant_weight": 1, "start_time": "2024-12-31T10:00"}
    good["procedures"] = ["Histology"]
    made = colony.ok("POST", "/surgeries", good)
    for wrong, said in (
        ({"start_time": "2025-01-01T10:00"}, "PP2 was valid until 2024-12-31."),
        (
            {"procedures": ["Histology", "Behavior training/tasks"]},
            "PP2 does not allow Behavior training/tasks.",
        ),
    ):
        refused = colony("POST", "/surgeries", {**good, **wrong, "unusual": True})
        assert (refused.status, refused.body["procedures"]) == (400, [said])
        assert colony("PATCH", f"/surgeries/{made['id']}", wrong).status == 400
    colony.ok("PATCH", f"/surgeries/{made['id']}", {"narrative": "all well"})
    # A licence that only warns asks whether it is meant
    colony.ok("PATCH", "/licences/PP2", {"excess": "warn"}, **MANAGER)
    late = {**good, "start_time": "2025-01-01T10:00"}
    assert "unusual" in colony("POST", "/surgeries", late).body
    assert colony.ok("POST", "/surgeries", {**late, "unusual": True})["unusual"] is True


def test_tags_find_animals(colony: Api) -> None:
    colony.ok("POST", "/subject-tags", {"name": "cohort 1", "subjects": ["DAD", "MUM"]})
    rows = colony.ok("GET", "/subjects?tags=cohort 1".replace(" ", "%20"))["results"]
    assert [row["nickname"] for row in rows] == ["DAD", "MUM"]
    # Deleting the animal does not ask for the tag
    assert colony("DELETE", "/subjects/MUM", **MANAGER).status == 204


def test_what_is_ones_own_is_nobody_elses(colony: Api) -> None:
    rule = colony.ok("POST", "/notification-rules", {"notification_type": "mouse_underweight"})
    view = colony.ok("POST", "/views", {"screen": "mice", "name": "mine"})
    of_lab = colony.ok("POST", "/views", {"screen": "mice", "name": "lab's", "user": None})
    other: dict[str, Any] = {"user": "fimbrialab_manager"}
    for path in (f"/notification-rules/{rule['id']}", f"/views/{view['id']}"):
        assert colony("GET", path, **other).status == 404
        assert colony("PATCH", path, {"json": {"a": 1}}, **other).status == 404
        assert colony("DELETE", path, **other).status == 404
        assert colony("GET", path).status == 200
    assert colony.ok("GET", "/notification-rules", **other)["count"] == 0
    assert [row["name"] for row in colony.ok("GET", "/views", **other)["results"]] == ["lab's"]
    assert colony("GET", f"/views/{of_lab['id']}", user="septumlab_member").status == 404
    forged = {"notification_type": "mouse_water", "user": "fimbrialab_manager"}
    assert colony("POST", "/notification-rules", forged).status == 403


def test_a_signature_seals_the_record_as_it_is(colony: Api) -> None:
    for user in ("fimbrialab_member", "fimbrialab_manager"):
        passwords.set_password(user, PASSWORD)
    colony.tokens.clear()
    action = colony.ok("POST", "/other-actions", {"subject": "DAD", "narrative": "done"})
    body = {"content_type": "other-action", "object_id": action["id"], "meaning": "author"}
    body["content_type"] = "actions.otheraction"
    wrong = colony("POST", "/signatures", {**body, "password": "guess"})
    assert wrong.body["password"] == ["This is not your password; a signature asks for it again."]
    signed = colony.ok("POST", "/signatures", {**body, "password": PASSWORD})
    assert (signed["by"], signed["current"]) == ("fimbrialab_member", True)
    assert (len(signed["sha256"]), "password" in signed) == (64, False)
    assert signed["version"] == action["version"]
    # A witness is another person
    witness = {**body, "meaning": "witness", "password": PASSWORD}
    assert colony("POST", "/signatures", witness).status == 403
    colony.ok("POST", "/signatures", witness, **MANAGER)
    # It stays, and says when the record is no longer the one that was signed
    where = f"/signatures/{signed['id']}"
    for method in ("PATCH", "PUT", "DELETE"):
        assert colony(method, where, {"meaning": "review"}, **ADMIN).status == 405
    colony.ok("PATCH", f"/other-actions/{action['id']}", {"narrative": "done again"})
    assert colony.ok("GET", where)["current"] is False


def test_an_installation_begins_with_alyx_s_lists(api: Api) -> None:
    reference.load()
    for path, count in (
        ("cull-reasons", 7),
        ("cull-methods", 6),
        ("cage-types", 4),
        ("enrichments", 5),
        ("foods", 4),
        ("sources", 4),
        ("water-type", 7),
        ("procedures", 33),
    ):
        assert api.ok("GET", f"/{path}?limit=100")["count"] == count, path


HOSTILE = ["\0", "a" * 3000, {"a": 1}, [1], 10**40, -1, "../..", "9999-99-99", True, None]


@pytest.mark.parametrize("path", [each[0] for each in PLAIN])
def test_no_value_of_a_field_is_an_internal_error(colony: Api, path: str) -> None:
    body = next(each[1] for each in PLAIN if each[0] == path)
    for name in RESOURCES[path].fields:
        for value in HOSTILE:
            answer = colony("POST", f"/{path}", {**body, name: value}, **ADMIN)
            assert answer.status in (201, 400), (name, value, answer.raw)
            if answer.status == 201:
                key = answer.body[RESOURCES[path].key]
                colony("DELETE", f"/{path}/{key}", **ADMIN)
