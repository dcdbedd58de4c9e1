"""Tasks as they are stored: every change of status is one conditional write.

Keys: ``SES#<eid>`` / ``J#<task id>``; gsi2 ``TASK#<lab>#<status>`` only while there is work to do
(Waiting and Held by the time since when, Started by the end of the lease), so that a sweep reads
what is unfinished and nothing else. The lease of a running task may be later than its index key
says: heartbeats do not move the key. ``DUE#<lab>`` / ``<time>#<task id>`` says that a task ended
and that its session has still to be brought forward.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from pynamodb.attributes import Attribute, ListAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.constants import BINARY
from pynamodb.exceptions import UpdateError

from shared.records import metrics, queues, sessions, times
from shared.records.changes import change, first_version
from shared.records.errors import Conflict, Exists, NotFound, RecordError, Stale
from shared.records.items import Pointer
from shared.records.table import Record
from shared.records.transactions import Refused, transaction
from shared.tasks.pipeline import Planned, canonical
from shared.tasks.states import ACTIVE, RESULTS, TERMINAL, IllegalStep, Status, UnknownStatus, step
from shared.tasks.task import identifier

LEASE_SECONDS = 300
"""How long a claim holds without a heartbeat."""

SHORTEST_LEASE, LONGEST_LEASE = 5, 3600

MOST_EXPIRIES = 3
"""A task whose worker was lost so many times ends Errored."""

LOG_BYTES = 65536
"""Of a longer log the first and the last half of this are kept."""

RETRIES = 5

_WHOLE = ("priority", "level", "cpu", "gpu", "ram", "io_charge", "time_out_secs")
_TEXT = ("name", "executable", "graph", "version", "data_repository", "log")

PATCHABLE = frozenset({*_WHOLE, *_TEXT, "time_elapsed_secs", "arguments", "parents"})
"""Fields that ``PATCH /tasks/{id}`` sets beside ``status`` (Alyx REST contract)."""

RERUN = "\n--------------------- RERUN ---------------------\n"


class PackedText(Attribute[str]):
    """Text, stored compressed: logs shrink to a fifth, and a KB is what a write is billed by."""

    attr_type = BINARY

    def serialize(self, value: str) -> Any:
        """Return the compressed bytes."""
        return zlib.compress(value.encode(), 9)

    def deserialize(self, value: Any) -> str:
        """Return the text."""
        return zlib.decompress(bytes(value)).decode()


class Task(Record, discriminator="Task"):
    """One task of a session: Alyx's fields, and who is running it."""

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
    lease_until = UnicodeAttribute(null=True)
    owner = UnicodeAttribute(null=True)
    upload = UnicodeAttribute(null=True)
    inputs = UnicodeAttribute(null=True)
    edition = NumberAttribute(default=1)

    @property
    def session(self) -> str:
        """The session's id."""
        return self.pk.removeprefix("SES#")

    @property
    def state(self) -> Status:
        """The status as one of the eight."""
        return Status.parse(self.status)


class Due(Record, discriminator="Due"):
    """A task that has ended; deleted when its session has been brought forward."""

    session = UnicodeAttribute()


class Taken(Stale):
    """The task is not to be had: another has it, or it is held or done."""


class NotYours(Stale):
    """The task is no longer this attempt's: its lease ended, or it was claimed by another."""


class Invalid(RecordError):
    """A request about a task that cannot be fulfilled; the message says why."""


def stamp(moment: datetime | None = None) -> str:
    """Return a moment in UTC as it is stored and compared: ISO with microseconds and ``Z``."""
    return (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# -- reading -----------------------------------------------------------------------------------


def get(task: str) -> Task:
    """Return a task by its id, read consistently.

    Raises
    ------
    NotFound
        There is none.
    """
    missing = NotFound(f"There is no task {task}.")
    try:
        session = Pointer.get(f"EID#{task.replace('-', '')[:12]}", "A").to
        return Task.get(f"SES#{session}", f"J#{task}", consistent_read=True)
    except (Pointer.DoesNotExist, Task.DoesNotExist):
        raise missing from None


def of_session(session: str) -> list[Task]:
    """Return the tasks of a session, by level."""
    items = Record.query(f"SES#{session}", Record.sk.startswith("J#"), consistent_read=True)
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
    items = Record.gsi2.query(f"TASK#{lab}#{status.label}", between, limit=most)
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
    keys = [(f"SES#{each['session']}", f"J#{each['id']}") for each in rows if each.get("logged")]
    found = Task.batch_get(keys, consistent_read=True) if keys else ()
    return {task.id: task.log for task in found if task.log}


def row(task: Task, *, full: bool = False) -> dict[str, Any]:
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
        "logged": bool(task.log),
    }
    for name in (*_WHOLE, "attempt", "edition"):
        fields[name] = int(getattr(task, name))
    elapsed = task.time_elapsed_secs
    fields["time_elapsed_secs"] = None if elapsed is None else float(elapsed)
    if full:
        fields["log"] = task.log
        fields["run_record"] = json.loads(task.run_record) if task.run_record else None
    return fields


# -- writing -----------------------------------------------------------------------------------


def _index(task: Task) -> None:
    """Set the index keys: only work to be done is in the index."""
    if task.state not in ACTIVE:
        task.g2pk = task.g2sk = None
        return
    since = task.lease_until if task.state is Status.STARTED else task.datetime
    task.g2pk, task.g2sk = f"TASK#{task.lab}#{task.status}", f"{since}#{task.id}"


def _write(task: Task, condition: Any = None, **values: Any) -> Task:
    """Store a changed task, unless someone else has changed it since it was read.

    Raises
    ------
    Refused
        The task is no longer as it was read.
    """
    was, before = int(task.edition), task.state
    for name, value in values.items():
        setattr(task, name, value)
    task.edition, task.datetime = was + 1, stamp()
    _index(task)
    unchanged = Task.edition == was
    with transaction() as writes:
        writes.save(task, condition=unchanged & condition if condition is not None else unchanged)
        writes.save(change("task", task.id, was + 1, row(task)))
        if task.state in TERMINAL and before in ACTIVE:
            writes.save(_due(task))
    return task


def _due(task: Task) -> Due:
    """Return what says that a task has ended."""
    return Due(pk=f"DUE#{task.lab}", sk=f"{task.datetime}#{task.id}", session=task.session)


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


def followed_up(task: Task) -> None:
    """Note that the session of a task that has ended was brought forward; again is no change."""
    _due(task).delete()


def create_planned(session: str, lab: str, planned: Iterable[tuple[Planned, str]]) -> list[Task]:
    """Store the tasks of a plan that are not there yet, all of them or none.

    Parameters
    ----------
    session, lab
        Whose they are.
    planned
        Tasks, each with the status to begin with (Waiting or Held).

    Returns
    -------
    list of Task
        The new ones.
    """
    planned = list(planned)
    for _ in range(RETRIES):
        known = {task.id for task in of_session(session)}
        new = [
            Task(
                pk=f"SES#{session}",
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
                parents=list(plan.parents),
                datetime=stamp(),
            )
            for plan, status in planned
            if plan.id not in known
        ]
        if not new:
            return []
        try:
            _create(new)
        except Refused:
            continue
        return new
    raise Conflict(f"the tasks of session {session} are being created by others; try again")


def _create(new: list[Task]) -> None:
    start = times.naive(sessions.get(new[0].session).start_time)
    with transaction() as writes:
        for task in new:
            task.session_start = start
            _index(task)
            task.edition = first_version()
            writes.save(task, condition=Record.pk.does_not_exist())
            writes.save(change("task", task.id, int(task.edition), row(task)))
    metrics.put({"TasksCreated": len(new)}, lab=new[0].lab)


def create(session: str, lab: str, fields: Mapping[str, Any]) -> Task:
    """Store one task made by a client, as ibllib's job creator does (``POST /tasks``).

    Parameters
    ----------
    session, lab
        Whose it is.
    fields
        Alyx's fields; unknown ones are ignored.

    Raises
    ------
    Exists
        The session has a task of this graph, name and arguments; ``key`` is its id.
    Invalid
        A field cannot be understood.
    """
    given = _checked(fields)
    arguments = given.pop("arguments", "{}")
    name = given.pop("name", None) or fields.get("executable")
    if not name:
        raise Invalid("name: This field is required.")
    graph = given.pop("graph", None) or ""
    key = identifier(session, graph, name, arguments)
    status = _status(fields.get("status") or Status.WAITING.label)
    if status is Status.STARTED:
        raise Invalid("status: A task cannot be created Started; create it, then start it.")
    task = Task(
        pk=f"SES#{session}",
        sk=f"J#{key}",
        id=key,
        lab=lab,
        name=name,
        graph=graph,
        status=status.label,
        arguments=arguments,
        datetime=stamp(),
        **({"executable": name} | given),
    )
    try:
        _create([task])
    except Refused:
        raise Exists(f"The session already has the task {name} of graph {graph!r}.", key) from None
    return task


def move(session: str, start: str) -> None:
    """Note that a session's start has changed: lists of tasks are sorted by it.

    Parameters
    ----------
    session : str
        Its id.
    start : str
        The new start, on the lab's clock.
    """
    for task in of_session(session):
        for _ in range(RETRIES):
            was = int(task.edition)
            task.session_start, task.edition = start, was + 1
            with suppress(Refused), transaction() as writes:
                writes.save(task, condition=Task.edition == was)
                writes.save(change("task", task.id, was + 1, row(task)))
                break
            task = get(task.id)  # somebody else was faster


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
        found = get(task)
        now = datetime.now(UTC)
        running = found.state is Status.STARTED
        live = running and (found.lease_until or "") > stamp(now)
        if live and found.owner == worker:
            return found
        if live or not (running or found.state is Status.WAITING):
            by = f" by {found.owner} until {found.lease_until}" if live else ""
            raise Taken(f"task {task} is {found.status}{by}")
        try:
            taken = _write(
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
    found = get(task)
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
            check_attempt(get(task), attempt)
    raise Conflict(f"task {task} is being changed; try again")


def append_log(task: str, attempt: int, text: str) -> None:
    """Add to the log of a running task.

    Raises
    ------
    NotFound, NotYours
        There is no such task, or it is no longer this attempt's.
    """
    for _ in range(RETRIES):
        found = check_attempt(get(task), attempt)
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


def shortened(text: str) -> str:
    """Return a log of at most ``LOG_BYTES``, with its middle left out if it is longer."""
    data = text.encode()
    if len(data) <= LOG_BYTES:
        return text
    half = LOG_BYTES // 2
    start, end = data[:half].decode(errors="ignore"), data[-half:].decode(errors="ignore")
    return f"{start}\n… {len(data) - 2 * half} bytes left out …\n{end}"


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
    result = _status(status)
    if result not in RESULTS:
        ends = ", ".join(sorted(one.label for one in RESULTS))
        raise Invalid(f"status: A run ends in one of {ends}, not {result.label}.")
    for _ in range(RETRIES):
        found = get(task)
        if found.state is result and int(found.attempt) == attempt:
            return found, False
        check_attempt(found, attempt)
        text = log if log is not None else found.log
        try:
            done = _write(
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
        found = get(task)
        if found.state is Status.WAITING and int(found.attempt) == attempt:
            return found, False
        check_attempt(found, attempt)
        try:
            waiting = Status.WAITING.label
            return _write(found, status=waiting, owner=None, lease_until=None), True
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
        _write(
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


def note(task: Task, text: str) -> None:
    """Say in the log of a task that does not run why that is so; the same again is no change."""
    if task.log != text and not int(task.attempt):  # the log of a run is kept
        with suppress(Refused):
            _write(task, log=text)


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
        _write(task, status=status.label, **({} if log is None else {"log": log}))
    except Refused:
        return False
    return True


def rerun(task: Task, *, held: bool = False) -> bool:
    """Let a task wait again whose inputs have changed since it ran; False if it has moved since.

    Parameters
    ----------
    task
        Which.
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
        _write(task, status=status.label, owner=None, expiries=0, log=log)
    except Refused:
        return False
    metrics.put({"TasksRerun": 1}, lab=task.lab, task=task.id)
    return True


def patch(task: str, fields: Mapping[str, Any], by: str) -> Task:
    """Change a task as ibllib does (``PATCH /tasks/{id}``), through the same state machine.

    Started so, a task has a lease as long as its time-out, for such a client sends no heartbeat.

    Raises
    ------
    NotFound
        There is no such task.
    Invalid
        A field cannot be understood, or the state machine has no such step.
    """
    given = _checked(fields)
    for _ in range(RETRIES):
        found = get(task)
        values: dict[str, Any] = dict(given)
        if fields.get("status") is not None:
            values |= _step_values(found, _status(fields["status"]), by)
        if "log" in values and values["log"] is not None:
            values["log"] = shortened(values["log"])
        if not values:
            return found
        try:
            _write(found, **values)
        except Refused:
            continue
        if "status" in values:
            queues.tell("dispatch", kind="task.changed", task=task)
        return found
    raise Conflict(f"task {task} is being changed; try again")


def delete(task: str) -> None:
    """Delete a task; its datasets stay.

    Raises
    ------
    NotFound
        There is no such task.
    """
    found = get(task)
    with transaction() as writes:
        writes.delete(found)
        writes.save(change("task", task, int(found.edition) + 1, None))


def _step_values(task: Task, status: Status, by: str) -> dict[str, Any]:
    """Return what a step to another status sets."""
    try:
        if not step(task.state, status):
            return {}
    except IllegalStep as error:
        raise Invalid(f"status: {error}") from None
    values: dict[str, Any] = {"status": status.label, "lease_until": None}
    if status is Status.STARTED:
        seconds = int(task.time_out_secs or LONGEST_LEASE)
        values |= {
            "attempt": int(task.attempt) + 1,
            "owner": by,
            "inputs": None,  # not known: such a client reads what it wants
            "lease_until": stamp(datetime.now(UTC) + timedelta(seconds=seconds)),
        }
    elif status in (Status.WAITING, Status.HELD):
        values |= {"owner": None}
        if task.state not in ACTIVE:
            values |= {"expiries": 0, "log": (task.log or "") + RERUN if task.log else None}
    return values


def _status(value: Any) -> Status:
    try:
        return Status.parse(value)
    except UnknownStatus as error:
        raise Invalid(f"status: {error}") from None


def _checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are set, checked; unknown ones are left out."""
    given: dict[str, Any] = {}
    for name in PATCHABLE & set(fields):
        value = fields[name]
        if name in _WHOLE:
            if value is None:
                continue
            try:
                given[name] = int(value)
            except (TypeError, ValueError):
                raise Invalid(f"{name}: A valid integer is required.") from None
        elif name == "time_elapsed_secs":
            try:
                given[name] = None if value is None else float(value)
            except (TypeError, ValueError):
                raise Invalid(f"{name}: A valid number is required.") from None
        elif name == "arguments":
            given[name] = canonical(_arguments(value))
        elif name == "parents":
            if not isinstance(value, list):
                raise Invalid("parents: Expected a list of task ids.")
            given[name] = [str(parent).rpartition("/")[2] for parent in value]
        else:
            given[name] = None if value is None else str(value)
    return given


def _arguments(value: Any) -> dict[str, Any]:
    """Read a task's arguments: an object, or one as JSON text."""
    if value in (None, ""):
        return {}
    try:
        parsed = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise Invalid("arguments: Expected a JSON object.")
    return parsed
