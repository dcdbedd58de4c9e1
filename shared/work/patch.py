"""Changes of stored tasks as ibllib makes them (``PATCH /tasks/{id}``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.model.messages import TaskChanged
from shared.model.task import LONGEST_LEASE
from shared.records import queues
from shared.records.optimistic import retried
from shared.records.transactions import ConditionFailed
from shared.tasks.planning import canonical
from shared.tasks.states import ACTIVE, ENDED, IllegalStep, Status, step
from shared.work.item import (
    CHANGED,
    RERUN,
    WHOLE_NUMBERS,
    Task,
    TaskInvalid,
    read_status,
    shortened,
    stamp,
    store,
)
from shared.work.read import get_task

HOLD_TEXT = 1000
"""Longest reason for a hold, in characters."""

_TEXT = ("name", "executable", "graph", "version", "data_repository", "log")

PATCHABLE = frozenset({*WHOLE_NUMBERS, *_TEXT, "time_elapsed_secs", "arguments", "parents"})
"""Fields that ``PATCH /tasks/{id}`` sets beside ``status`` (Alyx REST contract)."""


def patch_task(
    task: str, fields: Mapping[str, Any], by: str, check: Callable[[Task], None] | None = None
) -> Task:
    """Change a task as ibllib does (``PATCH /tasks/{id}``), through the same state machine.

    A task started this way has a lease as long as its time-out, for such a client sends no
    heartbeats. With ``hold``, a reason, it is held until somebody lets it wait again. ``check``
    takes the task as it is then, and may raise to prevent the change.

    Raises
    ------
    NotFound
        There is no such task.
    TaskInvalid
        A field cannot be understood, or the state machine has no such step.
    """
    changes = checked(fields)

    def once() -> Task:
        current = get_task(task)
        if check:
            check(current)
        values: dict[str, Any] = dict(changes)
        if fields.get("status") is not None:
            values |= _step_values(current, read_status(fields["status"]), by)
        elif fields.get("hold"):
            values |= _step_values(current, Status.HELD, by)
        if "log" in values and values["log"] is not None:
            values["log"] = shortened(values["log"])
        if fields.get("hold"):
            values |= {"hold": str(fields["hold"])[:HOLD_TEXT], "hold_by": by}
        if not values:
            return current
        store(current, who=by, **values)
        if "status" in values:
            queues.notify("dispatch", TaskChanged(task))
        return current

    return retried(once, CHANGED.format(task=task))


def _step_values(task: Task, status: Status, by: str) -> dict[str, Any]:
    """Return the values that a step to another status sets."""
    try:
        if not step(task.state, status):
            return {}
    except IllegalStep as error:
        raise TaskInvalid(f"status: {error}") from None
    values: dict[str, Any] = {"status": status.label, "lease_until": None}
    if status is Status.STARTED:
        seconds = int(task.time_out_secs or LONGEST_LEASE)
        values |= {
            "attempt": int(task.attempt) + 1,
            "owner": by,
            "inputs": None,  # unknown: such a client reads any file
            "lease_until": stamp(datetime.now(UTC) + timedelta(seconds=seconds)),
        }
    elif status in (Status.WAITING, Status.HELD):
        values |= {"owner": None, "hold": None, "hold_by": None, "returns": 0}
        if task.state not in ACTIVE:
            values |= {"expiries": 0, "log": (task.log or "") + RERUN if task.log else None}
    return values


def checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields to set, checked; unknown ones are left out."""
    checked_fields: dict[str, Any] = {}
    for name in PATCHABLE & set(fields):
        value = fields[name]
        if name in WHOLE_NUMBERS:
            if value is None:
                continue
            try:
                checked_fields[name] = int(value)
            except (TypeError, ValueError):
                raise TaskInvalid(f"{name}: A valid integer is required.") from None
        elif name == "time_elapsed_secs":
            try:
                checked_fields[name] = None if value is None else float(value)
            except (TypeError, ValueError):
                raise TaskInvalid(f"{name}: A valid number is required.") from None
        elif name == "arguments":
            checked_fields[name] = canonical(_arguments(value))
        elif name == "parents":
            if not isinstance(value, list):
                raise TaskInvalid("parents: Expected a list of task ids.")
            checked_fields[name] = [str(parent).rpartition("/")[2] for parent in value]
        else:
            checked_fields[name] = None if value is None else str(value)
    return checked_fields


def _arguments(value: Any) -> dict[str, Any]:
    """Read a task's arguments: an object, or one as JSON text."""
    if value in (None, ""):
        return {}
    try:
        parsed = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise TaskInvalid("arguments: Expected a JSON object.")
    return parsed


def restate(task: Task, arguments: str) -> bool:
    """Give a task other arguments, and let it wait again if it has ended.

    Parameters
    ----------
    task
        The task; it is not running.
    arguments
        Canonical JSON.

    Returns
    -------
    bool
        False if it was changed since it was read.
    """
    again: dict[str, Any] = {}
    if task.state in ENDED:
        step(task.state, Status.WAITING)
        log = shortened((task.log or "") + RERUN + "What it is to use has changed.\n")
        again = {"status": Status.WAITING.label, "owner": None, "expiries": 0, "log": log}
    try:
        store(task, arguments=arguments, **again)
    except ConditionFailed:
        return False
    return True
