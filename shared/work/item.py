"""A stored task: every change of status is one conditional write.

Keys: ``SES#<eid>`` / ``J#<task id>``; gsi2 ``TASK#<lab>#<status>`` only for unfinished tasks
(Waiting and Held by the time since when, Started by the end of the lease), so that a sweep reads
nothing else. The lease of a running task may end later than its index key says: heartbeats do not
move the key. ``DUE#<lab>`` / ``<time>#<task id>`` marks an ended task whose session has still to
be brought forward.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from pynamodb.attributes import Attribute, ListAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.constants import BINARY

from shared.model.copies import OWN
from shared.records import keys, leaving, listed
from shared.records.errors import RecordError, Stale
from shared.records.leaving import Name
from shared.records.table import Record
from shared.records.transactions import ConditionFailed, transaction
from shared.records.writing import hold
from shared.tasks.states import ACTIVE, TERMINAL, Status, UnknownStatus

CHANGED = "Task {task} is being changed by others; try again."

HELD_BY_PLAN, HELD_BY_RUNS = "pipeline", "runs"
"""Holders of a task other than users: the pipeline has no such task, or runs gave it back."""

SYSTEM = "dispatch"
"""Name in the audit trail for changes that nobody asked for."""

LOG_BYTES = 65536
"""Longer logs keep half of this from their start and half from their end."""

RERUN = "\n--------------------- RERUN ---------------------\n"

WHOLE_NUMBERS = ("priority", "level", "cpu", "gpu", "ram", "io_charge", "time_out_secs")


class PackedText(Attribute[str]):
    """Text stored compressed: logs shrink to a fifth, and writes are billed by KB."""

    attr_type = BINARY

    def serialize(self, value: str) -> Any:
        """Return the compressed bytes."""
        return zlib.compress(value.encode(), 9)

    def deserialize(self, value: Any) -> str:
        """Return the text."""
        return zlib.decompress(bytes(value)).decode()


class Task(Record, discriminator="Task"):
    """One task of a session: Alyx's fields, and the worker that runs it."""

    id = UnicodeAttribute()
    lab = UnicodeAttribute()
    session_start = UnicodeAttribute(null=True)
    name = UnicodeAttribute()
    executable = UnicodeAttribute()
    graph = UnicodeAttribute()
    status = UnicodeAttribute()
    priority = NumberAttribute(default=30)
    level = NumberAttribute(default=0)
    cpu = NumberAttribute(default=1)
    gpu = NumberAttribute(default=0)
    ram = NumberAttribute(default=4)
    io_charge = NumberAttribute(default=5)
    time_out_secs = NumberAttribute(default=7200)
    time_elapsed_secs = NumberAttribute(null=True)
    arguments = UnicodeAttribute(default="{}")
    parents: ListAttribute[Any] = ListAttribute(of=UnicodeAttribute, default=list)
    data_repository = UnicodeAttribute(null=True)
    version = UnicodeAttribute(null=True)
    log = PackedText(null=True)
    run_record = PackedText(null=True)
    datetime = UnicodeAttribute()
    attempt = NumberAttribute(default=0)
    expiries = NumberAttribute(default=0)
    failures = NumberAttribute(default=0)
    lease_until = UnicodeAttribute(null=True)
    owner = UnicodeAttribute(null=True)
    upload = UnicodeAttribute(null=True)
    inputs = UnicodeAttribute(null=True)
    returns = NumberAttribute(default=0)
    hold = UnicodeAttribute(null=True)
    hold_by = UnicodeAttribute(null=True)
    edition = NumberAttribute(default=1)

    @property
    def session(self) -> str:
        """The session's id."""
        return keys.session_of(self.pk)

    @property
    def state(self) -> Status:
        """The status as one of the eight."""
        return Status.parse(self.status)


class Due(Record, discriminator="Due"):
    """An ended task; deleted when its session has been brought forward."""

    session = UnicodeAttribute()


class TaskUnavailable(Stale):
    """The task cannot be claimed: another worker has it, or it is held or done."""


class ComputerUnfit(TaskUnavailable):
    """The task waits for a computer that has what it needs."""


class AttemptOver(Stale):
    """The task is no longer this attempt's: its lease ended, or it was claimed by another."""


class TaskInvalid(RecordError):
    """A request about a task that cannot be fulfilled; the message says why."""


def stamp(moment: datetime | None = None) -> str:
    """Return a moment as stored and compared: UTC in ISO format with microseconds and ``Z``."""
    return (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def shortened(text: str) -> str:
    """Return a log of at most ``LOG_BYTES``; a longer one loses its middle."""
    data = text.encode()
    if len(data) <= LOG_BYTES:
        return text
    half = LOG_BYTES // 2
    start, end = data[:half].decode(errors="ignore"), data[-half:].decode(errors="ignore")
    return f"{start}\n… {len(data) - 2 * half} bytes left out …\n{end}"


def task_row(task: Task, *, full: bool = False) -> dict[str, Any]:
    """Return a task as clients read it; ``full`` adds its log and run record."""
    fields: dict[str, Any] = {
        "id": task.id,
        "name": task.name,
        "executable": task.executable,
        "graph": task.graph,
        "status": task.status,
        "session": task.session,
        "lab": task.lab,
        "session_start": task.session_start,
        "arguments": json.loads(task.arguments),
        "parents": list(task.parents or ()),
        "data_repository": task.data_repository,
        "version": task.version,
        "datetime": task.datetime.removesuffix("Z"),
        "owner": task.owner,
        "lease_until": task.lease_until,
        "upload": task.upload,
        "hold": task.hold,
        "logged": bool(task.log),
    }
    for name in (*WHOLE_NUMBERS, "attempt", "edition"):
        fields[name] = int(getattr(task, name))
    elapsed = task.time_elapsed_secs
    fields["time_elapsed_secs"] = None if elapsed is None else float(elapsed)
    if full:
        fields["log"] = task.log
        fields["run_record"] = json.loads(task.run_record) if task.run_record else None
    return fields


def set_index(task: Task) -> None:
    """Set the index keys: only unfinished tasks are in the index."""
    if task.state not in ACTIVE:
        task.g2pk = task.g2sk = None
        return
    since = task.lease_until if task.state is Status.STARTED else task.datetime
    task.g2pk, task.g2sk = keys.tasks_of(task.lab, task.status), f"{since}#{task.id}"


def names_in(task: Task) -> set[Name]:
    """Return the (kind, key) of the records that a task names beside its session."""
    named = task.data_repository
    return {("data-repository", named)} if named and named != OWN else set()


def store(task: Task, condition: Any = None, *, who: str = SYSTEM, **values: Any) -> Task:
    """Store a changed task, unless it was changed since it was read.

    Parameters
    ----------
    task
        As it was read.
    condition
        A further condition.
    who
        User name, or name of a worker, for the audit trail.
    **values
        New values.

    Raises
    ------
    ConditionFailed
        The task is no longer as it was read.
    Missing, Leaving
        A record that it names now is missing or being deleted.
    """
    was, before, former = int(task.edition), task.state, task_row(task)
    named = names_in(task)
    for name, value in values.items():
        setattr(task, name, value)
    task.edition, task.datetime = was + 1, stamp()
    set_index(task)
    unchanged = Task.edition == was
    new = names_in(task) - named
    try:
        with transaction() as writes:
            whole = unchanged if condition is None else unchanged & condition
            writes.save(task, condition=whole)
            hold(writes, new)
            row = task_row(task)
            writes.row("task", task.id, was + 1, row)
            writes.audit(who, "update", "task", task.id, _audited(former), _audited(row))
            if task.state in TERMINAL and before in ACTIVE:
                writes.save(due_item(task))
    except ConditionFailed:
        leaving.check_there(new)
        raise
    return task


def _audited(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row for the audit trail, without the fields that change with every write."""
    return {name: value for name, value in row.items() if name not in ("datetime", "edition")}


def due_item(task: Task) -> Due:
    """Return the item that marks a task as ended."""
    return Due(pk=f"DUE#{task.lab}", sk=f"{task.datetime}#{task.id}", session=task.session)


def read_status(value: Any) -> Status:
    """Return the status that a client names; another value is `TaskInvalid`."""
    try:
        return Status.parse(value)
    except UnknownStatus as error:
        raise TaskInvalid(f"status: {error}") from None


def _rows(items: Iterable[Task]) -> Iterator[tuple[str, dict[str, Any]]]:
    for task in items:
        row = task_row(task)
        yield "task", {**row, "key": task.id, "_version": row["edition"]}


listed.register(Task, to_rows=_rows)
