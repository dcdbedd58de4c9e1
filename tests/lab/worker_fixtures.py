"""A worker in this process, sessions with tasks that wait for it, and tasks that do as told."""

from __future__ import annotations

import pytest

from lab.worker.run import Worker
from shared.sessions import store as sessions
from shared.work import read
from tests.flow import DATE, LAB, SUBJECT

RAW = {
    "raw_behavior_data/_iblrig_taskData.raw.jsonable": b"{}\n",
    "raw_behavior_data/_iblrig_taskSettings.raw.json": b"{}",
}


@pytest.fixture
def trials(system):
    """A session with one waiting task."""
    system.flow.upload(RAW)
    (task,) = read.of_session(sessions.find(SUBJECT, DATE, 1).id)
    return task


@pytest.fixture
def another(system, trials):
    """A task of another session that waits beside it."""
    files = {path: content + b"\n" for path, content in RAW.items()}
    body = {"session": {"lab": LAB, "subject": SUBJECT, "date": DATE, "number": 2}}
    answer = system.flow.open(files, **body)
    system.flow.send(answer, files)
    system.flow.deliver("ingest", {"kind": "finalise", "upload": answer["id"]})
    system.flow.pump()
    (task,) = read.of_session(sessions.find(SUBJECT, DATE, 2).id)
    return task


@pytest.fixture
def worker(system, tmp_path):
    reports = []
    agent = Worker(
        system.client("worker"), lease=5, folder=tmp_path, poll=2, on_result=reports.append
    )
    agent.reports = reports
    return agent


@pytest.fixture
def instead(tmp_path, monkeypatch):
    """Have a task's process do something else, without touching the worker."""

    def do(code):
        place = tmp_path / "site"
        place.mkdir()
        (place / "sitecustomize.py").write_text(
            f"import os, time\nfrom pathlib import Path\nimport lab.tasks.behaviour as behaviour\n"
            f"def trials(session, out, arguments):\n    {code}\nbehaviour.trials = trials\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(place))

    return do


def the(trials):
    return read.get_task(trials.id)
