"""What several tasks of a session read is fetched once."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from lab.worker import inputs
from lab.worker.shared_inputs import FOLDER, SharedInputs
from shared.model.task import TaskInput
from shared.sessions import store as sessions
from shared.work import read
from tests.flow import DATE, SUBJECT
from tests.lab.worker_fixtures import RAW

ENCODER = {
    "raw_behavior_data/_iblrig_encoderEvents.raw.ssv": b"1 2\n",
    "raw_behavior_data/_iblrig_encoderPositions.raw.ssv": b"1 2\n",
}


@pytest.fixture
def fetched(monkeypatch):
    """How often each input was fetched from S3."""
    count: Counter[str] = Counter()
    fetch = inputs.download

    def download(one, target):
        count[one.path] += 1
        fetch(one, target)

    monkeypatch.setattr(inputs, "download", download)
    return count


def test_tasks_of_a_session_fetch_an_input_once(system, worker, fetched):
    system.flow.upload({**RAW, **ENCODER})
    eid = sessions.find(SUBJECT, DATE, 1).id
    # Given that the first task's result is no matter: the second is made to run
    worker.run(most=1, idle=5)
    first = {task.name: task for task in read.of_session(eid)}
    assert first["task.trials"].status in ("Errored", "Complete")
    again = system.client("manager")
    again.patch(f"/tasks/{first['task.trials'].id}", {"status": "Waiting"})
    system.flow.pump()
    worker.run(most=1, idle=5)
    tasks = {task.name: task for task in read.of_session(eid)}
    assert tasks["task.trials"].attempt == 2
    assert set(fetched.values()) == {1}
    assert len(list((worker.folder / FOLDER).iterdir())) == len(fetched)


def test_what_has_changed_where_it_was_kept_is_fetched_anew(tmp_path):
    content = b"voltage"
    one = TaskInput("a.bin", "id", 7, "", sha256=hashlib.sha256(content).hexdigest())
    shared = SharedInputs(tmp_path)
    assert not shared.take(one, tmp_path / "first")
    (tmp_path / "first").write_bytes(content)
    shared.keep(one, tmp_path / "first")
    assert shared.take(one, tmp_path / "second")
    assert (tmp_path / "second").read_bytes() == content
    # When the task writes into its own copy, the next one's is whole
    (tmp_path / "second").write_bytes(b"spoilt!")
    assert shared.take(one, tmp_path / "third")
    # When what is kept is spoilt itself, it is not handed out
    (shared.folder / one.sha256).write_bytes(b"spoilt!")
    assert not shared.take(one, tmp_path / "fourth")
    assert not (tmp_path / "fourth").exists()
    assert list(shared.folder.iterdir()) == []


def test_where_there_is_no_room_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("lab.worker.shared_inputs.SHARE", 0.0)
    (tmp_path / "first").write_bytes(b"voltage")
    one = TaskInput("a.bin", "id", 7, "", sha256=hashlib.sha256(b"voltage").hexdigest())
    SharedInputs(tmp_path).keep(one, tmp_path / "first")
    assert not SharedInputs(tmp_path).take(one, tmp_path / "second")
