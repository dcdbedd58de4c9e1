"""``?django=`` forms that Alyx has, by its models and reverse names: each a count by hand."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.api.conftest import Api


@pytest.fixture
def world(api: Api) -> dict[str, str]:
    """Two animals with a session each: probes, an image, files, tasks, notes and water."""
    admin: dict[str, Any] = {"user": "admin"}
    for number, acronym, parent in ((997, "root", None), (382, "CA1", 997)):
        region = {"id": number, "acronym": acronym, "name": acronym, "parent": parent}
        api.ok("POST", "/brain-regions", region, **admin)
    server = {"name": "fimbria_server", "globus_is_personal": True}
    api.ok("POST", "/data-repository", server, **admin)
    api.ok("POST", "/revisions", {"name": "2024-08-01", "description": "realigned"}, **admin)
    line = {"name": "Ai95", "nickname": "Ai95", "lab": "fimbrialab"}
    api.ok("POST", "/lines", line, **admin)
    api.ok("POST", "/litters", {"name": "Ai95_L_001", "line": "Ai95"}, **admin)
    api.ok("PATCH", "/subjects/FI_001", {"line": "Ai95", "litter": "Ai95_L_001"}, **admin)
    api.ok("POST", "/weighings", {"subject": "FI_001", "weight": 20.5})
    restriction = {"subject": "FI_001", "start_time": "2024-07-01T09:00:00"}
    api.ok("POST", "/water-restriction", {**restriction, "reference_weight": 21})
    api.ok("POST", "/surgeries", {"subject": "FI_002", "implant_weight": 1.4})
    made: dict[str, str] = {}
    for i, subject in enumerate(("FI_001", "FI_002")):
        body = {"subject": subject, "start_time": f"2024-07-0{i + 1}T10:15:30", "number": 1}
        if i:
            body["parent_session"] = made["eid0"]
        eid = made[f"eid{i}"] = api.ok("POST", "/sessions", {**body, "json": {"RIG": i or None}})[
            "id"
        ]
        for name in ("spikes.times.npy", "spikes.clusters.npy")[: i + 1]:
            dataset = {"session": eid, "name": name, "collection": "alf/probe00"}
            dataset |= {"revision": "2024-08-01"} if i else {}
            url = api.ok("POST", "/datasets", dataset)["url"]
            record = {"dataset": url, "data_repository": "fimbria_server", "exists": not i}
            api.ok("POST", "/files", {**record, "json": {"mismatch_hash": True} if i else None})
        chronic = api.ok("POST", "/chronic-insertions", {"subject": subject, "serial": f"18{i}"})
        probe = {"session": eid, "name": f"probe0{i}", "chronic_insertion": chronic["id"]}
        insertion = api.ok("POST", "/insertions", probe)["id"]
        task = {"session": eid, "name": f"first{i}", "executable": "a"}
        first = api.ok("POST", "/tasks", task)["id"]
        if i:
            second = {"session": eid, "name": "second", "executable": "b", "parents": [first]}
            api.ok("POST", "/tasks", second)
            api.ok(
                "POST", "/notes", {"content_type": "session", "object_id": eid, "text": "Drift"}
            )
        place: dict[str, Any] = {"x": 1, "y": 2, "depth": 3, "theta": 4, "phi": 5}
        place |= {"provenance": "Histology track", "probe_insertion": insertion}
        track = api.ok("POST", "/trajectories", place)["id"]
        channel = {"trajectory_estimate": track, "axial": 20, "lateral": 43}
        api.ok("POST", "/channels", {**channel, "brain_region": (382, 997)[i]})
    view = api.ok("POST", "/fields-of-view", {"session": made["eid0"], "name": "FOV_00"})["id"]
    api.ok(
        "POST", "/fov-location", {"field_of_view": view, "provenance": "E", "brain_region": [382]}
    )
    return made


FORMS = [
    ("datasets", "file_records__exists,True", 1),
    ("datasets", "~file_records__exists,True", 2),
    ("datasets", "file_records__exists,False", 2),
    ("datasets", "file_records__isnull,True", 0),
    ("datasets", "file_records__isnull,False", 3),
    ("datasets", "file_records__data_repository__name,fimbria_server", 3),
    ("datasets", "file_records__data_repository__name,nowhere", 0),
    ("datasets", "file_records__data_repository__globus_is_personal,True", 3),
    ("datasets", "file_records__data_repository__name__icontains,FIMBRIA", 3),
    ("datasets", "file_records__relative_path__icontains,FI_001/2024", 1),
    ("datasets", "file_records__json__mismatch_hash,True", 2),
    ("datasets", "session__subject__nickname,FI_001,file_records__exists,True", 1),
    ("datasets", "revision__name,2024-08-01", 2),
    ("datasets", "revision__name__startswith,2024", 2),
    ("datasets", "revision__description__icontains,realigned", 2),
    ("datasets", "auto_datetime__gte,2020-01-01", 3),
    ("datasets", "auto_datetime__lt,2020-01-01", 0),
    ("datasets", "~auto_datetime__lt,2020-01-01", 3),
    ("datasets", "probe_insertion__name,probe00", 1),
    ("datasets", "probe_insertion__session__number,1", 1),
    ("datasets", "field_of_view__isnull,False", 0),
    ("datasets", "session__start_time__year,2024", 3),
    ("channels", "brain_region__acronym,CA1", 1),
    ("channels", "brain_region__acronym__in,['CA1','root']", 2),
    ("channels", "brain_region__parent__acronym,root", 1),
    ("channels", "~brain_region__acronym,CA1", 1),
    ("channels", "brain_region__id,382", 1),
    ("channels", "brain_region,382", 1),
    ("brain-regions", "channels__lateral,43", 2),
    ("brain-regions", "children__acronym,CA1", 1),
    ("brain-regions", "brain_region__provenance,E", 1),
    ("brain-regions", "parent__acronym,root", 1),
    ("fov-location", "brain_region__acronym,CA1", 1),
    ("fov-location", "brain_region__acronym,root", 0),
    ("fields-of-view", "location__brain_region__acronym,CA1", 1),
    ("trajectories", "channels__brain_region__acronym,CA1", 1),
    ("insertions", "trajectory_estimate__channels__brain_region__acronym,CA1", 1),
    ("insertions", "chronic_insertion__serial,180", 1),
    ("insertions", "datasets__revision__name,2024-08-01", 0),
    ("chronic-insertions", "probe_insertion__name,probe01", 1),
    ("chronic-insertions", "probe_insertion__session__subject__nickname,FI_002", 1),
    ("subjects", "actions_waterrestrictions__isnull,False", 1),
    ("subjects", "actions_waterrestrictions__end_time__isnull,True", 1),
    ("subjects", "actions_waterrestrictions__start_time__date,2024-07-01", 1),
    ("subjects", "actions_surgerys__implant_weight__gte,1", 1),
    ("subjects", "actions_chronicrecordings__serial,181", 1),
    ("subjects", "line__nickname,Ai95", 1),
    ("subjects", "line__name__startswith,Ai", 1),
    ("subjects", "litter__name__icontains,l_001", 1),
    ("subjects", "weighings__weight__gt,20", 1),
    ("sessions", "subject__line__nickname,Ai95", 1),
    ("sessions", "subject__actions_waterrestrictions__reference_weight,21", 1),
    ("sessions", "session__subject__nickname,FI_002", 1),
    ("sessions", "notes__text__icontains,drift", 1),
    ("sessions", "tasks__name,second", 1),
    ("sessions", "auto_datetime__gte,2020-01-01", 2),
    ("sessions", "json__has_key,RIG", 2),
    ("sessions", "json__RIG__isnull,True", 1),
    ("sessions", "start_time__hour,10", 2),
    ("sessions", "start_time__minute__gte,16", 0),
    ("sessions", "start_time__second,30", 2),
    ("sessions", "start_time__time__lt,10:16:00", 2),
    ("sessions", "start_time__week_day,2", 1),
    ("sessions", "start_time__iso_week_day,1", 1),
    ("sessions", "start_time__week,27", 2),
    ("sessions", "start_time__iso_year,2024", 2),
    ("sessions", "start_time__quarter,3", 2),
    # patterns, as users of ONE write them
    ("sessions", "subject__nickname__regex,^FI_00[12]$", 2),
    ("sessions", "subject__nickname__regex,^fi", 0),
    ("sessions", "subject__nickname__iregex,^fi_(001|999)", 1),
    ("sessions", "~subject__nickname__regex,1$", 1),
    ("sessions", r"subject__nickname__regex,^FI_\d{1,3}$,number,1", 2),
    ("sessions", "subject__nickname__regex,[,2],number,1", 1),
    ("sessions", "subject__nickname__regex,'^FI_002$'", 1),
    ("sessions", "task_protocol__regex,.", 0),
    ("datasets", r"name__regex,spikes\.(times|clusters)\.npy", 3),
    ("datasets", "collection__iregex,PROBE0[0-9]", 3),
    ("insertions", "name__regex,[]01]$", 2),
    ("tasks", "parents__name,first1", 1),
    ("tasks", "children__name,second", 1),
    ("labs", "subject__nickname,FI_001", 1),
    ("labs", "session__subject__nickname,SE_001", 0),
    ("users", "subjects_responsible__nickname,nobody", 0),
    ("users", "weighing__weight__gt,20", 1),
    ("files", "dataset__revision__name,2024-08-01", 2),
]


def test_each_form_finds_what_is_counted_by_hand(api: Api, world: dict[str, str]) -> None:
    wrong = []
    for path, query, count in FORMS:
        answer = api("GET", f"/{path}?django={quote(query, safe='')}", user="admin")
        if answer.status != 200 or answer.body["count"] != count:
            wrong.append(
                (path, query, count, answer.status, answer.body.get("count", answer.body))
            )
    assert not wrong


@pytest.mark.parametrize(
    ("path", "query", "words"),
    [
        ("sessions", "subject__nickname__regex,(", "is no pattern: missing )"),
        ("sessions", r"subject__nickname__regex,(a)\1", "is no pattern: invalid escape"),
        ("sessions", "subject__nickname__iregex,(?=a)", "is no pattern: invalid perl operator"),
        ("sessions", "subject__nickname__regex," + "a" * 301, "longer than 300"),
        ("sessions", "subject__nickname__regex,x{1001}", "invalid repetition size"),
        ("sessions", "subject__nickname__regex,((a{999}){999}){999}", "is no pattern"),
        ("sessions", "datasets__file_records__exists,True", "filter /datasets by this"),
        ("datasets", "file_records__exists,maybe", "True or False"),
        ("datasets", "file_records__nothing,1", "no such field"),
        ("subjects", "line__password,1", "no such field"),
    ],
)
def test_what_is_not_taken_says_so(api: Api, path: str, query: str, words: str) -> None:
    answer = api("GET", f"/{path}?django={quote(query, safe='')}", user="admin")
    assert (answer.status, list(answer.body)) == (400, ["django", "status_code"])
    assert words in answer.body["django"][0]


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*b", "(x+x+)+y", "a{0,999}b"])
def test_no_pattern_takes_for_ever(api: Api, world: dict[str, str], pattern: str) -> None:
    # Given texts on which a pattern that goes back and forth would take years
    text = "a" * 20_000 + "x" * 20_000
    note = {"content_type": "session", "object_id": world["eid0"], "text": text}
    api.ok("POST", "/notes", note)
    answer = api.ok("GET", f"/notes?django={quote(f'text__regex,{pattern}', safe='')}")
    assert answer["count"] == 0


def test_files_of_many_sessions_are_looked_into_only_where_these_are_named(
    api: Api, world: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.api.resources import datasets

    monkeypatch.setattr(datasets, "MAX_SESSIONS", 1)
    answer = api("GET", "/datasets?django=file_records__exists,False")
    assert answer.status == 400
    assert "name the sessions" in answer.body["django"][0]
    query = f"session={world['eid1']}&django=file_records__exists,False"
    assert api.ok("GET", f"/datasets?{query}")["count"] == 2


def test_what_a_caller_may_not_list_it_finds_nothing_by(api: Api, world: dict[str, str]) -> None:
    for path, query in (
        ("datasets", "file_records__exists,True"),
        ("sessions", "notes__text__icontains,drift"),
        ("sessions", "subject__actions_waterrestrictions__isnull,False"),
    ):
        answer = api("GET", f"/{path}?django={query}", user=None)
        assert answer.status == 400, (path, query)
        assert "cannot be filtered by" in answer.body["django"][0]
