"""Claims over HTTP: requests in, exact answers out."""

from __future__ import annotations

import pytest
import requests

from lab.client import Conflicting, RecordMissing, RequestRefused
from shared.datasets.read import datasets_of
from shared.sessions import store as sessions
from shared.work import read
from tests.flow import DATE, LAB, SUBJECT, announced, npy

RAW = {
    "raw_behavior_data/_iblrig_taskData.raw.jsonable": b"{}\n",
    "raw_behavior_data/_iblrig_taskSettings.raw.json": b"{}",
}


@pytest.fixture
def task(system):
    system.rest()
    system.flow.upload(RAW)
    (task,) = read.of_session(sessions.find(SUBJECT, DATE, 1).id)
    return task


@pytest.fixture
def worker(system, task):
    return system.client("worker")


def test_a_task_s_life_over_http(system, worker, task):
    here = f"/tasks/{task.id}"
    # A claim gives the inputs with their addresses
    claim = worker.post(f"{here}/claim", {"worker": "w1"})
    assert claim["attempt"] == 1
    assert claim["task"]["status"] == "Started"
    assert claim["task"]["arguments"]["collection"] == "raw_behavior_data"
    assert claim["session"]["subject"] == SUBJECT
    datasets = {item.path: item for item in datasets_of(task.session)}
    for one in claim["inputs"]:
        assert one["id"] == datasets[one["path"]].uuid
        assert one["sha256"] == datasets[one["path"]].sha256
        assert requests.get(one["url"], timeout=20).content == RAW[one["path"]]
    # Another is refused, the same gets the same
    with pytest.raises(Conflicting, match="is Started by w1 until"):
        worker.post(f"{here}/claim", {"worker": "w2"})
    assert worker.post(f"{here}/claim", {"worker": "w1"})["lease_until"] == claim["lease_until"]
    # It lives, tells, and gives back
    assert worker.post(f"{here}/heartbeat", {"attempt": 1})["lease_until"] > claim["lease_until"]
    assert worker.post(f"{here}/log", {"attempt": 1, "text": "half way\n"}) == {"attempt": 1}
    assert worker.get(here)["log"] == "half way\n"
    assert worker.post(f"{here}/release", {"attempt": 1})["status"] == "Waiting"
    # The next one completes, and may say so twice
    assert worker.post(f"{here}/claim", {"worker": "w2"})["attempt"] == 2
    with pytest.raises(Conflicting, match=r"attempt 1 of task .* is over"):
        worker.post(f"{here}/complete", {"attempt": 1, "status": "Complete"})
    end = {"attempt": 2, "status": "Errored", "log": "no trials", "elapsed": 2.5, "version": "1"}
    answers = [worker.post(f"{here}/complete", end) for _ in range(2)]
    assert answers[0] == answers[1]
    assert (answers[0]["status"], answers[0]["time_elapsed_secs"]) == ("Errored", 2.5)
    assert worker.get(here)["log"] == "no trials"
    changed = {"kind": "task.changed", "task": task.id}
    assert changed in system.flow.messages("dispatch")


def test_bad_bodies_are_named(worker, task):
    here = f"/tasks/{task.id}"
    for path, body, field in (
        ("claim", {}, "worker"),
        ("claim", {"worker": "x" * 201}, "worker"),
        ("claim", {"worker": "w", "lease": "long"}, "lease"),
        ("heartbeat", {}, "attempt"),
        ("log", {"attempt": 1}, "text"),
        ("complete", {"attempt": True}, "attempt"),
        ("complete", {"attempt": 1, "status": "Complete", "run_record": []}, "run_record"),
        ("complete", {"attempt": 1, "status": "Complete", "elapsed": "long"}, "elapsed"),
        ("complete", {"attempt": 1, "status": "Waiting"}, "status"),
        ("complete", {"attempt": 1}, "status"),
    ):
        with pytest.raises(RequestRefused) as caught:
            worker.post(f"{here}/{path}", body)
        assert caught.value.status == 400
        assert list(caught.value.body) == [field, "status_code"]


def test_a_task_that_is_not_there_is_not_found(worker):
    with pytest.raises(RecordMissing):
        worker.post("/tasks/4ecb5d24-f5cc-402c-be28-9d0f7cb14b3a/claim", {"worker": "w"})


def test_outputs_must_be_in_before_a_task_is_complete(system, worker, task):
    here = f"/tasks/{task.id}"
    worker.post(f"{here}/claim", {"worker": "w"})
    files = {"alf/_ibl_trials.repNum.npy": npy(0, 1)}
    body = {
        "session": {"id": task.session},
        "files": [announced(*item) for item in files.items()],
        "task": {"id": task.id, "attempt": 1, "run_record": {"code": "piezo 9.9"}},
    }
    answer = worker.post("/uploads", body)
    end = {"attempt": 1, "status": "Complete", "upload": answer["id"]}
    with pytest.raises(Conflicting, match="is still open"):
        worker.post(f"{here}/complete", end)
    system.flow.send(answer, files)
    system.flow.pump()
    worker.post(f"{here}/complete", end)
    item = next(i for i in datasets_of(task.session) if i.path.startswith("alf"))
    assert item.provenance == {"upload": answer["id"], "task": task.id, "attempt": 1}
    assert item.version == "piezo 9.9"


def test_a_late_worker_s_outputs_are_not_taken(system, worker, task):
    here = f"/tasks/{task.id}"
    worker.post(f"{here}/claim", {"worker": "w"})
    files = {"alf/_ibl_trials.repNum.npy": npy(0, 1)}
    body = {
        "session": {"id": task.session},
        "files": [announced(*item) for item in files.items()],
        "task": {"id": task.id, "attempt": 1},
    }
    answer = worker.post("/uploads", body)
    system.flow.send(answer, files)
    # Given that the task was taken over before the outputs were looked at
    worker.post(f"{here}/release", {"attempt": 1})
    worker.post(f"{here}/claim", {"worker": "w2"})
    system.flow.pump()
    assert worker.get(f"/uploads/{answer['id']}")["state"] == "rejected"
    assert {item.path for item in datasets_of(task.session)} == set(RAW)
    assert system.flow.keys("quarantine/") == [f"{answer['id']}/alf/_ibl_trials.repNum.npy"]
    with pytest.raises(Conflicting):
        worker.post("/uploads", body)


def test_only_a_lab_s_workers_may_claim(system, worker, task):
    for role in ("rig", "member"):
        with pytest.raises(RequestRefused) as caught:
            system.client(role).post(f"/tasks/{task.id}/claim", {"worker": "w"})
        assert caught.value.status == 403
        with pytest.raises(RequestRefused):
            system.client(role).post("/workers/credentials")
    lent = worker.post("/workers/credentials")
    assert lent["queue_url"] == system.flow.queues[f"work-{LAB}"]
    assert {"access_key_id", "secret_access_key", "session_token", "region", "expires"} < set(lent)


def test_ibllib_patches_over_http(system, task):
    here = f"/tasks/{task.id}"
    client = system.client("worker")
    assert client.patch(here, {"status": "Started"})["status"] == "Started"
    ended = client.patch(
        here, {"status": "Complete", "time_elapsed_secs": 3, "log": "ok", "version": "3.4"}
    )
    assert (ended["status"], ended["log"], ended["version"]) == ("Complete", "ok", "3.4")
    with pytest.raises(RequestRefused, match="cannot go from Complete to Errored"):
        client.patch(here, {"status": "Errored"})
    assert {"kind": "task.changed", "task": task.id} in system.flow.messages("dispatch")


def test_a_corrected_file_is_read_by_a_run_of_its_own(system, worker, task):
    # Given a task that ended in an error because of one of its files
    here = f"/tasks/{task.id}"
    worker.post(f"{here}/claim", {"worker": "w1"})
    worker.post(f"{here}/complete", {"attempt": 1, "status": "Errored", "log": "truncated\n"})
    system.flow.pump()
    # When the same files come again, then nothing happens
    system.flow.upload(RAW)
    assert worker.get(here)["status"] == "Errored"
    # When a corrected one comes, then the task waits again and is given that one
    path = next(iter(RAW))
    corrected = RAW | {path: b'{"trial": 1}\n'}
    system.flow.upload(corrected)
    row = worker.get(here)
    assert (row["status"], row["attempt"]) == ("Waiting", 1)
    assert row["log"].startswith("truncated\n")
    claim = worker.post(f"{here}/claim", {"worker": "w1"})
    assert claim["attempt"] == 2
    revisions = {one["path"]: one["revision"] for one in claim["inputs"]}
    assert [one for one in revisions if revisions[one]] == [path]
    for one in claim["inputs"]:
        assert requests.get(one["url"], timeout=20).content == corrected[one["path"]]
