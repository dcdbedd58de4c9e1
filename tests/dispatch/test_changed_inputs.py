"""Tasks whose inputs changed run again; what read the same keeps its result."""

from __future__ import annotations

import threading

import pytest

from shared.datasets.edit import delete_dataset, update_dataset
from shared.datasets.register import register_datasets
from shared.model.task import Completion
from shared.records.items import Dataset
from shared.work import lease, patch, read, write
from tests.dispatch.graph import (
    IBLLIB,
    RAW,
    START,
    corrected,
    register,
    registered,
    status_of,
    the,
    waits,
    worker_runs,
)
from tests.flow import LAB

pytestmark = pytest.mark.usefixtures("server_of_the_lab")


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
