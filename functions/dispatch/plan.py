"""Bring a session's tasks forward: create what its data ask for, promote what may run, announce.

Everything here may be done twice: creation is by the task's identity, promotion is a conditional
write, and a message sent twice is claimed once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

from shared.records import queues, sessions, tasks, uploads
from shared.records.items import Dataset, Session
from shared.records.tasks import Task
from shared.tasks.behaviour import BUILT_IN
from shared.tasks.pipeline import DESCRIPTION_FIELD, BadDescription, obstacles, plan, settled
from shared.tasks.states import Status
from shared.tasks.task import missing

log = logging.getLogger(__name__)


def labs() -> list[str]:
    """Return the labs that have a work queue."""
    return [lab for lab in os.environ.get("FORNIX_LABS", "").split(",") if lab]


def announce(task: Task) -> None:
    """Tell the lab's workers of a waiting task; others' tasks (ibllib's) are none of theirs."""
    if task.executable not in BUILT_IN or task.lab not in labs():
        return
    try:
        queues.send(queues.work_url(task.lab), {"task": task.id})
    except Exception:  # the sweep sends it again
        log.warning("task %s was not announced", task.id, exc_info=True)


def paths_of(datasets: Sequence[Dataset]) -> list[str]:
    """Return the paths of the default datasets, without revision folders."""
    return [path for path, item in uploads.defaults(datasets).items() if item.available]


def session_registered(eid: str) -> None:
    """Create the tasks that a session's data ask for, then bring it forward."""
    session, datasets = sessions.session_and_datasets(eid, strong=True)
    paths = paths_of(datasets)
    try:
        planned = plan(eid, paths, description_of(session))
    except BadDescription as error:
        log.error("session %s: %s", eid, error)
        planned = plan(eid, paths)
    waiting, held = Status.WAITING.label, Status.HELD.label
    new = tasks.create_planned(
        eid,
        session.lab,
        [
            (one, held if one.parents or missing(one.declaration.inputs, paths) else waiting)
            for one in planned
        ],
    )
    for task in new:
        if task.state is Status.WAITING:
            announce(task)
    _advance(eid, paths)


def description_of(session: Session) -> dict[str, Any] | None:
    """Return the experiment description that ingest found in a session."""
    return (session.json or {}).get(DESCRIPTION_FIELD)


def task_changed(task_id: str) -> None:
    """Announce a task that waits again; bring its session forward."""
    task = tasks.get(task_id)
    if task.state is Status.WAITING:
        announce(task)
    advance(task.session)


def advance(eid: str, *, by_sweep: bool = False) -> None:
    """Promote the held tasks of a session that may run; say so when its work is done.

    The sweep comes by again and again, so it does not repeat that the work is done.
    """
    _advance(eid, paths_of(sessions.datasets(eid)), tell_end=not by_sweep)


def _advance(eid: str, paths: Sequence[str], *, tell_end: bool = True) -> None:
    known = tasks.of_session(eid)
    for task in known:
        if task.state is not Status.HELD:
            continue
        in_the_way = obstacles(task, known, paths)
        if not in_the_way:
            if tasks.set_status(task, Status.WAITING):
                announce(task)
        elif any(text.startswith("input") for text in in_the_way):
            tasks.note(task, "Held: " + "; ".join(in_the_way))
    if known and tell_end and settled(known):
        queues.tell("analysis", kind="session.finished", session=eid)
