"""A task is claimed by one, kept by its heartbeat, and ended once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from shared.model.task import Completion, RunRecord
from shared.records.meter import metered
from shared.work import item, lease, read
from tests.dispatch.graph import (
    LATER,
    waits,
)
from tests.flow import LAB

pytestmark = pytest.mark.usefixtures("server_of_the_lab")


def test_a_task_is_claimed_by_exactly_one(trials):
    won, lost = [], []

    def claim(name):
        try:
            won.append(lease.claim(trials, name).owner)
        except item.TaskUnavailable as error:
            lost.append(str(error))

    threads = [threading.Thread(target=claim, args=(f"w{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 7
    assert f"Started by {won[0]}" in lost[0]


def test_a_lost_claim_writes_nothing(trials):
    lease.claim(trials, "w1")
    with metered() as meter, pytest.raises(item.TaskUnavailable):
        lease.claim(trials, "w2")
    assert set(meter.by_operation) == {"GetItem"}


def test_the_same_worker_gets_the_same_claim_again(trials):
    first, again = lease.claim(trials, "w1"), lease.claim(trials, "w1")
    assert (int(first.attempt), first.lease_until) == (int(again.attempt), again.lease_until)


def test_a_heartbeat_costs_one_write_unit(trials):
    lease.claim(trials, "w1", 60)
    with metered() as meter:
        until = lease.heartbeat(trials, 1, 600)
    assert meter.by_operation["UpdateItem"] == 1
    assert read.get_task(trials).lease_until == until


@pytest.mark.parametrize(
    "late",
    [
        lambda task: lease.heartbeat(task, 1),
        lambda task: lease.append_log(task, 1, "x"),
        lambda task: lease.complete(task, Completion(1, "Complete")),
        lambda task: lease.release(task, 1),
    ],
    ids=["heartbeat", "log", "complete", "release"],
)
def test_a_late_worker_with_an_old_attempt_is_refused(trials, late):
    lease.claim(trials, "w1", 5)
    assert lease.expire(read.get_task(trials), now=datetime.now(UTC) + LATER)
    lease.claim(trials, "w2")
    before = read.get_task(trials).attribute_values
    with pytest.raises(
        item.AttemptOver, match=r"attempt 1 of task .* is over: it is Started, attempt 2"
    ):
        late(trials)
    assert read.get_task(trials).attribute_values == before


def test_a_lease_that_ended_can_be_claimed_without_the_sweep(trials, monkeypatch):
    lease.claim(trials, "w1", 5)
    monkeypatch.setattr(lease, "datetime", Later)
    assert int(lease.claim(trials, "w2").attempt) == 2


class Later(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + LATER


def test_completing_twice_gives_the_same_answer_and_changes_nothing(trials):
    lease.claim(trials, "w1")
    answers = [
        lease.complete(
            trials,
            Completion(
                1, "Complete", log="ok", elapsed=1.5, version="1", run_record=RunRecord("a")
            ),
        )
        for _ in range(2)
    ]
    assert [changed for _, changed in answers] == [True, False]
    rows = [item.task_row(task, full=True) for task, _ in answers]
    assert rows[0] == rows[1]
    assert rows[0]["log"] == "ok"
    assert rows[0]["run_record"] == {"task": "a"}
    assert rows[0]["time_elapsed_secs"] == 1.5


@pytest.mark.parametrize("status", ["Waiting", "Held", "Abandoned", "Nonsense", ""])
def test_a_run_cannot_end_in_what_is_no_result(trials, status):
    lease.claim(trials, "w1")
    with pytest.raises(item.TaskInvalid, match="status: "):
        lease.complete(trials, Completion(1, status))


def test_a_task_given_back_waits_and_is_announced(flow, trials):
    flow.messages(f"work-{LAB}")
    lease.claim(trials, "w1")
    assert [lease.release(trials, 1)[1] for _ in range(2)] == [True, False]
    flow.deliver("dispatch", {"kind": "task.changed", "task": trials})
    assert flow.messages(f"work-{LAB}") == [waits(trials)]
    assert int(lease.claim(trials, "w2").attempt) == 2


def test_logs_grow_and_long_ones_lose_their_middle(trials):
    lease.claim(trials, "w1")
    lease.append_log(trials, 1, "first\n")
    lease.append_log(trials, 1, "second\n")
    assert read.get_task(trials).log == "first\nsecond\n"
    lease.append_log(trials, 1, "é" * 100_000 + "the end")
    log = read.get_task(trials).log
    assert log.startswith("first\nsecond\n")
    assert log.endswith("the end")
    assert "bytes left out" in log
    assert len(log.encode()) < item.LOG_BYTES + 100
