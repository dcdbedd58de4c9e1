"""The task graph at work: created once, claimed once, promoted, requeued, announced."""

from __future__ import annotations

import threading

import pytest

from shared.model.messages import SessionFinished
from shared.records.meter import metered
from shared.sessions import store as sessions
from shared.work import read
from tests.dispatch.graph import (
    RAW,
    register,
    registered,
    run,
    status_of,
    the,
    waits,
)
from tests.flow import LAB, SUBJECT

pytestmark = pytest.mark.usefixtures("server_of_the_lab")


def test_a_session_gets_its_tasks_and_the_lab_a_message(flow, eid):
    registered(flow, eid)
    assert status_of(eid) == {"task.trials": "Waiting", "task.wheel": "Held"}
    assert flow.messages(f"work-{LAB}") == [waits(the(eid, "task.trials").id)]


def test_the_event_again_changes_nothing(flow, eid):
    registered(flow, eid)
    before = [task.attribute_values for task in read.of_session(eid)]
    flow.messages(f"work-{LAB}")
    with metered() as meter:
        registered(flow, eid)
    assert [task.attribute_values for task in read.of_session(eid)] == before
    assert set(meter.by_operation) == {"Query"}
    assert flow.messages(f"work-{LAB}") == []


def shown(flow, eid):
    flow.deliver("dispatch", {"kind": "session.shown", "session": eid})
    return flow.messages("analysis")


def test_a_session_made_public_has_a_page_when_its_tasks_have_ended(flow, eid):
    finished = {"kind": "session.finished", "session": eid}
    sessions.update(eid, {"public": True}, who="manager")
    assert shown(flow, eid) == []
    run(flow, eid, "task.trials")
    run(flow, eid, "task.wheel")
    assert flow.messages("analysis") == [finished]
    assert shown(flow, eid) == [finished]


def test_a_session_without_tasks_or_withdrawn_is_looked_at_at_once(flow, eid):
    bare = sessions.create(
        subject=SUBJECT, start_time="2024-07-02T10:00:00", who="rig", public=True
    )
    assert shown(flow, bare.id) == [{"kind": "session.finished", "session": bare.id}]
    registered(flow, eid)
    assert shown(flow, eid) == [{"kind": "session.finished", "session": eid}]


def test_sessions_that_end_amid_a_backlog_are_announced_at_one_moment(flow, eid, monkeypatch):
    sent = []
    monkeypatch.setattr("shared.records.queues.send", lambda *message: sent.append(message))
    registered(flow, eid)
    for number in range(10):
        another = sessions.create(
            subject=SUBJECT, start_time="2024-07-03T10:00:00", number=number + 1, who="rig"
        )
        register(another.id, *RAW)
        registered(flow, another.id)
    run(flow, eid, "task.trials")
    run(flow, eid, "task.wheel")
    url, message, delay = sent[-1]
    assert (url, message) == (flow.queues["analysis"], SessionFinished(eid))
    assert 1 <= delay <= 30


def test_what_the_reconciler_announces_again_starts_tasks_but_no_second_build(flow, eid):
    again = {"kind": "session.registered", "session": eid, "again": True}
    flow.deliver("dispatch", again)
    assert status_of(eid) == {"task.trials": "Waiting", "task.wheel": "Held"}
    run(flow, eid, "task.trials")
    run(flow, eid, "task.wheel")
    assert flow.messages("analysis") == [{"kind": "session.finished", "session": eid}]
    flow.deliver("dispatch", again)
    assert flow.messages("analysis") == []


def test_tasks_created_at_once_are_created_once(flow, eid):
    threads = [threading.Thread(target=registered, args=(flow, eid)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert status_of(eid) == {"task.trials": "Waiting", "task.wheel": "Held"}
    assert len(flow.messages(f"work-{LAB}")) == 1


def test_children_follow_their_parents_and_the_end_is_announced(flow, eid):
    registered(flow, eid)
    run(flow, eid, "task.trials")
    assert status_of(eid) == {"task.trials": "Complete", "task.wheel": "Waiting"}
    assert flow.messages("analysis") == []
    assert flow.messages(f"work-{LAB}")[-1] == waits(the(eid, "task.wheel").id)
    run(flow, eid, "task.wheel", "Errored")
    assert flow.messages("analysis") == [{"kind": "session.finished", "session": eid}]


def test_a_child_of_a_failed_parent_stays_held_and_the_session_is_done(flow, eid):
    registered(flow, eid)
    run(flow, eid, "task.trials", "Errored")
    assert status_of(eid) == {"task.trials": "Errored", "task.wheel": "Held"}
    assert flow.messages("analysis") == [{"kind": "session.finished", "session": eid}]


def test_a_task_without_its_inputs_is_held_and_says_which(flow):
    eid = sessions.create(subject=SUBJECT, start_time="2024-07-01T10:00:00", who="rig").id
    register(eid, RAW[0])
    registered(flow, eid)
    assert status_of(eid) == {"task.trials": "Held"}
    assert the(eid, "task.trials").log == (
        "Held: input raw_behavior_data/_iblrig_taskSettings.raw.json is missing"
    )
    # When the input comes later, then the task waits for a worker
    register(eid, RAW[1], version=1)
    registered(flow, eid)
    assert status_of(eid) == {"task.trials": "Waiting"}


def test_messages_about_what_is_gone_are_done_with(flow):
    gone = "4ecb5d24-f5cc-402c-be28-9d0f7cb14b3a"
    assert flow.deliver(
        "dispatch",
        {"kind": "session.registered", "session": gone},
        {"kind": "task.changed", "task": gone},
    ) == {"batchItemFailures": []}


def test_an_unknown_message_is_not_lost(flow):
    result = flow.deliver("dispatch", {"kind": "?"})
    assert result == {"batchItemFailures": [{"itemIdentifier": "0"}]}
