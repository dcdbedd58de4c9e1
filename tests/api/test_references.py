"""Naming another lab's records: refused by one rule, whichever kind of record has the name."""

from __future__ import annotations

from typing import Any

import pytest

from functions.api.engine.declarations import KINDS, RESOURCES
from functions.api.engine.relations import _references
from shared.records import queues
from tests.api.conftest import Api

OURS, THEIRS = "fimbrialab_member", "septumlab_member"
START = {"start_time": "2024-07-01T10:00:00", "number": 1}


@pytest.fixture
def world(api: Api, bucket: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Records of each kind of two labs: ``our …`` and ``their …``."""
    monkeypatch.setattr(queues, "send", lambda *_, **__: None)
    monkeypatch.setattr(queues, "notify", lambda *_, **__: None)
    made: dict[str, str] = {}
    for whose, user, subject in (("our", OURS, "FI_001"), ("their", THEIRS, "SE_001")):

        def add(name: str, path: str, body: dict[str, Any], user: str = user) -> str:
            return str(api.ok("POST", path, body, user=user)[name])

        eid = add("id", "/sessions", {"subject": subject, **START})
        chronic = add("id", "/chronic-insertions", {"subject": subject, "name": "probe00"})
        task = {"session": eid, "name": "a", "executable": "a"}
        lab = "fimbrialab" if whose == "our" else "septumlab"
        made |= {
            f"{whose} subject": subject,
            f"{whose} session": eid,
            f"{whose} dataset": add("id", "/datasets", {"session": eid, "name": "a.b.npy"}),
            f"{whose} insertion": add("id", "/insertions", {"session": eid, "name": "probe00"}),
            f"{whose} chronic insertion": chronic,
            f"{whose} task": add("id", "/tasks", task),
            f"{whose} location": add(
                "name", "/locations", {"name": f"{whose} rig", "lab": lab}, f"{lab}_manager"
            ),
        }
    return made


NEW = [
    ("/data-notices", {"name": "n", "datasets": ["their dataset"]}),
    ("/data-notices", {"name": "n", "datasets": ["our dataset", "their dataset"]}),
    ("/tasks", {"session": "our session", "executable": "b", "parents": ["their task"]}),
    ("/sessions", {"subject": "their subject", **START, "number": 2, "lab": "fimbrialab"}),
    ("/sessions", {"subject": "our subject", **START, "number": 2, "location": "their location"}),
    (
        "/sessions",
        {"subject": "our subject", **START, "number": 2, "parent_session": "their session"},
    ),
    ("/surgeries", {"subject": "our subject", "location": "their location", "implant_weight": 1}),
    ("/surgeries", {"subject": "their subject", "implant_weight": 1}),
    (
        "/insertions",
        {"session": "our session", "name": "p", "chronic_insertion": "their chronic insertion"},
    ),
    ("/water-administrations", {"subject": "our subject", "session": "their session"}),
    ("/weighings", {"subject": "their subject", "weight": 20}),
    ("/notes", {"content_type": "dataset", "object_id": "their dataset", "text": "x"}),
    ("/notes", {"content_type": "task", "object_id": "their task", "text": "x"}),
]


def filled(body: dict[str, Any], world: dict[str, str]) -> dict[str, Any]:
    """Return a body with the ids of records instead of their names in the test."""

    def one(value: Any) -> Any:
        if isinstance(value, list):
            return [one(each) for each in value]
        return world.get(value, value) if isinstance(value, str) else value

    return {name: one(value) for name, value in body.items()}


@pytest.mark.parametrize(("path", "body"), NEW, ids=lambda each: str(each)[:60])
def test_a_new_record_names_no_record_of_another_lab(
    api: Api, world: dict[str, str], path: str, body: dict[str, Any]
) -> None:
    before = api.ok("GET", path)["count"]
    answer = api("POST", path, filled(body, world), user=OURS)
    assert answer.status == 403, answer.raw[:300]
    assert "septumlab" in answer.body["detail"]
    assert api.ok("GET", path)["count"] == before
    # The same with our own records is welcome
    own = {n: v for n, v in body.items() if n != "datasets"} | (
        {"datasets": ["our dataset"]} if "datasets" in body else {}
    )
    own = {
        n: [w.replace("their ", "our ") for w in v]
        if isinstance(v, list)
        else v.replace("their ", "our ")
        if isinstance(v, str)
        else v
        for n, v in own.items()
    }
    assert api("POST", path, filled(own, world), user=OURS).status == 201


def test_a_change_names_no_record_of_another_lab(api: Api, world: dict[str, str]) -> None:
    notice = api.ok("POST", "/data-notices", {"name": "n", "datasets": [world["our dataset"]]})
    for path, body in (
        (f"/data-notices/{notice['id']}", {"datasets": ["our dataset", "their dataset"]}),
        ("/tasks/{our task}", {"parents": ["their task"]}),
        ("/sessions/{our session}", {"parent_session": "their session"}),
        ("/sessions/{our session}", {"location": "their location"}),
        ("/insertions/{our insertion}", {"chronic_insertion": "their chronic insertion"}),
    ):
        answer = api("PATCH", path.format(**world), filled(body, world), user=OURS)
        assert answer.status == 403, (path, answer.raw[:300])


def test_a_notice_is_of_the_labs_whose_datasets_it_names(api: Api, world: dict[str, str]) -> None:
    body = {"name": "n", "datasets": [world["their dataset"]]}
    path = f"/data-notices/{api.ok('POST', '/data-notices', body, user=THEIRS)['id']}"
    assert api("PATCH", path, {"description": "x"}, user=OURS).status == 403
    assert api("PATCH", path, {"datasets": []}, user=OURS).status == 403
    assert api("DELETE", path, user=OURS).status == 403
    assert api("PATCH", path, {"description": "x"}, user=THEIRS).status == 200
    assert api("DELETE", path, user=THEIRS).status == 204


def test_every_reference_to_records_of_labs_goes_by_the_rule() -> None:
    for resource in RESOURCES.values():
        found = dict(_references(resource))
        for name, spec in resource.fields.items():
            if spec.to and not spec.read_only and (KINDS[spec.to].lab or spec.to == "lab"):
                assert name in found, (resource.path, name)
