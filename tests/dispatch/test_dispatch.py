"""The task graph at work: created once, claimed once, promoted, requeued, announced."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from functions.dispatch.handler import handler
from functions.dispatch.sweep import sweep
from shared.datasets.edit import delete_dataset, update_dataset
from shared.datasets.read import content_hashes, datasets_of
from shared.datasets.register import register_datasets
from shared.model.messages import SessionFinished, TaskWaits, encode
from shared.model.task import Completion, RunRecord, WorkerReport
from shared.records import documents
from shared.records.errors import Exists, NotFound
from shared.records.items import Dataset
from shared.records.meter import metered
from shared.sessions import store as sessions
from shared.sessions.delete import delete_session
from shared.tasks.registry import declaration
from shared.tasks.signature import digest
from shared.tasks.states import Status
from shared.work import board, item, lease, patch, read, write
from tests.flow import LAB, SUBJECT

RAW = [
    f"raw_behavior_data/_iblrig_{name}"
    for name in (
        "taskData.raw.jsonable",
        "taskSettings.raw.json",
        "encoderEvents.raw.ssv",
        "encoderPositions.raw.ssv",
    )
]
LATER = timedelta(minutes=10)


def waits(task):
    """Return the message that a task waits."""
    return {"kind": "task.waits", "task": task}


def register(eid, *paths, version=0):
    register_datasets(
        eid,
        [Dataset.of(eid, path, file_size=1, sha256="0" * 64, created_by="rig") for path in paths],
        manifest=f"{version}{paths}",
    )


@pytest.fixture(autouse=True)
def server_of_the_lab(flow):
    """Register the repository that ibllib's tasks name."""
    name = IBLLIB["data_repository"]
    documents.create("data-repository", name, {"name": name}, who="installation")


@pytest.fixture
def session(flow):
    session = sessions.create(subject=SUBJECT, start_time="2024-07-01T10:00:00", who="rig")
    register(session.id, *RAW)
    return session


@pytest.fixture
def eid(session):
    return session.id


def registered(flow, eid):
    result = flow.deliver("dispatch", {"kind": "session.registered", "session": eid})
    assert result == {"batchItemFailures": []}


def status_of(eid):
    return {task.name: task.status for task in read.of_session(eid)}


def the(eid, name):
    return next(task for task in read.of_session(eid) if task.name == name)


def run(flow, eid, name, status="Complete"):
    """Claim and end a task as a worker does."""
    claimed = lease.claim(the(eid, name).id, "w1")
    done, _ = lease.complete(claimed.id, Completion(int(claimed.attempt), status, log="done"))
    flow.deliver("dispatch", {"kind": "task.changed", "task": done.id})
    return done


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


# -- claims ------------------------------------------------------------------------------------


@pytest.fixture
def trials(flow, eid):
    registered(flow, eid)
    return the(eid, "task.trials").id


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


# -- inputs that change ------------------------------------------------------------------------


def worker_runs(flow, eid, name, status="Complete"):
    """Claim a task as the API lets a worker do, with the inputs of this moment; end it."""
    task = the(eid, name)
    declared = declaration(task.executable, task.arguments)
    read = digest(declared.inputs, content_hashes(datasets_of(eid)))
    claimed = lease.claim(task.id, "w1", inputs=read)
    lease.complete(claimed.id, Completion(int(claimed.attempt), status, log="done"))
    flow.deliver("dispatch", {"kind": "task.changed", "task": claimed.id})


def corrected(flow, eid, path, sha256="1" * 64):
    """Register other content under the name of an input, as a new revision."""
    folder, name = path.split("/")
    new = Dataset.of(
        eid, f"{folder}/#2024-07-02#/{name}", file_size=1, sha256=sha256, created_by="rig"
    )
    register_datasets(eid, [new], manifest=f"corrected {path} {sha256}")
    registered(flow, eid)


@pytest.fixture
def processed(flow, eid):
    """A session whose tasks have both ended, the wheel's with an error."""
    registered(flow, eid)
    worker_runs(flow, eid, "task.trials")
    worker_runs(flow, eid, "task.wheel", "Errored")
    for queue in ("analysis", f"work-{LAB}"):
        flow.messages(queue)
    return eid


def test_a_task_whose_inputs_changed_waits_again(flow, processed):
    corrected(flow, processed, RAW[2])  # of the encoder: read by both
    assert status_of(processed) == {"task.trials": "Waiting", "task.wheel": "Held"}
    task = the(processed, "task.trials")
    for each in read.of_session(processed):
        assert "RERUN" in each.log
        assert each.log.endswith("Its inputs have changed since it ran.\n")
    assert flow.messages(f"work-{LAB}") == [waits(task.id)]
    assert flow.messages("analysis") == []
    # Then its child follows, when it is done
    worker_runs(flow, processed, "task.trials")
    assert status_of(processed) == {"task.trials": "Complete", "task.wheel": "Waiting"}
    assert flow.messages(f"work-{LAB}") == [waits(the(processed, "task.wheel").id)]
    worker_runs(flow, processed, "task.wheel")
    assert status_of(processed) == {"task.trials": "Complete", "task.wheel": "Complete"}
    assert [int(task.attempt) for task in read.of_session(processed)] == [2, 2]
    assert flow.messages("analysis") == [{"kind": "session.finished", "session": processed}]


def test_a_child_whose_parent_fails_on_its_second_run_is_held(flow, eid):
    # Given a session whose tasks are done, and inputs of both that have changed since
    registered(flow, eid)
    worker_runs(flow, eid, "task.trials")
    worker_runs(flow, eid, "task.wheel")
    corrected(flow, eid, RAW[2])
    # When the parent fails on them
    worker_runs(flow, eid, "task.trials", "Errored")
    # Then the child does not say Complete of what it has never read; its log is kept
    assert status_of(eid) == {"task.trials": "Errored", "task.wheel": "Held"}
    assert "RERUN" in the(eid, "task.wheel").log
    before = [task.attribute_values for task in read.of_session(eid)]
    registered(flow, eid)
    assert [task.attribute_values for task in read.of_session(eid)] == before
    # And when somebody lets the parent run again, the child follows
    patch.patch_task(the(eid, "task.trials").id, {"status": "Waiting"}, "ana")
    worker_runs(flow, eid, "task.trials")
    assert status_of(eid) == {"task.trials": "Complete", "task.wheel": "Waiting"}


def test_a_child_that_read_the_same_keeps_its_result_when_its_parent_fails(flow, eid):
    # Given a parent that alone reads what has changed
    registered(flow, eid)
    worker_runs(flow, eid, "task.trials")
    worker_runs(flow, eid, "task.wheel")
    patch.patch_task(the(eid, "task.trials").id, {"status": "Waiting"}, "ana")
    assert status_of(eid) == {"task.trials": "Waiting", "task.wheel": "Complete"}
    # When it fails, then what the child made of its inputs is as true as before
    worker_runs(flow, eid, "task.trials", "Errored")
    registered(flow, eid)
    assert status_of(eid) == {"task.trials": "Errored", "task.wheel": "Complete"}


def test_late_and_repeated_events_run_nothing_twice(flow, processed):
    corrected(flow, processed, RAW[2])
    registered(flow, processed)
    worker_runs(flow, processed, "task.trials")
    worker_runs(flow, processed, "task.wheel")
    before = [task.attribute_values for task in read.of_session(processed)]
    flow.messages(f"work-{LAB}")
    for _ in range(2):
        registered(flow, processed)
        flow.deliver("dispatch", {"kind": "task.changed", "task": before[0]["id"]})
    assert [task.attribute_values for task in read.of_session(processed)] == before
    assert flow.messages(f"work-{LAB}") == []


def test_inputs_that_change_while_the_task_runs_make_it_run_again(flow, eid):
    registered(flow, eid)
    trials = the(eid, "task.trials").id
    lease.claim(trials, "w1", inputs="what it was given")
    corrected(flow, eid, RAW[0])
    assert status_of(eid)["task.trials"] == "Started"
    lease.complete(trials, Completion(1, "Complete"))
    flow.deliver("dispatch", {"kind": "task.changed", "task": trials})
    assert status_of(eid)["task.trials"] == "Waiting"


def test_what_no_task_reads_and_the_same_content_again_start_nothing(flow, processed):
    before = [task.attribute_values for task in read.of_session(processed)]
    register(processed, "raw_widefield_data/imaging.frames.mov", version=2)
    corrected(flow, processed, RAW[0], sha256="0" * 64)
    assert [task.attribute_values for task in read.of_session(processed)] == before


def test_an_older_revision_made_the_default_again_counts_as_a_change(flow, processed):
    corrected(flow, processed, RAW[2])
    worker_runs(flow, processed, "task.trials")
    worker_runs(flow, processed, "task.wheel")
    flow.messages("dispatch")
    update_dataset(processed, RAW[2], lambda item: setattr(item, "default", True), who="ana")
    assert flow.messages("dispatch") == [{"kind": "session.registered", "session": processed}]
    registered(flow, processed)
    assert status_of(processed)["task.trials"] == "Waiting"


def test_an_input_that_is_gone_leaves_the_results_that_there_are(flow, processed):
    delete_dataset(processed, RAW[0], who="ana")
    registered(flow, processed)
    assert status_of(processed) == {"task.trials": "Complete", "task.wheel": "Errored"}


def test_abandoned_tasks_and_those_of_others_are_left_alone(flow, eid):
    registered(flow, eid)
    worker_runs(flow, eid, "task.trials")
    patch.patch_task(the(eid, "task.wheel").id, {"status": "Abandoned"}, "ana")
    task = write.create(eid, LAB, START, IBLLIB)
    for status in ("Started", "Complete"):
        patch.patch_task(task.id, {"status": status}, "server")
    corrected(flow, eid, RAW[2])
    worker_runs(flow, eid, "task.trials")
    assert status_of(eid)["task.wheel"] == "Abandoned"
    assert read.get_task(task.id).status == "Complete"


def test_two_at_once_let_a_task_wait_once(flow, processed):
    corrected_at_once = Dataset.of(
        processed, "raw_behavior_data/#2024-07-02#/_iblrig_taskData.raw.jsonable",
        file_size=1, sha256="1" * 64, created_by="rig",
    )  # fmt: skip
    register_datasets(processed, [corrected_at_once], manifest="at once")
    threads = [threading.Thread(target=registered, args=(flow, processed)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert status_of(processed)["task.trials"] == "Waiting"
    assert the(processed, "task.trials").log.count("RERUN") == 1
    assert len(flow.messages(f"work-{LAB}")) == 1


# -- the sweep ---------------------------------------------------------------------------------


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


# -- ibllib ------------------------------------------------------------------------------------

START = "2024-07-01T10:00:00"
IBLLIB = {
    "executable": "ibllib.pipes.behavior_tasks.ChoiceWorldTrialsBpod",
    "priority": 90,
    "io_charge": 5,
    "gpu": 0,
    "cpu": 1,
    "ram": 4,
    "module": "ibllib",
    "parents": [],
    "level": 0,
    "time_out_sec": 7200,
    "session": "ignored here",
    "status": "Waiting",
    "log": None,
    "name": "Trials_choiceWorld_00",
    "graph": "Pipeline",
    "arguments": {"collection": "raw_task_data_00"},
    "data_repository": "fimbria_iblserver",
}


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


# -- what is counted ---------------------------------------------------------------------------


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
