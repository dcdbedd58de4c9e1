"""The board and its commands, over HTTP, as members and administrators use them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from lab.client import Client, RecordMissing, RequestRefused, Settings
from shared.model.messages import SessionRegistered, Sweep, encode
from shared.model.task import Completion
from shared.records import audit
from shared.work import lease
from tests.flow import DATE, LAB, SUBJECT
from tests.lab.worker_fixtures import the

pytestmark = pytest.mark.integration

NAME = f"{LAB}/{SUBJECT}/{DATE}/001"


@pytest.fixture
def admin(system):
    from functions.api.auth import tokens

    return Client(Settings(system.url, token=tokens.issue("admin")))


@pytest.fixture
def fornix(system):
    def call(*arguments, role="member", code=0):
        env = os.environ | system.environment(role)
        done = subprocess.run(
            [sys.executable, "-m", "lab.cli", *map(str, arguments)],
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout

    return call


def test_the_board_names_what_failed_reason_first(system, trials, another):
    lease.claim(trials.id, "w1")
    lease.complete(trials.id, Completion(1, "Errored", log="started\nno trials in the file\n"))
    lease.claim(another.id, "w2")
    board = system.client("member").get("/board")
    assert board["lab"] == LAB
    assert (board["counts"]["Errored"], board["counts"]["Started"]) == (1, 1)
    (failed,) = board["errored"]
    assert failed["reason"] == "no trials in the file"
    assert (failed["name"], failed["session"]) == ("task.trials", NAME)
    (running,) = board["started"]
    assert running["owner"] == "w2"
    assert running["lease_until"]
    # Another lab's is not shown
    with pytest.raises(RequestRefused) as caught:
        system.client("member").get("/board", lab="septumlab")
    assert caught.value.status == 403


def test_a_session_is_shown_with_what_it_should_have(system, trials):
    shown = system.client("member").get(f"/board/{trials.session}")
    assert shown["name"] == NAME
    (task,) = shown["tasks"]
    assert task["status"] == "Waiting"
    wanted = {one["path"]: (one["required"], one["present"]) for one in task["expected"]}
    assert wanted["alf/_ibl_trials.table.pqt"] == (True, False)
    assert (shown["expected"], shown["present"], shown["time_to_result"]) == (2, 0, None)
    with pytest.raises(RecordMissing):
        system.client("member").get("/board/00000000-0000-4000-8000-000000000000")


def test_workers_say_how_they_are(system, worker):
    worker.report("resting", "the disk is full")
    (seen,) = system.client("member").get("/board")["workers"]
    assert seen["report"]["worker"] == worker.name
    assert (seen["report"]["state"], seen["report"]["reason"]) == ("resting", "the disk is full")
    assert seen["report"]["capabilities"]["disk"] > 0
    assert "task.trials" in seen["report"]["capabilities"]["tasks"]


def test_tasks_are_listed_shown_held_retried_and_cancelled(system, trials, another, fornix):
    lease.claim(trials.id, "w1")
    lease.complete(trials.id, Completion(1, "Errored", log="the piezo is broken\n"))
    # By a text of their log
    (row,) = json.loads(fornix("task", "list", "--log", "piezo", "--json"))
    assert row["id"] == trials.id
    # The reason comes first, and the session has its name
    first, second = fornix("task", "list", "--status", "errored").splitlines()
    assert first == "Errored  the piezo is broken"
    assert second.split()[:2] == ["task.trials", NAME]
    (row,) = json.loads(
        fornix("task", "list", "--session", NAME, "--name", "task.trials", "--json")
    )
    assert row["id"] == trials.id
    fornix("task", "list", "--session", "nobody", code=1)
    fornix("task", "list", "--session", f"{NAME[:-1]}9", code=1)
    assert fornix("task", "log", trials.id) == "the piezo is broken\n"
    assert f"task.trials of {NAME}: Errored" in fornix("task", "show", trials.id)
    # A dry run changes nothing
    dry = fornix("task", "retry", "--log", "piezo", "--dry-run")
    assert "Errored → would be retried" in dry
    assert the(trials).status == "Errored"
    # One, or all that fulfil a condition
    (done,) = json.loads(fornix("task", "retry", "--log", "piezo", "--json"))
    assert (done["was"], done["status"]) == ("Errored", "Waiting")
    fornix("task", "hold", "--name", "task.trials", "--reason", "the rig is being repaired")
    assert {the(one).hold for one in (trials, another)} == {"the rig is being repaired"}
    held = system.client("member").get("/board")["held"]
    assert [each["reason"] for each in held] == ["the rig is being repaired"] * 2
    system.flow.pump()
    assert the(trials).status == "Held"  # whatever the functions do
    fornix("task", "cancel", trials.id)
    assert the(trials).status == "Abandoned"
    assert "held task.trials" in fornix("status")
    # Who did it is on record
    who = [entry.who for entry in audit.history("task", trials.id)]
    assert f"{LAB}_member" in who
    fornix("task", "retry", code=2)  # none are named


def test_a_rig_may_not_hold_or_cancel(system, trials, fornix):
    said = fornix("task", "cancel", trials.id, "--json", role="rig", code=1)
    assert "403" in json.loads(said)[0]["error"]
    assert the(trials).status == "Waiting"


def test_undeliverable_messages_are_seen_and_sent_again(system, trials, admin):
    system.rest()
    flow = system.flow
    for queue in ("ingest", "dispatch", "analysis", f"work-{LAB}"):
        name = flow.queues[queue].rpartition("/")[2]
        flow.sqs.create_queue(QueueName=f"{name}-dead")
    lost, stale = encode(SessionRegistered(trials.session)), encode(Sweep())
    for body in (lost, stale):
        flow.sqs.send_message(QueueUrl=flow.queues["dispatch"] + "-dead", MessageBody=body)
    flow.messages("dispatch")
    shown = admin.get("/queues")
    assert shown["dispatch"]["dead"] == 2
    assert set(shown["dispatch"]["dead_messages"]) == {lost, stale}
    assert shown[f"work-{LAB}"]["dead"] == 0
    assert admin.post("/queues/dispatch/redrive") == {"queue": "dispatch", "sent": 1, "dropped": 1}
    assert flow.messages("dispatch") == [json.loads(lost)]
    assert admin.get("/queues")["dispatch"]["dead"] == 0
    with pytest.raises(RecordMissing):
        admin.post("/queues/nonsense/redrive")
    with pytest.raises(RequestRefused):
        system.client("member").get("/queues")


def test_a_worker_drains(system, worker, trials, fornix, tmp_path):
    said = fornix("worker", "--folder", tmp_path, "drain", role="worker")
    assert "stop after their tasks" in said
    assert worker.run() == 0
    assert the(trials).status == "Waiting"
    fornix("worker", "--folder", tmp_path, "drain", "--off", role="worker")


def test_the_doctor_looks_at_everything(system, fornix, tmp_path):
    said = fornix("worker", "--folder", tmp_path, "doctor", "--json", role="worker")
    found = {each["what"]: each["well"] for each in json.loads(said)}
    assert {"disk and memory", "task.trials", "sandbox", "server", "work queue"} <= set(found)
    assert all(found.values())
    # A task that is not for this computer is no fault of the computer's
    texts = {each["what"]: each["found"] for each in json.loads(said)}
    assert "goes to computers with" in texts["ephys.sort_gpu"]
    # A person's account is no worker's
    said = fornix("worker", "--folder", tmp_path, "doctor", role="member", code=1)
    assert "✗ server" in said
    assert "a worker of one lab is needed" in said
