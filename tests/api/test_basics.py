"""Login, resources, sessions and datasets as a client sees them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import pytest

from functions.api.auth import passwords
from functions.api.body import written
from tests.api.conftest import PASSWORD, Api


def session(api: Api, **more: object) -> dict:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": "001"}
    return api.ok("POST", "/sessions", {**body, **more})


def test_login_answers_exactly_as_alyx_does(api: Api) -> None:
    passwords.set_password("fimbrialab_member", PASSWORD)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    good = urlencode({"username": "fimbrialab_member", "password": PASSWORD}).encode()
    answer = api("POST", "/auth-token", good, user=None, headers=form)
    assert (answer.status, list(answer.body)) == (200, ["token"])
    token = answer.body["token"]
    assert len(token) == 40
    assert set(token) <= set("0123456789abcdef")
    me = api("GET", "/me", user=None, headers={"Authorization": f"Token {token}"})
    assert me.body["username"] == "fimbrialab_member"
    bad = urlencode({"username": "fimbrialab_member", "password": "nope"}).encode()
    answer = api("POST", "/auth-token", bad, user=None, headers=form)
    assert answer.status == 400
    assert answer.body == {
        "non_field_errors": ["Unable to log in with provided credentials."],
        "status_code": 400,
    }


def test_missing_and_bad_tokens_are_403_in_alyx_words(api: Api) -> None:
    answer = api("GET", "/subjects", user=None)
    assert (answer.status, answer.body) == (
        403,
        {"detail": "Authentication credentials were not provided.", "status_code": 403},
    )
    answer = api("GET", "/subjects", user=None, headers={"Authorization": "Token abc"})
    assert (answer.status, answer.body) == (403, {"detail": "Invalid token.", "status_code": 403})


def test_wrong_method_and_unknown_record(api: Api) -> None:
    answer = api("PATCH", "/labs", {})
    assert answer.status == 405
    assert answer.body == {"detail": 'Method "PATCH" not allowed.', "status_code": 405}
    answer = api("GET", "/subjects/ghost")
    assert (answer.status, answer.body) == (
        404,
        {"detail": "No Subject matches the given query.", "status_code": 404},
    )


def test_a_subject_is_created_read_patched_and_deleted(api: Api) -> None:
    made = api.ok("POST", "/subjects", {"nickname": "FI_010", "lab": "fimbrialab", "extra": 1})
    assert made["url"] == "http://fornix.test/subjects/FI_010"
    assert (made["alive"], made["responsible_user"]) == (True, "fimbrialab_member")
    patched = api.ok("PATCH", "/subjects/FI_010", {"death_date": "2024-05-01"})
    assert patched["alive"] is False
    alive = api.ok("GET", "/subjects?alive=True&lab=fimbrialab")
    assert [row["nickname"] for row in alive["results"]] == ["FI_001", "FI_002"]
    again = api("POST", "/subjects", {"nickname": "FI_010", "lab": "fimbrialab"})
    assert again.status == 400
    assert again.body["nickname"] == ["subject with this nickname already exists."]
    manager = {"user": "fimbrialab_manager"}
    assert api("DELETE", "/subjects/FI_010").status == 403
    assert api("DELETE", "/subjects/FI_010", **manager).status == 204
    assert api("GET", "/subjects/FI_010").status == 404


def test_what_others_depend_on_is_not_deleted(api: Api) -> None:
    eid = session(api)["id"]
    api.ok("POST", "/insertions", {"session": eid, "name": "probe00"})
    api.ok("POST", "/weighings", {"subject": "FI_001", "weight": 20})
    refused = api("DELETE", "/subjects/FI_001", user="fimbrialab_manager")
    assert refused.status == 409
    assert refused.body["detail"] == (
        "FI_001 has records (1 of /sessions, 1 of /weighings) and stays; an animal that has left "
        "gets its death date."
    )
    refused = api("DELETE", "/labs/fimbrialab", user="admin")
    assert refused.status == 409
    assert "2 of /subjects (lab)" in refused.body["detail"]
    api.ok("DELETE", f"/sessions/{eid}")
    (weighing,) = api.ok("GET", "/weighings")["results"]
    api.ok("DELETE", weighing["url"].removeprefix("http://fornix.test"))
    api.ok("DELETE", "/subjects/FI_001", user="fimbrialab_manager")
    assert api("GET", "/subjects/FI_001").status == 404


def test_the_client_is_told_that_there_is_no_public_bucket(api: Api) -> None:
    assert api.ok("GET", "/data-repository/aws_cortexlab")["json"] is None
    named = {"name": "aws_cortexlab", "json": {"bucket_name": "a-public-bucket"}}
    api.ok("POST", "/data-repository", named, user="admin")
    shown = api.ok("GET", "/data-repository/aws_cortexlab", user=None)
    assert shown["json"] == {"bucket_name": "a-public-bucket"}
    assert api("GET", "/data-repository/aws_nowhere").status == 404


def test_field_errors_name_every_field(api: Api) -> None:
    answer = api("POST", "/subjects", {"sex": "X", "birth_date": "yesterday"})
    assert answer.body == {
        "nickname": ["This field is required."],
        "sex": ['"X" is not a valid choice.'],
        "birth_date": ["Date has wrong format. Use one of these formats instead: YYYY-MM-DD."],
        "lab": ["This field is required."],
        "status_code": 400,
    }
    answer = api("POST", "/subjects", {"nickname": "a", "lab": "nowhere"})
    assert answer.body["lab"] == ["Object with name=nowhere does not exist."]


def test_a_session_has_alyx_fields_and_url(api: Api) -> None:
    made = session(api, type="Experiment", projects=["demo"])
    assert made["number"] == 1
    assert made["start_time"] == "2024-07-01T10:00:00"
    assert made["users"] == ["fimbrialab_member"]
    assert made["url"] == f"http://fornix.test/sessions/{made['id']}"
    assert made["qc"] == "NOT_SET"
    assert made["data_dataset_session_related"] == []
    (row,) = api.ok("GET", "/sessions?subject=fi_001")["results"]
    assert row == {
        "id": made["id"],
        "subject": "FI_001",
        "start_time": "2024-07-01T10:00:00",
        "number": 1,
        "lab": "fimbrialab",
        "projects": ["demo"],
        "url": made["url"],
        "task_protocol": "",
    }


def test_put_accepts_a_partial_session_and_duplicates_are_refused(api: Api) -> None:
    made = session(api)
    put = api.ok("PUT", f"/sessions/{made['id']}", {"subject": "FI_001", "narrative": "fine"})
    assert (put["narrative"], put["number"]) == ("fine", 1)
    again = api("POST", "/sessions", {**_body(), "start_time": "2024-07-01T12:00:00"})
    assert again.status == 400
    assert again.body["existing"] == [made["id"]]


def _body() -> dict:
    return {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": "001"}


@pytest.mark.parametrize(
    "query",
    [
        "subject=FI_001",
        "nickname=fi_001",
        "lab=FIMBRIALAB",
        "date_range=2024-07-01,2024-07-01",
        "date_range=1677-09-21,2262-04-11",
        "number=001",
        "number=1",
        "projects=dem",
        "project=demo",
        "task_protocol=protocol",
        "users=fimbrialab_member,admin",
        "type=experiment",
        "performance_gte=70",
        "performance_lte=75",
        "extended_qc=trials__gte,0.9",
        "json=rig,box1",
        "qc=pass",
        "procedures=Behavior",
        "django=pk,{eid}",
        "django=pk__in,('{eid}',)",
        "django=id__in,['{eid}']",
        "django=subject__nickname,FI_001",
        "django=start_time__date,2024-07-01",
        "django=start_time__lte,2024-07-02",
        "django=json__delay__gte,900",
        "django=projects__name__icontains,dem",
        "django=~projects__name,other",
        "django=subject__responsible_user__username,fimbrialab_member",
        "django=lab__name__in,[fimbrialab]",
        "django=~parent_session__isnull,False",
        "limit=10&offset=0",
        "clobber=True",
    ],
)
def test_every_session_filter_finds_the_one_and_not_the_other(api: Api, query: str) -> None:
    made = session(
        api,
        type="Experiment",
        projects=["demo"],
        task_protocol="my_protocol_1",
        users=["fimbrialab_member", "admin"],
        n_trials=100,
        n_correct_trials=72,
        extended_qc={"trials": 0.95},
        json={"rig": "box1", "delay": 1000},
        qc="PASS",
        procedures=["Behavior training/tasks"],
    )
    found = api.ok("GET", f"/sessions?{quote(query.format(eid=made['id']), safe='=&,')}")
    assert [row["id"] for row in found["results"]] == [made["id"]]
    assert found["count"] == 1


@pytest.mark.parametrize(
    "query",
    [
        "subject=FI_00",
        "lab=septumlab",
        "date_range=2024-07-02,2024-07-03",
        "number=2",
        "projects=demo",
        "users=fimbrialab_member,admin",
        "performance_gte=70",
        "datasets=trials.table.pqt",
        "dataset_types=trials.table",
        "tag=x",
        "qc=PASS",
        "histology=True",
        "atlas_acronym=CA1",
        "django=~subject__nickname,FI_001",
        "django=id__in,[]",
    ],
)
def test_filters_that_do_not_match_find_nothing(api: Api, query: str) -> None:
    session(api)
    assert api.ok("GET", f"/sessions?{query}") == {
        "count": 0,
        "next": None,
        "previous": None,
        "results": [],
    }


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("date_range=2024-07-01", "date_range"),
        ("qc=splendid", "qc"),
        ("performance_gte=high", "performance_gte"),
        ("number=first", "number"),
        ("unknown=1", "unknown"),
        ("django=password__startswith,a", "django"),
        ("django=subject", "django"),
        ("django=subject__nickname__regex,(", "django"),
        ("django=__class__,a", "django"),
        ("django=id__in,__import__('os').system('x')", "django"),
    ],
)
def test_a_bad_filter_is_a_400_that_names_it(api: Api, query: str, name: str) -> None:
    answer = api("GET", f"/sessions?{query}")
    assert answer.status == 400
    assert list(answer.body) == [name, "status_code"]


def test_pages_from_both_ends_with_a_token_while_writers_write(api: Api) -> None:
    for number in range(1, 8):
        session(api, number=number)
    first = api.ok("GET", "/sessions?limit=3")
    assert (first["count"], len(first["results"])) == (7, 3)
    assert first["next"].startswith("http://fornix.test/sessions?limit=3&offset=3&as_of=")
    path = first["next"].removeprefix("http://fornix.test")
    # When others create and delete sessions
    session(api, number=99)
    api.ok("DELETE", f"/sessions/{first['results'][0]['id']}", user="admin")
    # Then the pages by the token still are those of the first moment
    second = api.ok("GET", path)
    last = api.ok("GET", path.replace("offset=3", "offset=6"))
    assert [second["count"], last["count"]] == [7, 7]
    shown = [row["number"] for page in (first, second, last) for row in page["results"]]
    assert sorted(shown) == [1, 2, 3, 4, 5, 6, 7]
    assert last["next"] is None
    # And without it the list is as it is now
    assert api.ok("GET", "/sessions")["count"] == 7
    assert 99 in [row["number"] for row in api.ok("GET", "/sessions")["results"]]


def test_the_schema_is_small_and_names_every_route(api: Api) -> None:
    from functions.api.app import app

    answer = api("GET", "/api/schema", user=None)
    assert len(answer.raw) < 600 * len(app.routes)
    document = json.loads(answer.raw)
    for path, methods in app.routes.items():
        assert set(document["paths"][path.replace("+}", "}")]) == {m.lower() for m in methods}
    assert len(document["paths"]) == len(app.routes)
    # As OpenAPI wants it: a parameter has a schema, and one of the path is required and in it
    for path, methods in document["paths"].items():
        for operation in methods.values():
            of_path = {
                f"{{{p['name']}}}" for p in operation.get("parameters", ()) if "required" in p
            }
            assert of_path == {part for part in path.split("/") if part.startswith("{")}
            assert all("schema" in each for each in operation.get("parameters", ()))


def test_the_schema_has_upstreams_filters_for_sessions_and_insertions(api: Api) -> None:
    document = api.ok("GET", "/api/schema", user=None)

    def names(path: str) -> list[str]:
        return sorted(each["name"] for each in document["paths"][path]["get"]["parameters"])

    assert len(names("/sessions")) == 37
    assert len(names("/insertions")) == 23
    assert "dataset_qc_lte" in names("/insertions")
    assert list(document["paths"]).index("/sessions") < list(document["paths"]).index(
        "/sessions/{id}"
    )


def test_brain_regions_keep_the_numbers_of_the_atlas(api: Api) -> None:
    for number, acronym, parent in ((997, "root", None), (477, "STR", 997)):
        body = {"id": number, "acronym": acronym, "name": acronym, "parent": parent}
        assert api.ok("POST", "/brain-regions", body, user="admin")["id"] == number
    assert api.ok("GET", "/brain-regions/477")["acronym"] == "STR"
    below = api.ok("GET", "/brain-regions?descendants=root")
    assert [row["id"] for row in below["results"]] == [477, 997]
    assert api.ok("GET", "/insertions?atlas_acronym=STR,CA3")["count"] == 0


def test_tasks_are_listed_by_level_priority_and_start_of_their_session(api: Api) -> None:
    # Given sessions made in another order than they took place
    days = (2, 3, 1)
    eids = [session(api, start_time=f"2024-07-0{day}T10:00:00")["id"] for day in days]
    for eid in eids:
        for name, level, priority in (("a", 0, 10), ("b", 0, 20), ("c", 1, 90)):
            body = {"session": eid, "name": name, "executable": name, "level": level}
            api.ok("POST", "/tasks", {**body, "priority": priority})

    def listed() -> list[tuple[str, str]]:
        rows = api.ok("GET", "/tasks")["results"]
        return [(row["name"], row["session"]) for row in rows]

    second, third, first = eids
    assert listed() == [(n, eid) for n in "bac" for eid in (third, second, first)]
    # A session that is found to have been later moves its tasks; nothing else of them changes
    before = api.ok("GET", f"/tasks?session={first}")["results"]
    api.ok("PATCH", f"/sessions/{first}", {"start_time": "2024-07-09T10:00:00"})
    assert listed() == [(n, eid) for n in "bac" for eid in (first, third, second)]
    assert api.ok("GET", f"/tasks?session={first}")["results"] == before
    # and one that is deleted takes its tasks along
    api.ok("DELETE", f"/sessions/{first}", user="admin")
    assert listed() == [(n, eid) for n in "bac" for eid in (third, second)]


def test_insertions_follow_the_start_of_their_session(api: Api) -> None:
    eids = [session(api, start_time=f"2024-07-0{day}T10:00:00")["id"] for day in (1, 2)]
    for eid in eids:
        api.ok("POST", "/insertions", {"session": eid, "name": "probe00"})

    def listed() -> list[str]:
        return [row["session"] for row in api.ok("GET", "/insertions")["results"]]

    assert listed() == eids[::-1]
    api.ok("PATCH", f"/sessions/{eids[0]}", {"start_time": "2024-07-05T10:00:00"})
    assert listed() == eids


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.5, None, True, "ä\u2028"]}, '{"a":[1,2.5,null,true,"ä\u2028"]}'),
        ([float("nan"), float("inf")], "[null,null]"),
        ((1 << 70, -(1 << 65)), "[1180591620717411303424,-36893488147419103232]"),
        (np.float64(0.5), "0.5"),
    ],
)
def test_answers_are_json_whatever_numbers_they_have(value: Any, text: str) -> None:
    assert written(value) == text
