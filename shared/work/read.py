"""Stored tasks, read: one, a session's, a lab's unfinished ones and those that have just ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from shared.records import keys
from shared.records.errors import NotFound
from shared.records.items import Pointer
from shared.records.table import Record
from shared.tasks.states import Status
from shared.work.item import Due, Task, stamp


def get_task(task: str) -> Task:
    """Return a task by its id, read consistently.

    Raises
    ------
    NotFound
        There is none.
    """
    missing = NotFound(f"There is no task {task}.")
    try:
        session = Pointer.get(keys.prefix(task), "A").to
        return Task.get(keys.session(session), f"J#{task}", consistent_read=True)
    except (Pointer.DoesNotExist, Task.DoesNotExist):
        raise missing from None


def of_session(session: str) -> list[Task]:
    """Return the tasks of a session, by level."""
    items = Record.query(keys.session(session), Record.sk.startswith("J#"), consistent_read=True)
    found = [item for item in items if isinstance(item, Task)]
    return sorted(found, key=lambda task: (task.level, -task.priority, task.name))


class Unfinished(NamedTuple):
    """A task as the index has it."""

    id: str
    since: datetime


def unfinished(
    lab: str,
    status: Status,
    *,
    before: datetime,
    after: datetime | None = None,
    most: int | None = None,
) -> Iterator[Unfinished]:
    """Yield a lab's tasks in an active status, oldest first.

    Parameters
    ----------
    lab, status
        Which.
    before, after
        Only those since between these moments (of Started: whose lease, as indexed, ended then).
    most
        No more than so many.
    """
    between = Record.g2sk.between(stamp(after) if after else "0", stamp(before))
    items = Record.gsi2.query(keys.tasks_of(lab, status.label), between, limit=most)
    for item in items:
        since, _, task_id = str(item.g2sk).partition("#")
        yield Unfinished(task_id, datetime.fromisoformat(since))


def logs(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the logs of tasks, of which only those that have one are read.

    Parameters
    ----------
    rows
        Tasks as `row` has them.
    """
    wanted = [
        (keys.session(each["session"]), f"J#{each['id']}") for each in rows if each.get("logged")
    ]
    found = Task.batch_get(wanted, consistent_read=True) if wanted else ()
    return {task.id: task.log for task in found if task.log}


def due(lab: str, *, before: datetime, most: int) -> list[Due]:
    """Return the ends of a lab's tasks that nobody has followed up, the oldest first.

    Parameters
    ----------
    lab
        Which.
    before
        Only those that ended before this moment.
    most
        How many at most.
    """
    ended = Due.query(f"DUE#{lab}", Record.sk < stamp(before), limit=most)
    return [item for item in ended if isinstance(item, Due)]
