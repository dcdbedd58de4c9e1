"""Reading stored tasks: one, those of a session, a lab's unfinished ones, recently ended ones."""

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
    tasks = [item for item in items if isinstance(item, Task)]
    return sorted(tasks, key=lambda task: (task.level, -task.priority, task.name))


class Unfinished(NamedTuple):
    """A task as listed in the index."""

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
        The lab and the status.
    before, after
        Only tasks since between these moments (for Started: whose lease, as indexed, ended then).
    most
        Most tasks to return.
    """
    between = Record.g2sk.between(stamp(after) if after else "0", stamp(before))
    items = Record.gsi2.query(keys.tasks_of(lab, status.label), between, limit=most)
    for item in items:
        since, _, task_id = str(item.g2sk).partition("#")
        yield Unfinished(task_id, datetime.fromisoformat(since))


def logs(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the logs of tasks; only tasks that have one are read.

    Parameters
    ----------
    rows
        Tasks in the form of `row`.
    """
    wanted = [
        (keys.session(row["session"]), f"J#{row['id']}") for row in rows if row.get("logged")
    ]
    tasks = Task.batch_get(wanted, consistent_read=True) if wanted else ()
    return {task.id: task.log for task in tasks if task.log}


def due(lab: str, *, before: datetime, most: int) -> list[Due]:
    """Return the ended tasks of a lab that nobody has followed up, the oldest first.

    Parameters
    ----------
    lab
        The lab.
    before
        Only those that ended before this moment.
    most
        Most ends to return.
    """
    ended = Due.query(f"DUE#{lab}", Record.sk < stamp(before), limit=most)
    return [item for item in ended if isinstance(item, Due)]
