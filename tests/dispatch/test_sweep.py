"""What lost its worker, message or event is found and goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from functions.dispatch.handler import handler
from functions.dispatch.sweep import sweep
from shared.datasets.edit import delete_dataset
from shared.model.task import Completion
from shared.records.meter import metered
from shared.sessions.delete import delete_session
from shared.tasks.states import Status
from shared.work import lease, patch, read, write
from tests.dispatch.graph import (
    IBLLIB,
    LATER,
    RAW,
    START,
    corrected,
    register,
    registered,
    run,
    status_of,
    waits,
)
from tests.flow import LAB

pytestmark = pytest.mark.usefixtures("server_of_the_lab")


def test_a_lost_worker_s_task_goes_to_another_and_after_three_times_ends(flow, trials, eid):
    now = datetime.now(UTC)
    for n in range(1, 4):
        flow.messages(f"work-{LAB}")
        assert int(lease.claim(trials, f"w{n}", 5).attempt) == n
        assert sweep(now=now)["expired"] == 0
        assert sweep(now=now + LATER)["expired"] == 1
        expected = [waits(trials)] if n < 3 else []
        assert flow.messages(f"work-{LAB}") == expected
    task = read.get_task(trials)
    assert task.status == "Errored"
    assert task.log.count("was lost") == 3
    assert task.log.endswith("the task is given up.")
    assert flow.messages("analysis") == [{"kind": "session.finished", "session": eid}]
    # And it can be run again by hand, with a clean count
    again = patch.patch_task(trials, {"status": "Waiting"}, "ana")
    assert (again.status, int(again.expiries)) == ("Waiting", 0)
    assert "RERUN" in again.log


def test_a_worker_that_is_alive_keeps_its_task(trials):
    lease.claim(trials, "w1", 5)
    lease.heartbeat(trials, 1, 3600)
    assert sweep(now=datetime.now(UTC) + LATER)["expired"] == 0
    assert read.get_task(trials).status == "Started"
    # And the index knows the new lease: the next sweep does not look at it
    assert list(read.unfinished(LAB, Status.STARTED, before=datetime.now(UTC) + LATER)) == []


def test_a_heartbeat_between_reading_and_expiring_wins(trials):
    lease.claim(trials, "w1", 5)
    before = read.get_task(trials)
    lease.heartbeat(trials, 1, 3600)
    assert not lease.expire(before, now=datetime.now(UTC) + LATER)
    assert read.get_task(trials).status == "Started"


def test_waiting_tasks_without_a_message_are_announced_again(flow, trials):
    flow.messages(f"work-{LAB}")
    assert sweep()["sent"] == 0  # too young: the message may be on the way
    assert sweep(now=datetime.now(UTC) + LATER)["sent"] == 1
    assert sweep(now=datetime.now(UTC) + LATER)["sent"] == 0  # now there is one
    assert flow.messages(f"work-{LAB}") == [waits(trials)]


def test_held_tasks_whose_event_was_lost_are_promoted(flow, eid):
    # Given a task without all its inputs, of whose arrival no word came
    delete_dataset(eid, RAW[1], who="ana")
    registered(flow, eid)
    register(eid, RAW[1], version=2)
    flow.messages("dispatch")
    assert handler({"kind": "sweep"})["held"] == 0
    assert status_of(eid)["task.trials"] == "Held"
    # When the sweep comes by
    assert sweep(now=datetime.now(UTC) + LATER)["held"] == 1
    assert status_of(eid)["task.trials"] == "Waiting"


def test_the_end_of_a_task_whose_event_was_lost_is_followed_up(flow, trials, eid):
    # Given a task whose inputs changed while it ran, and whose end nobody was told of
    lease.claim(trials, "w1", inputs="what it was given")
    corrected(flow, eid, RAW[0])
    lease.complete(trials, Completion(1, "Complete"))
    assert sweep()["due"] == 0  # the message may be on the way
    # When the sweep comes by, then it runs again, and is followed up once
    assert sweep(now=datetime.now(UTC) + LATER)["due"] == 1
    assert status_of(eid)["task.trials"] == "Waiting"
    assert sweep(now=datetime.now(UTC) + LATER)["due"] == 0


def test_the_end_of_a_sessions_work_is_announced_though_its_event_was_lost(flow, trials, eid):
    run(flow, eid, "task.trials", "Errored")
    flow.messages("analysis")
    patch.patch_task(trials, {"status": "Waiting"}, "ana")
    lease.claim(trials, "w2")
    lease.complete(trials, Completion(2, "Errored"))
    flow.messages("dispatch")  # lost
    sweep(now=datetime.now(UTC) + LATER)
    assert flow.messages("analysis") == [{"kind": "session.finished", "session": eid}]


def test_what_was_told_is_not_followed_up_and_many_are_some_at_a_time(flow, eid, monkeypatch):
    registered(flow, eid)
    run(flow, eid, "task.trials")
    with metered() as meter:
        assert sweep(now=datetime.now(UTC) + LATER)["due"] == 0
    read = sum(units for name, units in meter.by_operation.items() if name == "Query")
    assert read <= 4  # nothing of the session
    # Given more ends than one sweep follows up, of a session that is gone among them
    monkeypatch.setattr("functions.dispatch.sweep.MOST_DUE", 2)
    for n in range(3):
        task = write.create(eid, LAB, START, {**IBLLIB, "name": f"task {n}"})
        patch.patch_task(task.id, {"status": "Abandoned"}, "ana")
    flow.messages("dispatch")
    later = datetime.now(UTC) + LATER
    assert [sweep(now=later)["due"] for _ in range(3)] == [2, 1, 0]
    patch.patch_task(write.create(eid, LAB, START, IBLLIB).id, {"status": "Abandoned"}, "ana")
    delete_session(eid, who="ana")
    assert sweep(now=datetime.now(UTC) + LATER)["due"] == 1
    assert sweep(now=datetime.now(UTC) + LATER)["due"] == 0


def test_tasks_held_for_long_are_left_to_the_sweep_of_all(flow, trials):
    month = datetime.now(UTC) + timedelta(days=30)
    assert sweep(now=month)["held"] == 0
    assert sweep(now=month, everything=True)["held"] == 1


def test_an_idle_lab_costs_four_queries_and_nothing_written(flow):
    with metered() as meter:
        assert sweep() == {"expired": 0, "due": 0, "sent": 0, "held": 0}
    assert meter.by_operation == {"Query": 2.0}
