"""The upload protocol over HTTP: requests in, exact answers out."""

from __future__ import annotations

import hashlib
from uuid import UUID

import pytest
import requests

from lab.client import Conflicting, RecordMissing, RequestRefused
from shared.sessions import store as sessions
from shared.uploads import progress, transport
from tests.flow import DATE, FOLDER, LAB, SESSION, SUBJECT, announced, npy, states

FILES = {"alf/spikes.times.npy": npy(1, 2), "alf/spikes.amps.npy": npy(3, 4)}
BODY = {"session": SESSION, "files": [announced(*item) for item in FILES.items()]}


@pytest.fixture
def rig(system):
    system.rest()
    return system.client("rig")


def refusal(client, path, body, status=400):
    with pytest.raises(RequestRefused) as caught:
        client.post(path, body)
    assert caught.value.status == status
    assert caught.value.body["status_code"] == status
    return caught.value.body


def test_an_upload_is_opened_with_an_address_per_file(rig):
    answer = rig.post("/uploads", BODY)
    assert UUID(answer["id"]).version == 4
    assert (answer["state"], answer["session"], answer["folder"]) == ("open", None, FOLDER)
    for file, entry in zip(BODY["files"], answer["files"], strict=True):
        assert entry["path"] == file["path"]
        assert (entry["state"], entry["method"]) == ("wanted", "put")
        assert entry["headers"] == {
            "x-amz-checksum-sha256": transport.b64(file["sha256"]),
            "If-None-Match": "*",
        }
        signed = "content-length%3Bhost%3Bif-none-match%3Bx-amz-checksum-sha256"
        assert f"X-Amz-SignedHeaders={signed}" in entry["url"]
        assert "X-Amz-Expires=900" in entry["url"]


def test_the_same_files_again_are_the_same_upload(system, rig):
    headers = {"Authorization": f"Token {rig.settings.token}"}
    answers = [
        requests.post(f"{system.url}/uploads", json=body, headers=headers, timeout=20)
        for body in (BODY, BODY | {"files": BODY["files"][::-1]})
    ]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_s3_refuses_what_was_not_announced(system, rig):
    entry = rig.post("/uploads", BODY)["files"][0]
    content = FILES[entry["path"]]

    def put(data, headers=entry["headers"]):
        return requests.put(entry["url"], data=data, headers=headers, timeout=20).status_code

    assert put(content[:-1]) == 403  # another size
    assert put(content[::-1]) == 400  # another content
    assert put(content, {}) == 403  # without the signed headers
    assert put(content) == 200
    assert put(content) == 412  # it is there: nothing is overwritten


def test_completing_too_early_says_what_is_missing(rig):
    answer = rig.post("/uploads", BODY)
    body = refusal(rig, f"/uploads/{answer['id']}/complete", {}, 409)
    assert body == {
        "detail": "2 of 2 files have not arrived.",
        "missing": sorted(FILES, key=list(FILES).index),
        "status_code": 409,
    }


def test_completing_is_idempotent_and_the_end_can_be_read(system, rig):
    answer = rig.post("/uploads", BODY)
    system.flow.send(answer, FILES)
    for _ in range(2):
        done = rig.post(f"/uploads/{answer['id']}/complete")
        assert done == {"id": answer["id"], "state": "validating"}
    system.flow.pump()
    session = sessions.find(SUBJECT, DATE, 1)
    final = rig.get(f"/uploads/{answer['id']}")
    assert (final["state"], final["session"]) == ("registered", session.id)
    assert states(final) == dict.fromkeys(FILES, "registered")
    assert rig.post(f"/uploads/{answer['id']}/complete") == {
        "id": answer["id"],
        "state": "registered",
    }
    assert rig.post("/uploads", BODY)["state"] == "registered"


def test_files_can_be_given_up_with_a_reason(system, rig):
    answer = rig.post("/uploads", BODY)
    system.flow.send({"files": answer["files"][:1]}, FILES)
    path = BODY["files"][1]["path"]
    rig.post(f"/uploads/{answer['id']}/complete", {"without": {path: "the disk is broken"}})
    system.flow.pump()
    final = rig.get(f"/uploads/{answer['id']}")
    assert final["state"] == "partial"
    (refused,) = [file for file in final["files"] if file["state"] == "rejected"]
    assert refused == {
        "path": path,
        "state": "rejected",
        "code": "not_received",
        "reason": "the disk is broken",
    }


def test_bad_names_are_refused_one_by_one_at_once(rig):
    bad = announced("alf/my file.npy", b"x")
    answer = rig.post("/uploads", {**BODY, "files": [*BODY["files"], bad]})
    assert list(states(answer).values()) == ["wanted", "wanted", "rejected"]
    assert answer["files"][2]["code"] == "invalid_name"
    assert "To fix: " in answer["files"][2]["reason"]


IMPOSSIBLE = [
    ({**SESSION, "subject": "nobody"}, "There is no subject 'nobody'"),
    ({**SESSION, "number": 1000}, "number"),
    ({**SESSION, "date": "2024-13-01"}, "month"),
    ({**SESSION, "subject": "a b"}, "subject"),
    ({**SESSION, "color": "red"}, "Unknown field(s) color"),
    ({**SESSION, "projects": ["x"]}, "There is no project 'x'"),
    ({**SESSION, "users": ["x"]}, "There is no user 'x'"),
    ({**SESSION, "start_time": "2024-07-02T10:00:00"}, "not on the session's day"),
    ({**SESSION, "start_time": "noon"}, "must be ISO times"),
    ({"lab": LAB}, "subject: This field is required"),
    ({"id": "x"}, "not a valid UUID"),
    ({"id": "4ecb5d24-f5cc-402c-be28-9d0f7cb14b3a"}, "There is no session"),
    (None, "Give the session as"),
]


def test_a_session_that_cannot_be_is_refused_whole(system, rig):
    for session, words in IMPOSSIBLE:
        body = refusal(rig, "/uploads", {**BODY, "session": session})
        assert words in " ".join(body["session"])
    assert system.flow.keys("incoming/") == []


def test_unknown_fields_are_named(rig):
    assert refusal(rig, "/uploads", {**BODY, "file": []}) == {
        "file": ["Unknown field; an upload has again, files, session, task."],
        "status_code": 400,
    }


def test_only_the_lab_s_own_accounts_may(system, rig):
    from shared.records import documents

    stranger = {
        "username": "septumlab_rig",
        "role": "rig",
        "lab": ["septumlab"],
        "is_active": True,
    }
    documents.create("user", "septumlab_rig", stranger | {"is_public_user": False}, who="test")
    from functions.api.auth import tokens
    from lab.client import Client, Settings

    other = Client(Settings(system.url, token=tokens.issue("septumlab_rig")))
    answer = rig.post("/uploads", BODY)
    assert "own lab" in refusal(other, "/uploads", BODY, 403)["detail"]
    for path in ("complete", "parts", "assemble"):
        refusal(other, f"/uploads/{answer['id']}/{path}", {}, 403)
    with pytest.raises(RequestRefused):
        other.get(f"/uploads/{answer['id']}")
    with pytest.raises(RequestRefused):
        other.get("/uploads", lab=LAB)
    assert requests.post(f"{system.url}/uploads", json=BODY, timeout=20).status_code == 403


def test_an_unknown_upload_is_not_found(rig):
    with pytest.raises(RecordMissing, match="there is no upload"):
        rig.get("/uploads/4ecb5d24-f5cc-402c-be28-9d0f7cb14b3a")


def test_the_latest_uploads_of_a_lab_are_listed(system, rig):
    first = rig.post("/uploads", BODY)
    second = rig.post("/uploads", {**BODY, "files": BODY["files"][:1]})
    rows = rig.get("/uploads")["results"]
    assert [row["id"] for row in rows] == [second["id"], first["id"]]
    assert (rows[1]["files"], rows[1]["folder"], rows[1]["by"]) == (2, FOLDER, f"{LAB}_rig")
    assert [row["id"] for row in rig.get("/uploads", limit=1)["results"]] == [second["id"]]


def test_parts_are_signed_and_joined_over_http(system, rig, monkeypatch):
    monkeypatch.setattr(transport, "MULTIPART_FROM", 1)
    monkeypatch.setattr(transport, "PART_SIZE", 2**20)
    path, content = "raw_ephys_data/a.b.bin", b"\1" * (2**20 + 5)
    answer = rig.post("/uploads", {**BODY, "files": [announced(path, content)]})
    here = f"/uploads/{answer['id']}"
    pieces = {1: content[: 2**20], 2: content[2**20 :]}
    wanted = [
        {"number": n, "sha256": hashlib.sha256(piece).hexdigest()} for n, piece in pieces.items()
    ]
    with pytest.raises(Conflicting, match=r"2 of 2 parts are missing \(1, 2\)"):
        rig.post(f"{here}/assemble", {"path": path})
    for part in rig.post(f"{here}/parts", {"path": path, "parts": wanted})["parts"]:
        sent = requests.put(
            part["url"], data=pieces[part["number"]], headers=part["headers"], timeout=20
        )
        assert sent.status_code == 200
    again = rig.post(f"{here}/parts", {"path": path, "parts": wanted})["parts"]
    assert again == [{"number": n, "state": "stored"} for n in (1, 2)]
    for _ in range(2):
        assert rig.post(f"{here}/assemble", {"path": path}) == {"path": path, "state": "stored"}
    for body, words in (
        ({"path": path}, "Ask for 1 to"),
        ({"path": path, "parts": [{"number": 3, "sha256": "0" * 64}]}, "numbered 1 to 2"),
        ({"path": path, "parts": [{"number": "x"}]}, "Give a list"),
    ):
        assert words in str(refusal(rig, f"{here}/parts", body)["parts"])
    with pytest.raises(RecordMissing):
        rig.post(f"{here}/parts", {"path": "other.a.bin", "parts": wanted})


def test_a_large_upload_gets_its_addresses_in_turns(rig, monkeypatch):
    monkeypatch.setattr(progress, "URLS_AT_ONCE", 1)
    answer = rig.post("/uploads", BODY)
    assert ["url" in file for file in answer["files"]] == [True, False]


# -- rebuilding --------------------------------------------------------------------------------
