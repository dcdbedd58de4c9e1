"""Deleting: what others name is kept, what belongs to a record goes with it, by declared rules."""

from __future__ import annotations

from typing import Any

import pytest

from functions.api.engine.declarations import KINDS, RESOURCES
from shared.records import queues
from tests.api.conftest import Api

RULES = {"refuse", "cascade", "keep"}


@pytest.fixture
def eid(api: Api, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A session in a project, with what belongs to it."""
    monkeypatch.setattr(queues, "send", lambda *_, **__: None)
    monkeypatch.setattr(queues, "notify", lambda *_, **__: None)
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "projects": ["demo"]}
    return str(api.ok("POST", "/sessions", body)["id"])


def test_each_relation_has_a_rule_and_what_belongs_to_nothing_else_is_required() -> None:
    for resource in RESOURCES.values():
        for name, spec in resource.fields.items():
            if spec.type == "ref":
                assert spec.to in KINDS
                assert spec.on_delete in RULES, (resource.path, name)
            else:
                assert spec.on_delete == "refuse", "only relations have such a rule"


@pytest.mark.parametrize(
    ("path", "named_by"),
    [
        ("/projects/demo", "/sessions (projects)"),
        ("/users/fimbrialab_member", "/sessions (users)"),
        ("/users/fimbrialab_member", "/subjects (responsible_user)"),
        ("/tags/release", "/datasets (tags)"),
        ("/dataset-types/lab.own", "/datasets (dataset_type)"),
        ("/dataset-types/trials.table", "Every installation has the dataset-type trials.table"),
        ("/data-formats/odd", "/datasets (data_format)"),
        ("/data-formats/npy", "Every installation has the data-format npy"),
        ("/species/Mus%20musculus", "/subjects (species)"),
        ("/water-type/Water", "/water-administrations (water_type)"),
        ("/data-repository/elsewhere", "/labs (repositories)"),
        ("/labs/fimbrialab", "/users (lab)"),
    ],
)
def test_what_is_named_is_kept_and_the_refusal_says_by_what(
    api: Api, eid: str, path: str, named_by: str
) -> None:
    api.ok("PATCH", "/subjects/FI_001", {"species": "Mus musculus"})
    api.ok("POST", "/tags", {"name": "release"}, user="admin")
    api.ok("POST", "/data-repository", {"name": "elsewhere"}, user="admin")
    api.ok("PATCH", "/labs/fimbrialab", {"repositories": ["elsewhere"]}, user="admin")
    api.ok("POST", "/dataset-types", {"name": "lab.own", "filename_pattern": "x"}, user="admin")
    api.ok("POST", "/data-formats", {"name": "odd"}, user="admin")
    dataset = {"session": eid, "name": "_ibl_trials.table.pqt", "collection": "alf"}
    more = {"tags": ["release"], "dataset_type": "lab.own", "data_format": "odd"}
    api.ok("POST", "/datasets", {**dataset, **more}, user="admin")
    api.ok("POST", "/water-administrations", {"subject": "FI_001", "water_type": "Water"})

    answer = api("DELETE", path, user="admin")

    assert answer.status == 409
    assert named_by in answer.body["detail"]
    assert api("GET", path, user="admin").status == 200


def test_what_belongs_to_an_insertion_and_a_session_goes_with_it_and_a_mouse_keeps_its_own(
    api: Api, eid: str
) -> None:
    counted = ("insertions", "trajectories", "channels", "fields-of-view", "fov-location")
    counted += ("notes", "water-administrations", "chronic-insertions", "weighings", "surgeries")

    def counts() -> dict[str, int]:
        return {path: api.ok("GET", f"/{path}")["count"] for path in counted}

    def add(path: str, **body: Any) -> str:
        return str(api.ok("POST", f"/{path}", body)["id"])

    def probe(name: str) -> str:
        insertion = add("insertions", session=eid, name=name)
        place = {"x": 1, "y": 2, "depth": 3, "theta": 4, "phi": 5, "provenance": "Planned"}
        track = add("trajectories", probe_insertion=insertion, **place)
        add("channels", trajectory_estimate=track, axial=20, lateral=43)
        add("notes", content_type="probeinsertion", object_id=insertion, text="deep")
        return insertion

    before = counts()
    first = probe("probe00")
    api.ok("DELETE", f"/insertions/{first}")
    assert counts() == before

    probe("probe01")
    view = add("fields-of-view", session=eid, name="FOV_00")
    add("fov-location", field_of_view=view, provenance="E")
    add("notes", content_type="session", object_id=eid, text="good")
    api.ok("POST", "/water-administrations", {"subject": "FI_001", "session": eid})
    api.ok("DELETE", f"/sessions/{eid}")
    assert counts() == before

    add("weighings", subject="FI_001", weight=20)
    add("surgeries", subject="FI_001", implant_weight=1)
    add("chronic-insertions", subject="FI_001", name="c")
    add("notes", content_type="subject", object_id="FI_001", text="calm")
    kept = counts()
    refused = api("DELETE", "/subjects/FI_001", user="fimbrialab_manager")
    assert (refused.status, counts()) == (409, kept)
    for path in ("chronic-insertions", "notes", "surgeries", "weighings"):
        assert f"1 of /{path}" in refused.body["detail"]


def test_a_list_is_written_whole_or_not_at_all(api: Api, eid: str) -> None:
    insertion = api.ok("POST", "/insertions", {"session": eid, "name": "probe00"})["id"]
    place = {"x": 1, "y": 2, "depth": 3, "theta": 4, "phi": 5, "provenance": "Planned"}
    track = api.ok("POST", "/trajectories", {"probe_insertion": insertion, **place})["id"]
    rows = [{"trajectory_estimate": track, "axial": i, "lateral": 0} for i in range(150)]
    # One that is taken, in the second transaction: nothing is there
    refused = api("POST", "/channels", [*rows, {**rows[0], "axial": 149}])
    assert refused.status == 400
    assert api.ok("GET", "/channels")["count"] == 0
    assert len(api.ok("POST", "/channels", rows)) == 150
    assert api.ok("GET", "/channels")["count"] == 150
    # One of them that is there already
    more = [{**rows[0], "axial": 1000 + i} for i in range(100)]
    assert api("POST", "/channels", [*more, rows[7]]).status == 400
    assert api.ok("GET", "/channels")["count"] == 150


def test_notes_and_aggregates_go_with_what_they_are_about(api: Api, eid: str) -> None:
    task = api.ok("POST", "/tasks", {"session": eid, "name": "a", "executable": "a"})["id"]
    other = api.ok("POST", "/tasks", {"session": eid, "name": "b", "executable": "b"})["id"]
    dataset = api.ok("POST", "/datasets", {"session": eid, "name": "a.b.npy"})["id"]
    mouse = {"content_type": "subject", "object_id": "FI_001"}
    api.ok("POST", "/datasets", {**mouse, "name": "c.d.npy"})
    about = [("task", task), ("task", other), ("dataset", dataset), ("session", eid)]
    for kind, key in [*about, ("subject", "FI_001")]:
        api.ok("POST", "/notes", {"content_type": kind, "object_id": key, "text": kind})
    kinds = lambda: sorted(row["text"] for row in api.ok("GET", "/notes")["results"])  # noqa: E731
    assert kinds() == ["dataset", "session", "subject", "task", "task"]
    api.ok("DELETE", f"/tasks/{task}")
    assert kinds() == ["dataset", "session", "subject", "task"]
    api.ok("DELETE", f"/datasets/{dataset}")
    assert kinds() == ["session", "subject", "task"]
    api.ok("DELETE", f"/sessions/{eid}")
    assert kinds() == ["subject"]
    assert api.ok("GET", "/datasets")["count"] == 1
    # An animal with a note has a history, and stays; without one its aggregates go with it
    assert api("DELETE", "/subjects/FI_001", user="fimbrialab_manager").status == 409
    (note,) = api.ok("GET", "/notes")["results"]
    api.ok("DELETE", f"/notes/{note['id']}")
    api.ok("DELETE", "/subjects/FI_001", user="fimbrialab_manager")
    assert kinds() == []
    assert api.ok("GET", "/datasets")["count"] == 0
    # What is deleted piece by piece has no datasets of its own
    body = {"content_type": "task", "object_id": task, "name": "a.b.npy"}
    assert api("POST", "/datasets", body).status == 400


def test_datasets_named_as_a_session_s_aggregate_are_the_session_s(api: Api, eid: str) -> None:
    body = {"content_type": "session", "object_id": eid, "name": "a.b.npy"}
    api.ok("POST", "/datasets", body)
    assert api.ok("GET", f"/datasets?session={eid}")["count"] == 1
    api.ok("DELETE", f"/sessions/{eid}")
    assert api.ok("GET", "/datasets")["count"] == 0


def test_a_mouse_of_a_known_version_is_deleted(api: Api, eid: str) -> None:
    manager = "fimbrialab_manager"
    tag = api("GET", "/subjects/FI_001").headers["ETag"]
    known, stale = {"If-Match": tag}, {"If-Match": '"old"'}
    # With a session it stays, whatever version is known
    assert api("DELETE", "/subjects/FI_001", user=manager, headers=known).status == 409
    assert api("GET", f"/sessions/{eid}").status == 200
    api.ok("DELETE", f"/sessions/{eid}")
    assert api("DELETE", "/subjects/FI_001", user=manager, headers=stale).status == 412
    assert api("DELETE", "/subjects/FI_001", user=manager, headers=known).status == 204
