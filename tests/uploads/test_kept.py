"""What has bytes stays as it is, whoever registers, changes or moves what."""

from __future__ import annotations

import hashlib
from uuid import uuid4

import pytest
import requests

from functions.api.auth import tokens
from lab.client import Client, RequestRefused, Settings
from shared import catalog
from shared.model.identity import dataset_id
from tests.flow import DATE, LAB, SUBJECT, npy

PATH = "alf/spikes.times.npy"
FILES = {PATH: npy(1, 2), "alf/_ibl_trials.table.npy": npy(3, 4)}
OTHER = {"hash": "f" * 32, "size": 7}


@pytest.fixture
def uploaded(system):
    """Two files that came in by upload; return the session's id."""
    system.rest()
    return system.flow.upload(FILES)["session"]


@pytest.fixture
def rig(system):
    return system.client("rig")


@pytest.fixture
def member(system):
    return system.client("member")


def administrator(system):
    return Client(Settings(system.url, token=tokens.issue("admin")))


def delete(client, path):
    client.request("DELETE", path)


def dataset(client, eid, path=PATH):
    """Return a dataset of a session as the API shows it."""
    rows = client.get(f"/datasets?session={eid}")["results"]
    collection, _, name = path.rpartition("/")
    (row,) = [
        r
        for r in rows
        if r["name"] == name and r["collection"] == collection and not r["revision"]
    ]
    return client.get(f"/datasets/{row['id']}")


def content(client, row):
    """Return the bytes that a dataset's address leads to."""
    (url,) = [record["data_url"] for record in row["file_records"] if record["exists"]]
    answer = requests.get(
        url.replace("#", "%23"),
        headers={"Authorization": f"Token {client.settings.token}"},
        timeout=20,
        allow_redirects=False,
    )
    assert answer.status_code == 302, answer.text
    return requests.get(answer.headers["Location"], timeout=20).content


def registration(**more):
    body = {"path": f"{SUBJECT}/{DATE}/001", "filenames": [PATH], "labs": LAB}
    return body | {"created_by": f"{LAB}_rig", **more}


def test_uploaded_files_are_in_the_own_store_and_found_by_name(uploaded, member):
    row = dataset(member, uploaded)
    (record,) = row["file_records"]
    assert (record["data_repository"], record["exists"]) == ("fornix", True)
    assert record["data_repository_path"] == f"data/{LAB}/Subjects/"
    assert record["relative_path"] == f"{SUBJECT}/{DATE}/001/{PATH}"
    assert member.get("/datasets?exists=True")["count"] == len(FILES)
    assert member.get("/datasets?exists=False")["count"] == 0
    found = member.get("/sessions?datasets=spikes.times.npy")
    assert [each["id"] for each in found["results"]] == [uploaded]


@pytest.mark.parametrize(
    "change",
    [{"number": 7}, {"start_time": "2024-05-05T10:00:00"}],
    ids=lambda change: next(iter(change)),
)
def test_a_session_that_moves_keeps_its_bytes(uploaded, system, change):
    member = system.client("member")
    member.patch(f"/sessions/{uploaded}", change)
    catalog.reset_for_tests()
    assert content(member, dataset(member, uploaded)) == FILES[PATH]
    # And what is uploaded to it from then on is there as well
    body = {"session": {"id": uploaded}}
    answer = system.flow.open({"alf/spikes.amps.npy": npy(5, 6)}, **body)
    assert system.flow.send(answer, {"alf/spikes.amps.npy": npy(5, 6)}) == [200]
    system.flow.pump()
    assert content(member, dataset(member, uploaded, "alf/spikes.amps.npy")) == npy(5, 6)


@pytest.mark.parametrize("said", [{}, {"hashes": [OTHER["hash"]], "filesizes": [OTHER["size"]]}])
def test_registering_by_name_keeps_what_was_uploaded(uploaded, rig, member, said):
    before = dataset(member, uploaded)
    (row,) = rig.post("/register-file", registration(**said))
    after = dataset(member, uploaded)
    for name in ("sha256", "hash", "file_size", "file_records", "rows"):
        assert after[name] == before[name], name
    assert content(member, after) == FILES[PATH]
    # Without other content it is the same dataset, with other content a revision beside it
    assert (row["id"] == before["id"]) == (not said)
    if said:
        assert row["revision"]
        assert member.get(f"/datasets/{row['id']}")["hash"] == OTHER["hash"]
        # The same again is that same revision
        (again,) = rig.post("/register-file", registration(**said))
        assert again["id"] == row["id"]


def test_the_same_content_may_be_registered_elsewhere_too(uploaded, system, rig, member):
    repository = {"name": "flatiron", "data_url": "https://example.org/"}
    administrator(system).post("/data-repository", repository)
    md5 = hashlib.md5(FILES[PATH], usedforsecurity=False).hexdigest()
    for _ in range(2):
        rig.post("/register-file", registration(hashes=[md5], name="flatiron"))
    records = dataset(member, uploaded)["file_records"]
    places = [record["data_repository"] for record in records]
    assert sorted(places) == ["flatiron", "fornix"]
    assert all(record["exists"] for record in records)


@pytest.mark.parametrize("change", [{"hash": OTHER["hash"]}, {"file_size": OTHER["size"]}])
def test_the_content_of_what_was_uploaded_is_not_changed_by_hand(uploaded, member, change):
    row = dataset(member, uploaded)
    with pytest.raises(RequestRefused, match="never overwritten"):
        member.patch(f"/datasets/{row['id']}", change)
    assert dataset(member, uploaded) == row


def test_that_the_own_store_has_the_bytes_is_not_changed_by_hand(uploaded, member):
    row = dataset(member, uploaded)
    file = f"/files/{row['file_records'][0]['id']}"
    with pytest.raises(RequestRefused, match="the record that says so stays"):
        member.patch(file, {"exists": False})
    with pytest.raises(RequestRefused, match="the record that says so stays"):
        delete(member, file)
    assert dataset(member, uploaded) == row


def test_the_own_store_is_nobody_s_to_change(system):
    system.rest()
    admin = administrator(system)
    with pytest.raises(RequestRefused, match="own store"):
        admin.patch("/data-repository/fornix", {"data_url": "https://example.org/"})


def test_a_dataset_s_id_is_never_that_of_another_record(uploaded, member):
    """Neither one there is, nor one that a session's next dataset will have."""
    taken = dataset(member, uploaded)["id"]
    other = member.post("/sessions", {"subject": SUBJECT, "start_time": f"{DATE}T12:00:00"})["id"]
    body = {"session": other, "name": "a.b.npy", "collection": "alf"}
    with pytest.raises(RequestRefused) as caught:
        member.post("/datasets", {**body, "id": taken})
    assert caught.value.status == 400
    # An id of one's own is taken by the first, and says so to the second
    own = str(uuid4())
    assert member.post("/datasets", {**body, "id": own})["id"] == own
    with pytest.raises(RequestRefused) as caught:
        member.post("/datasets", {**body, "name": "c.d.npy", "id": own})
    assert caught.value.status == 400
    # Whoever takes the id of a dataset to come does not keep it from coming
    future = dataset_id(uploaded, "alf/x.y.npy")
    member.post("/datasets", {**body, "name": "e.f.npy", "id": future})
    mine = member.post("/datasets", {"session": uploaded, "name": "x.y.npy", "collection": "alf"})
    assert mine["id"] == future
    assert member.get(f"/datasets/{future}")["session"].endswith(uploaded)
