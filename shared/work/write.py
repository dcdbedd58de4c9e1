"""Stored tasks created and changed by the server: planned, promoted, repeated, deleted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from shared.records import keys, leaving, metrics
from shared.records.errors import Exists, Missing, NotFound
from shared.records.feed import first_version
from shared.records.items import Session
from shared.records.optimistic import retried
from shared.records.table import Record
from shared.records.transactions import ConditionFailed, transaction
from shared.records.writing import hold
from shared.tasks.planning import Planned, canonical
from shared.tasks.signature import identifier
from shared.tasks.states import Status, step
from shared.work.item import (
    CHANGED,
    HELD_BY_PLAN,
    RERUN,
    SYSTEM,
    Task,
    TaskInvalid,
    due_item,
    names_in,
    read_status,
    set_index,
    shortened,
    stamp,
    store,
    task_row,
)
from shared.work.patch import checked
from shared.work.read import get_task, of_session

AT_ONCE = 30
"""Tasks made by one transaction, which takes 100 items."""

RECORDED_AT_ONCE = 20
"""Tasks in one transaction; each may need a check of its session and an entry of the trail."""


def create_planned(
    session: str,
    lab: str,
    start: str | None,
    planned: Iterable[tuple[Planned, str]],
    came: Collection[str] = (),
) -> list[Task]:
    """Store the planned tasks that do not exist yet, all of them or none.

    Parameters
    ----------
    session, lab
        The session and its lab.
    start
        The session's start, on the lab's clock: lists of tasks are sorted by it.
    planned
        Tasks, each with the status to begin with (Waiting or Held).
    came
        Ids of tasks whose outputs are there: those that do not exist are not made, and no other
        task waits for them.

    Returns
    -------
    list of Task
        The new ones.
    """
    planned = list(planned)

    def once() -> list[Task]:
        existing = {task.id for task in of_session(session)}
        dropped = set(came) - existing
        new = [
            Task(
                pk=keys.session(session),
                sk=f"J#{plan.id}",
                id=plan.id,
                lab=lab,
                name=plan.name,
                executable=plan.declaration.name,
                graph=plan.graph,
                status=status,
                priority=plan.declaration.priority,
                level=plan.level,
                cpu=plan.declaration.cpu,
                gpu=plan.declaration.gpu,
                ram=plan.declaration.ram,
                io_charge=plan.declaration.io_charge,
                time_out_secs=plan.declaration.time_out_secs,
                arguments=canonical(plan.arguments),
                parents=[parent for parent in plan.parents if parent not in dropped],
                datetime=stamp(),
                hold=plan.hold,
                hold_by=HELD_BY_PLAN if plan.hold else None,
                log=f"Held: {plan.hold}" if plan.hold else None,
            )
            for plan, status in planned
            if plan.id not in existing | dropped
        ]
        if not new:
            return []
        try:
            for first in range(0, len(new), AT_ONCE):
                _create(new[first : first + AT_ONCE], start)
        except ConditionFailed:
            _check_session(session)
            raise
        return new

    return retried(once, f"The tasks of session {session} are being made by others; try again.")


def _check_session(session: str) -> None:
    """Raise `NotFound` or `Leaving` if a session does not exist or is being deleted."""
    try:
        leaving.check_there([("session", session)])
    except Missing:
        raise NotFound(f"There is no session {session}.") from None


def _create(new: list[Task], start: str | None, who: str = SYSTEM) -> None:
    for task in new:
        task.session_start = start
    _save(new, who, "create" if len(new) == 1 else "plan")


def _save(new: list[Task], who: str, action: str) -> None:
    """Store new tasks by one transaction."""
    with transaction() as writes:
        # A session that is deleted meanwhile gets no tasks.
        for pk in sorted({task.pk for task in new}):
            writes.check(Session, pk, "A", leaving.there())
        hold(writes, set().union(*map(names_in, new)))
        for task in new:
            set_index(task)
            task.edition = first_version()
            writes.save(task, condition=Record.pk.does_not_exist())
            writes.row("task", task.id, int(task.edition), task_row(task))
        if action == "create":
            writes.audit(who, action, "task", new[0].id, None, task_row(new[0]))
        else:  # a session's tasks are one entry, that of their session
            for session in sorted({task.session for task in new}):
                own = [task for task in new if task.session == session]
                names = {task.id: f"{task.name} {task.arguments}" for task in own}
                writes.audit(who, action, "session", session, None, {"tasks": names})
    metrics.put({"TasksCreated": len(new)}, lab=new[0].lab)


def described(session: str, lab: str, fields: Mapping[str, Any]) -> Task:
    """Return a task with Alyx's fields, not yet stored; its id follows from what it is to do.

    Raises
    ------
    TaskInvalid
        A field cannot be understood.
    """
    checked_fields = checked(fields)
    arguments = checked_fields.pop("arguments", "{}")
    name = checked_fields.pop("name", None) or fields.get("executable")
    if not name:
        raise TaskInvalid("name: This field is required.")
    graph = checked_fields.pop("graph", None) or ""
    key = identifier(session, graph, name, arguments)
    status = read_status(fields.get("status") or Status.WAITING.label)
    return Task(
        pk=keys.session(session),
        sk=f"J#{key}",
        id=key,
        lab=lab,
        name=name,
        graph=graph,
        status=status.label,
        arguments=arguments,
        datetime=stamp(),
        **({"executable": name} | checked_fields),
    )


def record(tasks: Sequence[Task], who: str) -> set[str]:
    """Store ended tasks of another installation, of any sessions; nothing follows from them.

    Parameters
    ----------
    tasks : sequence of Task
        Made by `described`, at most `RECORDED_AT_ONCE`.
    who : str
        User name, for the audit trail.

    Returns
    -------
    set of str
        Ids of those that were there before; they stay as they are.

    Raises
    ------
    Missing, Leaving
        A session, or another record that a task names, is missing or being deleted.
    Conflict
        Others kept changing these sessions.
    """

    def once() -> set[str]:
        places = sorted({(task.pk, task.sk) for task in tasks})
        present = {item.id for item in Task.batch_get(places, consistent_read=True)}
        new = [*{task.id: task for task in tasks if task.id not in present}.values()]
        if new:
            try:
                _save(new, who, "import")
            except ConditionFailed:
                sessions = {("session", task.session) for task in new}
                leaving.check_there(sessions.union(*map(names_in, new)))
                raise
        return present

    return retried(once, "Sessions of these tasks are being changed by others; try again.")


def create(
    session: str, lab: str, start: str | None, fields: Mapping[str, Any], who: str = SYSTEM
) -> Task:
    """Store one task made by a client, as ibllib's job creator does (``POST /tasks``).

    Parameters
    ----------
    session, lab
        The session and its lab.
    start
        The session's start, on the lab's clock.
    fields
        Alyx's fields; unknown ones are ignored.

    Raises
    ------
    NotFound, Missing, Leaving
        The session, or another record that the task names, is missing or being deleted.
    Exists
        The session has a task of this graph, name and arguments; ``key`` is its id.
    TaskInvalid
        A field cannot be understood.
    """
    task = described(session, lab, fields)
    if task.state is Status.STARTED:
        raise TaskInvalid("status: A task cannot be created Started; create it, then start it.")

    def once() -> Task:
        try:
            _create([task], start, who)
        except ConditionFailed:
            _check_session(session)
            leaving.check_there(names_in(task))
            if any(other.id == task.id for other in of_session(session)):
                text = f"The session already has the task {task.name} of graph {task.graph!r}."
                raise Exists(text, task.id) from None
            raise
        return task

    return retried(once, f"Session {session} is being changed by others; try again.")


def keep_holds(tasks: Iterable[Task], holds: Mapping[str, str | None]) -> None:
    """Hold a session's unfinished tasks as its pipeline says; let the others go.

    Parameters
    ----------
    tasks
        The session's.
    holds
        Why a task must not run, by task id; None if it may run.
    """
    for task in tasks:
        hold = holds.get(task.id)
        if task.id not in holds or task.state not in (Status.WAITING, Status.HELD):
            continue
        if hold and task.hold != hold:
            with suppress(ConditionFailed):
                held = Status.HELD.label
                store(task, status=held, hold=hold, hold_by=HELD_BY_PLAN, log=f"Held: {hold}")
        elif not hold and task.hold_by == HELD_BY_PLAN:
            with suppress(ConditionFailed):
                store(task, hold=None, hold_by=None, log=None)


def update_session_start(session: str, start: str) -> None:
    """Note that a session's start has changed: lists of tasks are sorted by it.

    Parameters
    ----------
    session : str
        Its id.
    start : str
        The new start, on the lab's clock.
    """
    for stored in of_session(session):

        def once(key: str = stored.id) -> None:
            task = get_task(key)
            was, former = int(task.edition), {"session_start": task.session_start}
            task.session_start, task.edition = start, was + 1
            with transaction() as writes:
                writes.save(task, condition=Task.edition == was)
                writes.row("task", task.id, was + 1, task_row(task))
                new = {"session_start": start}
                writes.audit(SYSTEM, "update", "task", task.id, former, new)

        with suppress(NotFound):  # deleted meanwhile
            retried(once, CHANGED.format(task=stored.id))


def note(task: Task, text: str) -> None:
    """Note in the log of a waiting task why it does not run; repeating it changes nothing."""
    if task.log != text and not int(task.attempt):  # the log of a run is kept
        with suppress(ConditionFailed):
            store(task, log=text)


def set_status(task: Task, status: Status, *, log: str | None = None) -> bool:
    """Move a task from the status it was read in to another; False if it has moved since.

    Raises
    ------
    IllegalStep
        The state machine has no such step.
    """
    if not step(task.state, status):
        return False
    try:
        store(task, status=status.label, **({} if log is None else {"log": log}))
    except ConditionFailed:
        return False
    return True


def rerun(task: Task, *, held: bool = False) -> bool:
    """Let an ended task wait again whose inputs have changed; False if it was changed since.

    Parameters
    ----------
    task
        The task.
    held
        Whether it has to wait for a parent first.

    Raises
    ------
    IllegalStep
        The task has not ended.
    """
    status = Status.HELD if held else Status.WAITING
    step(task.state, status)
    why = "Its inputs have changed since it ran.\n"
    log = shortened((task.log or "") + RERUN + why)
    try:
        store(task, status=status.label, owner=None, expiries=0, log=log)
    except ConditionFailed:
        return False
    metrics.put({"TasksRerun": 1}, lab=task.lab, task=task.id)
    return True


def followed_up(task: Task) -> None:
    """Note that an ended task's session was brought forward; repeating it changes nothing."""
    due_item(task).delete()


def delete(task: str, who: str = SYSTEM, check: Callable[[Task], None] | None = None) -> None:
    """Delete a task, unless ``check`` raises for its current state; its datasets stay.

    Raises
    ------
    NotFound
        There is no such task.
    """

    def once() -> None:
        current = get_task(task)
        if check:
            check(current)
        with transaction() as writes:
            writes.record(
                "task",
                task,
                task_row(current),
                None,
                who,
                item=current,
                version=int(current.edition) + 1,
                condition=Task.edition == int(current.edition),
            )

    retried(once, CHANGED.format(task=task))
