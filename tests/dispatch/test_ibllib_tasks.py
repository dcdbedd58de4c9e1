"""Tasks that ibllib's own code registers go through the same states."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from functions.dispatch.handler import handler
from functions.dispatch.sweep import sweep
from shared.model.messages import TaskWaits, encode
from shared.model.task import Completion
from shared.records.errors import Exists, NotFound
from shared.tasks.states import Status
from shared.work import item, lease, patch, read, write
from tests.dispatch.graph import (
    IBLLIB,
    LATER,
    START,
    waits,
)
from tests.flow import LAB

pytestmark = pytest.mark.usefixtures("server_of_the_lab")


def test_ibllib_s_tasks_go_through_the_same_states(flow, eid):
    task = write.create(eid, LAB, START, IBLLIB)
    assert item.task_row(task)["arguments"] == {"collection": "raw_task_data_00"}
    # It is not Fornix's to run, so no worker is told
    flow.deliver("dispatch", {"kind": "task.changed", "task": task.id})
    assert flow.messages(f"work-{LAB}") == []
    started = patch.patch_task(task.id, {"status": "Started"}, "server")
    assert (int(started.attempt), started.owner) == (1, "server")
    done = patch.patch_task(
        task.id,
        {"status": "Complete", "time_elapsed_secs": 12.5, "log": "ok", "version": "3.3"},
        "s",
    )
    assert (done.status, done.time_elapsed_secs, done.log, done.version) == (
        "Complete",
        12.5,
        "ok",
        "3.3",
    )
    assert done.lease_until is None
    with pytest.raises(item.TaskInvalid, match="cannot go from Complete to Empty"):
        patch.patch_task(task.id, {"status": "Empty"}, "s")


def test_a_task_is_unique_in_its_session(flow, eid):
    first = write.create(eid, LAB, START, IBLLIB)
    with pytest.raises(Exists) as caught:
        write.create(eid, LAB, START, IBLLIB)
    assert caught.value.key == first.id
    other = write.create(
        eid, LAB, START, IBLLIB | {"arguments": '{"collection": "raw_task_data_01"}'}
    )
    assert other.id != first.id


def test_held_children_of_ibllib_s_tasks_are_promoted_on_the_server(flow, eid):
    parent = write.create(eid, LAB, START, IBLLIB)
    child = write.create(
        eid,
        LAB,
        START,
        IBLLIB | {"name": "TrainingStatus", "parents": [parent.id], "status": "Held"},
    )
    patch.patch_task(parent.id, {"status": "Started"}, "s")
    patch.patch_task(parent.id, {"status": "Incomplete"}, "s")
    flow.deliver("dispatch", {"kind": "task.changed", "task": parent.id})
    assert read.get_task(child.id).status == "Waiting"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"priority": "high"}, "priority: A valid integer"),
        ({"time_elapsed_secs": "long"}, "time_elapsed_secs: A valid number"),
        ({"arguments": "[1]"}, "arguments: Expected a JSON object"),
        ({"arguments": "{"}, "arguments: Expected a JSON object"),
        ({"parents": "x"}, "parents: Expected a list"),
        ({"status": "Done"}, "is not a task status"),
    ],
)
def test_bad_fields_are_named(flow, eid, trials, fields, text):
    before = read.get_task(trials).attribute_values
    with pytest.raises(item.TaskInvalid, match=text):
        patch.patch_task(trials, fields, "ana")
    assert read.get_task(trials).attribute_values == before


def test_unknown_tasks_are_not_found(flow):
    with pytest.raises(NotFound, match="There is no task"):
        read.get_task("4ecb5d24-f5cc-402c-be28-9d0f7cb14b3a")


def test_what_is_unfinished_is_in_the_index_and_nothing_else(flow, eid, trials):
    soon = datetime.now(UTC) + timedelta(hours=2)

    def index():
        return {
            status.label: len(list(read.unfinished(LAB, status, before=soon))) for status in Status
        }

    assert {name for name, n in index().items() if n} == {"Waiting", "Held"}
    lease.claim(trials, "w1")
    assert {name for name, n in index().items() if n} == {"Started", "Held"}
    lease.complete(trials, Completion(1, "Complete"))
    assert {name for name, n in index().items() if n} == {"Held"}


def test_at_the_start_of_the_system_nothing_is_waited_for(flow, trials):
    flow.messages(f"work-{LAB}")
    assert handler({"kind": "sweep", "start": True}) == {
        "expired": 0,
        "due": 0,
        "sent": 1,
        "held": 1,
    }
    assert flow.messages(f"work-{LAB}") == [waits(trials)]


def test_messages_of_done_tasks_do_not_hide_that_one_was_lost_when_the_system_starts(flow, trials):
    flow.messages(f"work-{LAB}")
    queue, done = (
        flow.queues[f"work-{LAB}"],
        encode(TaskWaits("4ecb5d24-f5cc-402c-be28-9d0f7cb14b3a")),
    )
    flow.sqs.send_message(QueueUrl=queue, MessageBody=done)
    assert sweep(now=datetime.now(UTC) + LATER)["sent"] == 0
    assert sweep(at_start=True)["sent"] == 1
    assert waits(trials) in flow.messages(f"work-{LAB}")
