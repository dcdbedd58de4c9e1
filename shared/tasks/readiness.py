"""Decide which of a session's tasks may run or must run again, and whether all are done."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from shared.tasks.registry import declaration, declared
from shared.tasks.signature import digest, missing
from shared.tasks.states import ACTIVE, ENDED, SATISFIED, Status


class Known(Protocol):
    """The fields of a stored task that decide whether it may run."""

    id: str
    executable: str
    status: str
    parents: list[str]
    arguments: str

    @property
    def inputs(self) -> str | None:
        """Digest of the inputs of the last run, if known."""


def obstacles(task: Known, tasks: Iterable[Known], paths: Collection[str]) -> list[str]:
    """Return what keeps a task from running; an empty list means that it may run.

    Parameters
    ----------
    task
        The task in question.
    tasks
        All tasks of its session.
    paths
        The session's visible datasets, relative to it, without revision folders.
    """
    by_id = {other.id: other for other in tasks}
    reasons = [
        f"parent {by_id[parent].executable if parent in by_id else parent} is "
        + (by_id[parent].status if parent in by_id else "gone")
        for parent in task.parents
        if parent not in by_id or Status.parse(by_id[parent].status) not in SATISFIED
    ]
    declared = declaration(task.executable, task.arguments)
    if declared:
        reasons += [f"input {expected} is missing" for expected in missing(declared.inputs, paths)]
    return reasons


def outdated(task: Known, contents: Mapping[str, str]) -> bool:
    """Tell whether a task has run on other inputs than the session has now.

    Parameters
    ----------
    task
        The task; its inputs are known only if a worker claimed it.
    contents
        Hash of the content of the session's visible datasets, by path without revision folder.
    """
    if task.inputs is None or Status.parse(task.status) not in ENDED:
        return False
    declared = declaration(task.executable, task.arguments)
    return declared is not None and digest(declared.inputs, contents) != task.inputs


def settled(tasks: Iterable[Known]) -> bool:
    """Tell whether no task of a session is waiting or running.

    Held tasks do not count: they wait for a parent that failed or for data that never came. Nor
    do tasks of releases: no other task uses their results.
    """
    return all(
        Status.parse(task.status) not in ACTIVE - {Status.HELD} or _of_release(task)
        for task in tasks
    )


def _of_release(task: Known) -> bool:
    declared_task = declared(task.executable)
    return declared_task is not None and declared_task.of_release
