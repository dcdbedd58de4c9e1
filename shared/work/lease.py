"""A task at work: claimed, kept by heartbeats, completed, given back, taken from a lost worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shared.model.task import (
    LEASE_SECONDS,
    LONGEST_LEASE,
    SHORTEST_LEASE,
    Capabilities,
    Completion,
    Trouble,
)
from shared.records import metrics
from shared.records.optimistic import retried
from shared.records.transactions import ConditionFailed, conditional
from shared.tasks.states import RESULTS, Status
from shared.work.item import (
    CHANGED,
    HELD_BY_RUNS,
    SYSTEM,
    AttemptOver,
    ComputerUnfit,
    Task,
    TaskInvalid,
    TaskUnavailable,
    read_status,
    shortened,
    stamp,
    store,
)
from shared.work.read import get_task

MOST_EXPIRIES = 3
"""A task whose worker was lost so many times ends Errored."""

DEFAULT_RAM = 4
"""GB that tasks ask for which say nothing: no computer is refused for it."""

TWICE = 2
"""A task that failed so often, one run after the other, needs somebody: an alarm tells."""

MOST_RETURNS = 5
"""A task that so many runs gave back, because the computer lacked something, is held."""


def claim(
    task: str,
    worker: str,
    lease: int = LEASE_SECONDS,
    *,
    inputs: str | None = None,
    unfit: str | None = None,
    who: str | None = None,
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
    unfit
        Why the worker's computer cannot run it.
    who
        User name of the worker's account.

    Raises
    ------
    NotFound
        There is no such task.
    TaskUnavailable
        It is not to be had: another has it, it is held or done, or the worker is unfit.
    """

    def step() -> Task:
        found = get_task(task)
        now = datetime.now(UTC)
        running = found.state is Status.STARTED
        live = running and (found.lease_until or "") > stamp(now)
        if live and found.owner == worker:
            return found
        if live or not (running or found.state is Status.WAITING):
            by = f" by {found.owner} until {found.lease_until}" if live else ""
            raise TaskUnavailable(f"task {task} is {found.status}{by}")
        if unfit:
            raise ComputerUnfit(f"task {found.name} {unfit}")
        taken = store(
            found,
            Task.lease_until == found.lease_until if running else None,
            who=who or worker,
            status=Status.STARTED.label,
            attempt=int(found.attempt) + 1,
            owner=worker,
            inputs=inputs,
            lease_until=stamp(now + timedelta(seconds=_lease(lease))),
        )
        metrics.put({"TasksClaimed": 1}, lab=taken.lab, task=task)
        return taken

    return retried(step, f"task {task} is wanted by too many at once")


def unfitness(task: Task, offered: Capabilities, size: int) -> str | None:
    """Say why a computer cannot run a task, None if it can.

    Parameters
    ----------
    task
        What it asks for: cores, graphics cards, GB of memory.
    offered
        What the computer has.
    size
        Bytes of the task's inputs, which must find room twice: as they are, and as outputs.
    """
    lacks = []
    if offered.tasks and task.executable not in offered.tasks:
        lacks.append(f"is not installed there ({task.executable})")
    for name, unit, needed, there in (
        ("cpu", "cores", int(task.cpu), offered.cpu),
        ("gpu", "graphics cards", int(task.gpu), offered.gpu),
        ("ram", "GB of memory", int(task.ram), offered.ram),
        ("disk", "bytes of disk", 2 * size, offered.disk),
    ):
        if needed > there and not (name == "ram" and needed <= DEFAULT_RAM):
            lacks.append(f"needs {needed} {unit}, and there are {there:g}")
    return "; ".join(lacks) or None


def _lease(seconds: int) -> int:
    return max(SHORTEST_LEASE, min(LONGEST_LEASE, seconds))


def check_attempt(task: Task, attempt: int) -> Task:
    """Return the task if this attempt still has it.

    Raises
    ------
    AttemptOver
        It is no longer running, or another attempt has it.
    """
    if task.state is not Status.STARTED or int(task.attempt) != attempt:
        raise AttemptOver(
            f"attempt {attempt} of task {task.id} is over: "
            f"it is {task.status}, attempt {int(task.attempt)}"
        )
    return task


def heartbeat(task: str, attempt: int, lease: int = LEASE_SECONDS) -> str:
    """Prolong a lease; return its new end (UTC). Costs one write unit.

    Raises
    ------
    NotFound, AttemptOver
        There is no such task, or it is no longer this attempt's.
    """
    found = get_task(task)
    until = stamp(datetime.now(UTC) + timedelta(seconds=_lease(lease)))

    def step() -> str:
        try:
            with conditional():
                found.update(
                    actions=[Task.lease_until.set(until)],
                    condition=(Task.status == Status.STARTED.label) & (Task.attempt == attempt),
                )
        except ConditionFailed:
            check_attempt(get_task(task), attempt)
            raise
        return until

    return retried(step, CHANGED.format(task=task))


def append_log(task: str, attempt: int, text: str) -> None:
    """Add to the log of a running task.

    Raises
    ------
    NotFound, AttemptOver
        There is no such task, or it is no longer this attempt's.
    """

    def step() -> None:
        found = check_attempt(get_task(task), attempt)
        with conditional():
            found.update(
                actions=[
                    Task.log.set(shortened((found.log or "") + text)),
                    Task.edition.set(int(found.edition) + 1),
                ],
                condition=(Task.edition == int(found.edition)) & (Task.attempt == attempt),
            )

    retried(step, CHANGED.format(task=task))


def complete(task: str, ending: Completion, *, who: str | None = None) -> tuple[Task, bool]:
    """End a run; the same again gets the same answer and changes nothing.

    Returns
    -------
    task
        As it is now.
    changed
        Whether this call ended the run.

    Raises
    ------
    NotFound, AttemptOver, TaskInvalid
        There is no such task; it is no longer this attempt's; a run cannot end so.
    """
    result = read_status(ending.status)
    if result not in RESULTS:
        ends = ", ".join(sorted(one.label for one in RESULTS))
        raise TaskInvalid(f"status: A run ends in one of {ends}, not {result.label}.")

    def step() -> tuple[Task, bool]:
        found = get_task(task)
        if found.state is result and int(found.attempt) == ending.attempt:
            return found, False
        check_attempt(found, ending.attempt)
        text = ending.log if ending.log is not None else found.log
        record = ending.run_record
        failures = int(found.failures) + 1 if result is Status.ERRORED else 0
        done = store(
            found,
            who=who or found.owner or SYSTEM,
            status=result.label,
            log=shortened(text) if text else None,
            time_elapsed_secs=ending.elapsed,
            version=ending.version or found.version,
            run_record=msgspec.json.encode(record).decode() if record else None,
            upload=ending.upload,
            lease_until=None,
            expiries=0,
            returns=0,
            failures=failures,
        )
        counts = {f"Tasks{result.label}": 1}
        if failures == TWICE:
            counts["TasksFailedTwice"] = 1
        metrics.put(counts, lab=done.lab, task=task)
        return done, True

    return retried(step, CHANGED.format(task=task))


def release(
    task: str,
    attempt: int,
    *,
    reason: str | None = None,
    trouble: Trouble | None = None,
    who: str | None = None,
) -> tuple[Task, bool]:
    """Give a running task back; it waits again. Releasing twice is no error.

    It is not counted against the task that a computer had no space, no memory or a broken
    environment. Should that happen time and again, on whichever computer, the task is held with
    the reason, for somebody to look at.

    Parameters
    ----------
    task, attempt
        Which run.
    reason
        Why, for the task's log.
    trouble
        What the computer lacked.
    who
        User name of the worker's account.

    Raises
    ------
    NotFound, AttemptOver
        There is no such task, or another has it.
    """

    def step() -> tuple[Task, bool]:
        found = get_task(task)
        given_back = found.state in (Status.WAITING, Status.HELD)
        if given_back and int(found.attempt) == attempt:
            return found, False
        check_attempt(found, attempt)
        values: dict[str, Any] = {"status": Status.WAITING.label}
        returns = int(found.returns) + bool(trouble)
        if reason or trouble:
            text = f"Attempt {attempt} was given back by {found.owner}: {reason or trouble}.\n"
            values["log"] = shortened((found.log or "") + text)
        if trouble and returns >= MOST_RETURNS:
            values |= {
                "status": Status.HELD.label,
                "hold": f"{returns} runs were given back, the last because: {reason or trouble}",
                "hold_by": HELD_BY_RUNS,
            }
        by = who or found.owner or SYSTEM
        back = store(found, who=by, owner=None, lease_until=None, returns=returns, **values)
        metrics.put({"TasksReturned": int(bool(trouble))}, lab=back.lab, task=task)
        return back, True

    return retried(step, CHANGED.format(task=task))


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
            with conditional():
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
    except ConditionFailed:
        return False
    given_up = int(expiries >= MOST_EXPIRIES)
    metrics.put({"LeasesExpired": 1, "TasksErrored": given_up}, lab=task.lab, task=task.id)
    return True
