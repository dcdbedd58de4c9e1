"""Steps, failures and silence are counted once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from functions.dispatch.sweep import sweep
from shared.model.task import Completion, WorkerReport
from shared.work import board, lease, patch
from tests.dispatch.graph import (
    LATER,
    RAW,
    corrected,
    registered,
    the,
)
from tests.flow import LAB

pytestmark = pytest.mark.usefixtures("server_of_the_lab")


@pytest.fixture
def counted(monkeypatch, capsys):
    """Return what was counted since the last call."""
    monkeypatch.setenv("FORNIX_METRICS", "fornix")

    def read():
        sums: dict[str, int] = {}
        for text in capsys.readouterr().out.splitlines():
            line = json.loads(text)
            if "_aws" in line:
                for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
                    sums[metric["Name"]] = sums.get(metric["Name"], 0) + line[metric["Name"]]
        return sums

    return read


def test_each_step_of_a_task_is_counted_once(flow, eid, counted):
    for _ in range(2):
        registered(flow, eid)
    assert counted() == {"TasksCreated": 2}
    trials = the(eid, "task.trials").id
    claims = [lease.claim(trials, "w1") for _ in range(2)]
    assert {int(claim.attempt) for claim in claims} == {1}
    for _ in range(2):
        lease.complete(trials, Completion(1, "Complete"))
    assert counted() == {"TasksClaimed": 1, "TasksComplete": 1}


def test_lost_runs_and_long_waits_are_counted(flow, trials, counted):
    lease.claim(trials, "w1", 5)
    counted()
    sweep(now=datetime.now(UTC) + LATER)
    found = counted()
    assert 590 <= found.pop("OldestWaiting") <= 900
    assert found == {"LeasesExpired": 1, "TasksErrored": 0, "LabsSilent": 0}
    sweep(now=datetime.now(UTC) + timedelta(hours=2))
    assert 7190 <= counted()["OldestWaiting"] <= 7500


def test_a_lab_whose_workers_say_nothing_while_its_tasks_wait_is_silent(flow, trials, counted):
    def silent(hours):
        counted()
        sweep(now=datetime.now(UTC) + timedelta(hours=hours))
        return counted()["LabsSilent"]

    # Without any worker it is so soon, with one that has spoken only after two hours
    assert (silent(0.25), silent(1)) == (0, 1)
    board.save_report(LAB, WorkerReport("w1", "working"))
    assert (silent(1), silent(2.1)) == (0, 1)
    told = board.silence(LAB, 9000, datetime.now(UTC) + timedelta(hours=5))
    assert told == f"No worker of {LAB} has spoken for 5 h, and its tasks wait."
    # One that has stopped says nothing more
    board.save_report(LAB, WorkerReport("w1", "stopped"))
    assert silent(1) == 1


def test_a_task_that_fails_twice_is_counted_once(flow, trials, counted):
    def ends(status):
        attempt = int(lease.claim(trials, "w1").attempt)
        lease.complete(trials, Completion(attempt, status))
        patch.patch_task(trials, {"status": "Waiting"}, "test")
        return counted().get("TasksFailedTwice", 0)

    counted()
    assert [ends("Errored") for _ in range(3)] == [0, 1, 0]
    assert [ends(status) for status in ("Complete", "Errored", "Errored")] == [0, 0, 1]


def test_a_run_on_new_inputs_is_counted(flow, processed, counted):
    counted()
    corrected(flow, processed, RAW[2])
    registered(flow, processed)
    assert counted() == {"TasksRerun": 2}
