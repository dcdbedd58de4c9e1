"""Advance a session's tasks: create those that its data need, promote the ready ones, announce.

A task whose inputs have changed since its run waits again; its outputs become new revisions. If
one of its parents has to run again too, or failed in doing so, the task is held like any task with
unfinished parents, although it was Complete for its former inputs. A task with unchanged inputs
keeps its result, whatever happens to its parents.

Every step may be repeated: a task is created by its identity, promotion is a conditional write, a
digest identifies the inputs of a run, and a repeated message is claimed once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from functions.dispatch.exports import contents_of, planned_exports, show_exports
from functions.dispatch.freeing import free_proved
from functions.dispatch.histology import follow, planned_sites
from shared.access.visibility import is_public
from shared.catalog import visible
from shared.catalog.visible import Calendar
from shared.datasets.read import content_hashes, datasets_of, default_datasets
from shared.model import moment
from shared.model.messages import SessionFinished, TaskWaits
from shared.records import documents, env, queues
from shared.records.items import Dataset, Session
from shared.sessions import store as sessions
from shared.sessions.contents import session_contents
from shared.tasks.description import BadDescription, description_in
from shared.tasks.planning import Planned, plan
from shared.tasks.readiness import obstacles, outdated, settled
from shared.tasks.registry import declared
from shared.tasks.signature import missing
from shared.tasks.states import TERMINAL, Status
from shared.work import read, write
from shared.work.item import Task

log = logging.getLogger(__name__)

BACKLOG = 10
"""Number of waiting tasks from which a lab's ended sessions are published together."""

REPLACED = "{name} does this now: the session's data ask for it since this task was planned."
"""Why a task of an earlier plan waits."""

GATHER = 30
"""Seconds for which such sessions are collected."""


def announce(task: Task) -> None:
    """Announce a waiting task to the lab's workers; they do not run foreign tasks (ibllib's)."""
    if declared(task.executable) is None or task.lab not in env.labs():
        return
    try:
        queues.send(queues.work_url(task.lab), TaskWaits(task.id))
    except Exception:  # the sweep sends it again
        log.warning("task %s was not announced", task.id, exc_info=True)


def session_registered(eid: str, *, tell_end: bool = True) -> None:
    """Create the tasks that a session's data need, then advance it.

    Without ``tell_end`` the end of a session's work is not announced: the reconciler announces
    every upload a second time, which would cause a second build.
    """
    session, datasets, inside = session_contents(eid, strong=True)
    paths = content_hashes(datasets)
    try:
        planned = plan(eid, paths, description_in(session.json), session.task_protocol)
    except BadDescription as error:
        log.error("session %s: %s", eid, error)
        planned = plan(eid, paths, None, session.task_protocol)
    planned += planned_exports(eid, datasets)
    present = default_datasets(datasets)
    came = {new_task.id for new_task in planned if _came(new_task, present)}
    of_probes = planned_sites(eid, inside.get("insertion", ()), paths)
    planned += of_probes
    new = write.create_planned(
        eid,
        session.lab,
        moment.naive(session.start_time),
        [
            (new_task, _first_status(new_task, contents_of(new_task, datasets)))
            for new_task in planned
        ],
        came=came,
    )
    tasks = read.of_session(eid)
    holds = {new_task.id: new_task.hold for new_task in planned}
    write.keep_holds(tasks, holds | _replaced(tasks, planned))
    for task in [*new, *follow(of_probes)]:
        if task.state is Status.WAITING:
            announce(task)
    _advance(eid, datasets, tell_end=tell_end)


def _came(planned: Planned, paths: Collection[str]) -> bool:
    """Return whether a session has all that a task would write, here or registered elsewhere.

    Without a task of ours that wrote it, somebody else did: ibllib on a lab's own server, say.
    Extracted again, equal values would become a second default revision.
    """
    if planned.declaration.of_release:
        return False
    outputs = [output for output in planned.declaration.outputs if output.required]
    return bool(outputs) and not missing(outputs, paths)


def _replaced(tasks: Sequence[Task], planned: Sequence[Planned]) -> dict[str, str]:
    """Return why tasks of an earlier plan wait: another one does their work now.

    So it is where the recording of a session's clock comes after its trials.
    """
    instead = {
        (each.declaration.stands_for, each.arguments.get("collection")): each.name
        for each in planned
        if each.declaration.stands_for
    }
    wanted = {each.id for each in planned}
    found = {
        task.id: instead.get((task.name, json.loads(task.arguments).get("collection")))
        for task in tasks
        if task.id not in wanted
    }
    return {key: REPLACED.format(name=name) for key, name in found.items() if name}


def _first_status(planned: Planned, paths: Collection[str]) -> str:
    """Return the status that a new task has."""
    waits = planned.hold or planned.parents or missing(planned.declaration.inputs, paths)
    return (Status.HELD if waits else Status.WAITING).label


def session_shown(eid: str) -> None:
    """Update the site after a change of who may see a session: at once, or after its tasks.

    Withdrawn sessions are removed at once.
    """
    session_registered(eid)
    session = sessions.get(eid)
    is_shown = is_public(visible.of_item(session, _calendar(session)), moment.now())
    if not is_shown or not read.of_session(eid):
        queues.notify("analysis", SessionFinished(eid))


def _calendar(session: Session) -> Calendar:
    """Return the time zone and the embargoes of a session, read from the table."""

    def said(kind: str, key: str, field: str) -> str:
        document = documents.find(kind, key)
        return (document.body.get(field) if document else "") or ""

    day = "embargo_until"
    return Calendar(
        {session.lab: said("lab", session.lab, "timezone") or "UTC"},
        {session.subject: said("subject", session.subject, day)},
        {name: said("project", name, day) for name in session.projects or ()},
    )


def task_changed(task_id: str) -> None:
    """Announce a task that waits again; advance its session."""
    task = read.get_task(task_id)
    if task.state is Status.WAITING:
        announce(task)
    advance(task.session)
    if task.state in TERMINAL:
        write.followed_up(task)


def advance(eid: str, *, by_sweep: bool = False) -> None:
    """Promote the held tasks of a session that may run; announce the end of its work.

    The sweep runs repeatedly, so it does not announce the end.
    """
    _advance(eid, datasets_of(eid), tell_end=not by_sweep)


def _advance(eid: str, datasets: Sequence[Dataset], *, tell_end: bool = True) -> None:
    tasks = read.of_session(eid)
    for task in tasks:  # parents first
        contents = contents_of(task, datasets)
        is_held = task.state is Status.HELD
        if is_held and task.hold:
            continue  # a person releases it, or a retry
        if not is_held and not outdated(task, contents):
            continue
        in_the_way = obstacles(task, tasks, contents.keys())
        without_input = any(text.startswith("input") for text in in_the_way)
        if not in_the_way:
            if write.set_status(task, Status.WAITING) if is_held else write.rerun(task):
                announce(task)
        elif is_held and without_input:
            write.note(task, "Held: " + "; ".join(in_the_way))
        elif not is_held and not without_input:
            write.rerun(task, held=True)
    show_exports(eid, datasets, tasks)
    if tasks and tell_end and settled(tasks):
        delay = _gathered(tasks[0].lab)
        queues.notify("analysis", SessionFinished(eid), delay)
    free_proved(eid, datasets, tasks)  # last: what fails here is tried again, and holds up nothing


def _gathered(lab: str) -> int:
    """Return the delay in seconds before an ended session of a lab is published.

    There is a delay only if the lab's workers have a backlog: then the sessions that end within
    the same :data:`GATHER` are announced together, and one build publishes them.
    """
    now = datetime.now(UTC)
    waiting = list(read.unfinished(lab, Status.WAITING, before=now, most=BACKLOG))
    return GATHER - int(now.timestamp()) % GATHER if len(waiting) == BACKLOG else 0
