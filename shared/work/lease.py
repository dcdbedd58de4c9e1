"""A task at work: claimed, kept by heartbeats, completed, given back, taken from a lost worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pynamodb.exceptions import UpdateError

from shared.records import metrics
from shared.records.errors import Conflict
from shared.records.transactions import Refused
from shared.tasks.states import RESULTS, Status
from shared.work.item import (
    RETRIES,
    Invalid,
    NotYours,
    Taken,
    Task,
    read_status,
    shortened,
    stamp,
    store,
)
from shared.work.read import get_task

LEASE_SECONDS = 300
"""How long a claim holds without a heartbeat."""

SHORTEST_LEASE, LONGEST_LEASE = 5, 3600

MOST_EXPIRIES = 3
"""A task whose worker was lost so many times ends Errored."""


def claim(
    task: str, worker: str, lease: int = LEASE_SECONDS, *, inputs: str | None = None
) -> Task:
    """Take a waiting task, or one whose lease has ended; raises its attempt (fencing) number.

    A worker that asks again for what it holds gets the same answer.

    Parameters
    ----------
    task, worker
        Who takes what.
    lease
        Seconds until the first heartbeat is due.
    inputs
        Digest of what the worker is given to read; the task runs again when that changes.

    Raises
    ------
    NotFound
        There is no such task.
    Taken
        It is not to be had: another has it, or it is held or done.
    """
    for _ in range(RETRIES):
        found = get_task(task)
        now = datetime.now(UTC)
        running = found.state is Status.STARTED
        live = running and (found.lease_until or "") > stamp(now)
        if live and found.owner == worker:
            return found
        if live or not (running or found.state is Status.WAITING):
            by = f" by {found.owner} until {found.lease_until}" if live else ""
            raise Taken(f"task {task} is {found.status}{by}")
        try:
            taken = store(
                found,
                Task.lease_until == found.lease_until if running else None,
                status=Status.STARTED.label,
                attempt=int(found.attempt) + 1,
                owner=worker,
                inputs=inputs,
                lease_until=stamp(now + timedelta(seconds=_lease(lease))),
            )
        except Refused:
            continue
        metrics.put({"TasksClaimed": 1}, lab=taken.lab, task=task)
        return taken
    raise Conflict(f"task {task} is wanted by too many at once")


def _lease(seconds: int) -> int:
    return max(SHORTEST_LEASE, min(LONGEST_LEASE, seconds))


def check_attempt(task: Task, attempt: int) -> Task:
    """Return the task if this attempt still has it.

    Raises
    ------
    NotYours
        It is no longer running, or another attempt has it.
    """
    if task.state is not Status.STARTED or int(task.attempt) != attempt:
        raise NotYours(
            f"attempt {attempt} of task {task.id} is over: "
            f"it is {task.status}, attempt {int(task.attempt)}"
        )
    return task


def heartbeat(task: str, attempt: int, lease: int = LEASE_SECONDS) -> str:
    """Prolong a lease; return its new end (UTC). Costs one write unit.

    Raises
    ------
    NotFound, NotYours
        There is no such task, or it is no longer this attempt's.
    """
    found = get_task(task)
    until = stamp(datetime.now(UTC) + timedelta(seconds=_lease(lease)))
    for _ in range(RETRIES):
        try:
            found.update(
                actions=[Task.lease_until.set(until)],
                condition=(Task.status == Status.STARTED.label) & (Task.attempt == attempt),
            )
            return until
        except UpdateError as error:
            if error.cause_response_code == "TransactionConflictException":
                continue
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            check_attempt(get_task(task), attempt)
    raise Conflict(f"task {task} is being changed; try again")


def append_log(task: str, attempt: int, text: str) -> None:
    """Add to the log of a running task.

    Raises
    ------
    NotFound, NotYours
        There is no such task, or it is no longer this attempt's.
    """
    for _ in range(RETRIES):
        found = check_attempt(get_task(task), attempt)
        try:
            found.update(
                actions=[
                    Task.log.set(shortened((found.log or "") + text)),
                    Task.edition.set(int(found.edition) + 1),
                ],
                condition=(Task.edition == int(found.edition)) & (Task.attempt == attempt),
            )
            return
        except UpdateError as error:
            if error.cause_response_code not in (
                "ConditionalCheckFailedException",
                "TransactionConflictException",
            ):
                raise
    raise Conflict(f"task {task} is being changed; try again")


def complete(
    task: str,
    attempt: int,
    status: str,
    *,
    log: str | None = None,
    elapsed: float | None = None,
    version: str | None = None,
    run_record: Mapping[str, Any] | None = None,
    upload: str | None = None,
) -> tuple[Task, bool]:
    """End a run; the same again gets the same answer and changes nothing.

    Returns
    -------
    task
        As it is now.
    changed
        Whether this call ended the run.

    Raises
    ------
    NotFound, NotYours, Invalid
        There is no such task; it is no longer this attempt's; a run cannot end so.
    """
    result = read_status(status)
    if result not in RESULTS:
        ends = ", ".join(sorted(one.label for one in RESULTS))
        raise Invalid(f"status: A run ends in one of {ends}, not {result.label}.")
    for _ in range(RETRIES):
        found = get_task(task)
        if found.state is result and int(found.attempt) == attempt:
            return found, False
        check_attempt(found, attempt)
        text = log if log is not None else found.log
        try:
            done = store(
                found,
                status=result.label,
                log=shortened(text) if text else None,
                time_elapsed_secs=elapsed,
                version=version or found.version,
                run_record=json.dumps(run_record) if run_record else None,
                upload=upload,
                lease_until=None,
                expiries=0,
            )
        except Refused:
            continue
        metrics.put({f"Tasks{result.label}": 1}, lab=done.lab, task=task)
        return done, True
    raise Conflict(f"task {task} is being changed; try again")


def release(task: str, attempt: int) -> tuple[Task, bool]:
    """Give a running task back; it waits again. Releasing twice is no error.

    Raises
    ------
    NotFound, NotYours
        There is no such task, or another has it.
    """
    for _ in range(RETRIES):
        found = get_task(task)
        if found.state is Status.WAITING and int(found.attempt) == attempt:
            return found, False
        check_attempt(found, attempt)
        try:
            waiting = Status.WAITING.label
            return store(found, status=waiting, owner=None, lease_until=None), True
        except Refused:
            continue
    raise Conflict(f"task {task} is being changed; try again")


def expire(task: Task, *, now: datetime | None = None) -> bool:
    """End a lease that was not prolonged: back to Waiting, or Errored after too many times.

    A lease that was prolonged since it was indexed is indexed anew.

    Returns
    -------
    bool
        Whether the lease had ended.
    """
    moment = stamp(now)
    if task.state is not Status.STARTED:
        return False
    until = task.lease_until or ""
    try:
        if until > moment:
            Task(pk=task.pk, sk=task.sk).update(
                actions=[Task.g2sk.set(f"{until}#{task.id}")],
                condition=(Task.status == Status.STARTED.label) & (Task.lease_until == until),
            )
            return False
        expiries = int(task.expiries) + 1
        lost = (
            f"\nThe worker {task.owner} was lost: attempt {int(task.attempt)} sent no sign of "
            f"life until {until}."
        )
        if expiries >= MOST_EXPIRIES:
            lost += f" That was the {expiries}th time, so the task is given up."
        store(
            task,
            Task.lease_until == until,
            status=(Status.ERRORED if expiries >= MOST_EXPIRIES else Status.WAITING).label,
            expiries=expiries,
            log=shortened((task.log or "") + lost),
            owner=None,
            lease_until=None,
        )
    except (Refused, UpdateError):
        return False
    given_up = int(expiries >= MOST_EXPIRIES)
    metrics.put({"LeasesExpired": 1, "TasksErrored": given_up}, lab=task.lab, task=task.id)
    return True
