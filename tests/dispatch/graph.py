"""A session's graph of tasks, as events, workers and ibllib move it on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.datasets.read import content_hashes, datasets_of
from shared.datasets.register import register_datasets
from shared.model.task import Completion
from shared.records import documents
from shared.records.items import Dataset
from shared.sessions import store as sessions
from shared.tasks.registry import declaration
from shared.tasks.signature import digest
from shared.work import lease, read
from tests.flow import LAB, RAW, SUBJECT

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


@pytest.fixture
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


@pytest.fixture
def trials(flow, eid):
    registered(flow, eid)
    return the(eid, "task.trials").id


@pytest.fixture
def processed(flow, eid):
    """A session whose tasks have both ended, the wheel's with an error."""
    registered(flow, eid)
    worker_runs(flow, eid, "task.trials")
    worker_runs(flow, eid, "task.wheel", "Errored")
    for queue in ("analysis", f"work-{LAB}"):
        flow.messages(queue)
    return eid
