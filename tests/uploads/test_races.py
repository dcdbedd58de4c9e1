"""Two writers of one session, the second one between the first one's reading and writing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid5

import pytest

from functions.api.auth import tokens
from functions.api.routes import register_file
from lab.client import Client, RecordMissing, RequestRefused, Settings
from shared.datasets import edit, register
from shared.datasets.read import datasets_of
from shared.records import documents
from shared.records.items import Dataset
from shared.sessions import delete as deletion
from shared.sessions import store as sessions
from shared.sessions.delete import delete_session
from tests.flow import DATE, LAB, SESSION, SUBJECT, announced, npy

PATH = "alf/spikes.times.npy"
BODY = {"path": f"{SUBJECT}/{DATE}/001", "labs": LAB, "created_by": f"{LAB}_rig"}


@pytest.fixture
def eid(system):
    """A session with one file that came in by upload."""
    system.rest()
    return system.flow.upload({PATH: npy(1, 2)})["session"]


@pytest.fixture
def member(system):
    return system.client("member")


@pytest.fixture
def between(monkeypatch):
    """Have something done once, right after a function has read."""

    def between(module, name, other):
        real, done = getattr(module, name), []

        def read(*args, **kwargs):
            found = real(*args, **kwargs)
            if not done:
                done.append(True)
                other()
            return found

        monkeypatch.setattr(module, name, read)

    return between


def add(eid, path):
    """Register a file by name, as another process does."""
    return register.register_datasets(eid, [Dataset.of(eid, path)], manifest=path, who="ana")


def listed(member, eid):
    rows = member.get(f"/datasets?session={eid}")["results"]
    return {row["name"]: row for row in rows}


def test_deleting_a_session_while_files_are_registered(eid, system, member, between):
    rig = system.client("rig")
    between(register_file, "read_partition", lambda: delete_session(eid, who="admin"))
    with pytest.raises(RequestRefused) as caught:
        rig.post("/register-file", {**BODY, "filenames": ["alf/spikes.amps.npy"]})
    assert caught.value.status in (400, 404)
    assert datasets_of(eid) == []
    assert member.get("/datasets")["count"] == 0


def test_registering_while_a_session_is_deleted(eid, system, member, between):
    """What got in before the session went goes with it."""
    between(deletion, "get", lambda: add(eid, "alf/spikes.amps.npy"))
    member.request("DELETE", f"/sessions/{eid}")
    assert datasets_of(eid) == []
    assert member.get("/datasets")["count"] == 0
    with pytest.raises(RecordMissing):
        member.get(f"/sessions/{eid}")


def test_a_deletion_that_is_cut_off_is_finished_later(eid, member, monkeypatch):
    from functions.ingest.reconcile import reconcile

    with monkeypatch.context() as killed:
        killed.setattr(deletion, "finish", lambda eid: None)
        member.request("DELETE", f"/sessions/{eid}")
    assert len(datasets_of(eid)) == 1
    reconcile()
    assert datasets_of(eid) == []
    assert member.get("/datasets")["count"] == 0
    assert list(deletion.unfinished_deletions()) == []


def test_changing_a_dataset_that_is_deleted_meanwhile(eid, member, between):
    row = listed(member, eid)["spikes.times.npy"]
    between(edit, "read_partition", lambda: edit.delete_dataset(eid, PATH, who="admin"))
    with pytest.raises(RecordMissing):
        member.patch(f"/datasets/{row['id']}", {"qc": "PASS"})
    assert listed(member, eid) == {}


def test_deleting_a_dataset_that_is_changed_meanwhile(eid, member, between):
    row = listed(member, eid)["spikes.times.npy"]

    def change():
        edit.update_dataset(eid, PATH, lambda item: setattr(item, "qc", 10), who="ana")

    between(edit, "read_partition", change)
    member.request("DELETE", f"/datasets/{row['id']}")
    assert listed(member, eid) == {}


def test_changing_a_dataset_while_it_stops_being_the_default(eid, system, member, between):
    row = listed(member, eid)["spikes.times.npy"]
    between(edit, "read_partition", lambda: add(eid, "alf/#2030-01-01#/spikes.times.npy"))
    member.patch(f"/datasets/{row['id']}", {"qc": "PASS"})
    rows = member.get(f"/datasets?session={eid}")["results"]
    assert [each["default_dataset"] for each in rows].count(True) == 1
    shown = {each["id"]: each for each in rows}[row["id"]]
    assert (shown["qc"], shown["default_dataset"]) == ("PASS", False)


def test_two_first_downloads_at_once_count_as_two(eid, member, between):
    row = listed(member, eid)["spikes.times.npy"]
    name, key = f"{LAB}_member", str(uuid5(UUID(row["id"]), f"{LAB}_member"))
    first = {"id": key, "user": name, "dataset": row["id"], "count": 1, "projects": []}
    create = documents.create
    between(documents, "create", lambda: create("download", key, first, who=name))
    assert member.post("/new-download", {"datasets": [row["id"]]})["count"] == [2]


def test_sixteen_writers_of_one_session_all_get_through(eid, member):
    start = threading.Barrier(16)

    def write(n):
        start.wait()
        return [add(eid, f"alf/probe{n:02}/spikes.{what}.npy") for what in ("amps", "depths")]

    with ThreadPoolExecutor(16) as pool:
        assert len(list(pool.map(write, range(16)))) == 16
    assert member.get(f"/datasets?session={eid}")["count"] == 33


@pytest.mark.parametrize(
    ("field", "path"),
    [("projects", "/projects/gone"), ("procedures", ""), ("users", f"/users/{LAB}_leaver")],
)
def test_what_an_upload_names_may_be_deleted_before_its_session_is_made(system, field, path):
    system.rest()
    rig, flow = system.client("rig"), system.flow
    admin = Client(Settings(system.url, token=tokens.issue("admin")))
    name = path.rpartition("/")[2] or "gone"
    kind = field.removesuffix("s")
    about = {"username": name, "role": "member", "lab": [LAB], "is_active": True}
    documents.create(kind, name, about if kind == "user" else {"name": name}, who="admin")
    files = {"alf/wheel.position.npy": npy(1, 2)}
    body = {"session": SESSION | {field: [name]}, "files": [announced(*f) for f in files.items()]}
    answer = rig.post("/uploads", body)
    flow.send(answer, files)
    if path:
        admin.request("DELETE", path)
    else:  # the list of procedures has no route for it
        documents.delete(kind, name, who="admin")
    flow.pump()
    flow.deliver("ingest", {"kind": "finalise", "upload": answer["id"]})
    done = rig.get(f"/uploads/{answer['id']}")
    assert done["state"] == "registered"
    assert sessions.get(done["session"]).attribute_values.get(field) in (None, [])


def test_an_upload_names_what_is_there(system):
    rig = system.client("rig")
    file = announced("alf/wheel.position.npy", npy(1, 2))
    for field, value in (("projects", ["x"]), ("procedures", ["x"]), ("location", "x")):
        with pytest.raises(RequestRefused, match="There is no"):
            rig.post("/uploads", {"session": SESSION | {field: value}, "files": [file]})
