"""The run of a task: claim, heartbeats, completion, release, loss of the worker."""

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
"""A task whose worker was lost so often ends Errored."""

DEFAULT_RAM = 4
"""GB for tasks that state no memory: no computer is refused for it."""

TWICE = 2
"""An alarm reports a task that failed so often in a row: somebody must look at it."""

MOST_RETURNS = 5
"""A task is held after so many runs gave it back because the computer lacked something."""


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

    A worker that claims again a task that it holds gets the same answer.

    Parameters
    ----------
    task, worker
        The task, and the worker that takes it.
    lease
        Seconds until the first heartbeat is due.
    inputs
        Digest of the inputs given to the worker; the task runs again when it changes.
    unfit
        Why the worker's computer cannot run it.
    who
        User name of the worker's account.

    Raises
    ------
    NotFound
        There is no such task.
    TaskUnavailable
        The task cannot be claimed: another has it, it is held or done, or the worker is unfit.
    """

    def step() -> Task:
        current = get_task(task)
        now = datetime.now(UTC)
        running = current.state is Status.STARTED
        live = running and (current.lease_until or "") > stamp(now)
        if live and current.owner == worker:
            return current
        if live or not (running or current.state is Status.WAITING):
            by = f" by {current.owner} until {current.lease_until}" if live else ""
            raise TaskUnavailable(f"task {task} is {current.status}{by}")
        if unfit:
            raise ComputerUnfit(f"task {current.name} {unfit}")
        taken = store(
            current,
            Task.lease_until == current.lease_until if running else None,
            who=who or worker,
            status=Status.STARTED.label,
            attempt=int(current.attempt) + 1,
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
        Its needs count: cores, graphics cards, GB of memory.
    offered
        Resources of the computer.
    size
        Bytes of the task's inputs, which need space twice: for themselves, and for the outputs.
    """
    lacks = []
    if offered.tasks and task.executable not in offered.tasks:
        lacks.append(f"does not offer {task.executable} (fornix worker doctor says why)")
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
    """Extend a lease; return its new end (UTC). Costs one write unit.

    Raises
    ------
    NotFound, AttemptOver
        There is no such task, or it is no longer this attempt's.
    """
    current = get_task(task)
    until = stamp(datetime.now(UTC) + timedelta(seconds=_lease(lease)))

    def step() -> str:
        try:
            with conditional():
                current.update(
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
        current = check_attempt(get_task(task), attempt)
        with conditional():
            current.update(
                actions=[
                    Task.log.set(shortened((current.log or "") + text)),
                    Task.edition.set(int(current.edition) + 1),
                ],
                condition=(Task.edition == int(current.edition)) & (Task.attempt == attempt),
            )

    retried(step, CHANGED.format(task=task))


def complete(task: str, ending: Completion, *, who: str | None = None) -> tuple[Task, bool]:
    """End a run; the same call again returns the same answer and changes nothing.

    Returns
    -------
    task
        The task after the call.
    changed
        Whether this call ended the run.

    Raises
    ------
    NotFound, AttemptOver, TaskInvalid
        There is no such task; another attempt has it; or a run cannot end in this status.
    """
    result = read_status(ending.status)
    if result not in RESULTS:
        ends = ", ".join(sorted(status.label for status in RESULTS))
        raise TaskInvalid(f"status: A run ends in one of {ends}, not {result.label}.")

    def step() -> tuple[Task, bool]:
        current = get_task(task)
        if current.state is result and int(current.attempt) == ending.attempt:
            return current, False
        check_attempt(current, ending.attempt)
        text = ending.log if ending.log is not None else current.log
        record = ending.run_record
        failures = int(current.failures) + 1 if result is Status.ERRORED else 0
        done = store(
            current,
            who=who or current.owner or SYSTEM,
            status=result.label,
            log=shortened(text) if text else None,
            time_elapsed_secs=ending.elapsed,
            version=ending.version or current.version,
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

    A lack of space or memory, or a broken environment, does not count as a failure of the
    task. If it happens too often, on whichever computer, the task is held with the reason, for
    somebody to look at.

    Parameters
    ----------
    task, attempt
        The run.
    reason
        The reason, for the task's log.
    trouble
        The resource that the computer lacked.
    who
        User name of the worker's account.

    Raises
    ------
    NotFound, AttemptOver
        There is no such task, or another has it.
    """

    def step() -> tuple[Task, bool]:
        current = get_task(task)
        given_back = current.state in (Status.WAITING, Status.HELD)
        if given_back and int(current.attempt) == attempt:
            return current, False
        check_attempt(current, attempt)
        values: dict[str, Any] = {"status": Status.WAITING.label}
        returns = int(current.returns) + bool(trouble)
        if reason or trouble:
            text = f"Attempt {attempt} was given back by {current.owner}: {reason or trouble}.\n"
            values["log"] = shortened((current.log or "") + text)
        if trouble and returns >= MOST_RETURNS:
            values |= {
                "status": Status.HELD.label,
                "hold": f"{returns} runs were given back, the last because: {reason or trouble}",
                "hold_by": HELD_BY_RUNS,
            }
        by = who or current.owner or SYSTEM
        back = store(current, who=by, owner=None, lease_until=None, returns=returns, **values)
        metrics.put({"TasksReturned": int(bool(trouble))}, lab=back.lab, task=task)
        return back, True

    return retried(step, CHANGED.format(task=task))


def expire(task: Task, *, now: datetime | None = None) -> bool:
    """End an expired lease: back to Waiting, or Errored after too many times.

    A lease that was extended since it was indexed is indexed again.

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
