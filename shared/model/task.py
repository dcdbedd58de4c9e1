"""Tasks on their way: what a worker asks for, is given, runs, and tells about the end.

The same types serve both sides of HTTP and the worker's own order to a task's process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

SHORTEST_LEASE, LEASE_SECONDS, LONGEST_LEASE = 5, 300, 3600
"""Seconds that a claim may hold without a sign of life, and does unless something else is said."""

WorkerName = Annotated[str, Meta(min_length=1, max_length=200)]
Attempt = Annotated[int, Meta(ge=0)]
Reason = Annotated[str, Meta(max_length=1000)]

Trouble = Literal["disk", "memory", "environment"]
"""What a computer may lack, by no fault of the task that runs on it."""


class Capabilities(Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker's computer offers.

    Attributes
    ----------
    cpu, gpu
        Cores and graphics cards.
    ram
        Memory, GB.
    disk
        Free bytes where tasks run.
    tasks
        Executables that are installed and fit to run.
    """

    cpu: int
    ram: float
    disk: int
    gpu: int = 0
    tasks: tuple[str, ...] = ()


class ClaimRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A worker wants a task; without capabilities it is taken to be able to run anything."""

    worker: WorkerName
    lease: int = LEASE_SECONDS
    capabilities: Capabilities | None = None


class TaskInput(Struct, frozen=True):
    """One file that a task reads.

    Attributes
    ----------
    path
        Where it belongs, relative to the session, without revision folder.
    id, revision
        Of the dataset.
    size, sha256
        What is registered.
    url
        Presigned address.
    """

    path: str
    id: str
    size: int
    url: str
    revision: str | None = None
    sha256: str | None = None


class ClaimedTask(Struct, frozen=True):
    """A task as the worker that has it needs to know it."""

    id: str
    name: str
    executable: str
    status: str
    arguments: dict[str, str]
    time_out_secs: int
    cpu: int
    gpu: int
    ram: int


class ClaimedSession(Struct, frozen=True):
    """The session of a claimed task."""

    id: str
    lab: str
    subject: str
    date: str
    number: int
    folder: str


class Claim(Struct, frozen=True):
    """A task in a worker's hands, until its lease ends."""

    task: ClaimedTask
    attempt: int
    lease_until: str
    session: ClaimedSession
    inputs: tuple[TaskInput, ...]


class SessionForTask(Struct, frozen=True, omit_defaults=True):
    """What is known of a session beside its files; all texts, as the arguments of a task are.

    Attributes
    ----------
    start_time
        With its UTC offset.
    timezone
        The lab's, IANA.
    projects
        One a line.
    synthetic
        ``1`` if it was simulated.
    birth_date
        ISO date.
    """

    session_id: str
    lab: str
    subject: str
    date: str
    number: str
    start_time: str
    timezone: str = ""
    institution: str = ""
    protocol: str = ""
    projects: str = ""
    synthetic: str = ""
    sex: str = ""
    birth_date: str = ""
    species: str = ""
    strain: str = ""
    genotype: str = ""
    description: str = ""


class Heartbeat(Struct, frozen=True, forbid_unknown_fields=True):
    """A sign of life of a run."""

    attempt: Attempt
    lease: int = LEASE_SECONDS


class LogText(Struct, frozen=True, forbid_unknown_fields=True):
    """Text for the log of a running task."""

    attempt: Attempt
    text: str


class Release(Struct, frozen=True, forbid_unknown_fields=True):
    """A worker gives its task back.

    Attributes
    ----------
    attempt
        The run that ends.
    reason
        Why, for the task's log.
    trouble
        What the computer lacks; it is not counted against the task.
    """

    attempt: Attempt
    reason: Reason | None = None
    trouble: Trouble | None = None


class RunFile(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file that a run has read or written; ``id`` is the input dataset's."""

    path: str
    size: int
    sha256: str
    id: str | None = None


class RunRecord(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All that a run can be repeated from.

    Attributes
    ----------
    task, parameters, command
        What was run, and how it is run again by hand.
    inputs, outputs
        Files.
    version, environment
        Of Fornix; of Python, the system, the libraries and the package that has the task.
    code
        The package that has the task, and its version: ``fornix 0.1.0``.
    host
        Name of the computer.
    started, elapsed
        UTC; seconds.
    status
        How it ended.
    worker, attempt, session
        Who ran it, for the how-manieth time, for which session.
    """

    task: str = ""
    parameters: dict[str, Any] = {}
    command: str = ""
    inputs: tuple[RunFile, ...] = ()
    outputs: tuple[RunFile, ...] = ()
    version: str | None = None
    environment: dict[str, Any] = {}
    code: str | None = None
    host: str | None = None
    started: str | None = None
    elapsed: float | None = None
    status: str | None = None
    worker: str | None = None
    attempt: int | None = None
    session: str | None = None


class RunOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """What a task's process is to do.

    Attributes
    ----------
    task, arguments
        Executable and its arguments.
    session, out
        Folders of inputs and outputs.
    ram
        GB that it may use.
    time_out_secs
        Seconds that it may run.
    """

    task: str
    arguments: dict[str, str]
    session: str
    out: str
    ram: int | None = None
    cpu: int = 1
    time_out_secs: int | None = None


class RunFacts(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a run found out about its session, for the session's own fields.

    Attributes
    ----------
    n_trials, n_correct_trials
        Of the protocol that was extracted.
    end_time
        End of its last trial; ISO, the lab's wall clock.
    extended_qc
        Quality of the protocol as Alyx keeps it: the name of the outcome under the protocol's
        name, the share that passes under each check's, which begin with ``_``; of a film, a check
        may be a list: its outcome, and the numbers it was made from.
    """

    n_trials: int | None = None
    n_correct_trials: int | None = None
    end_time: str | None = None
    extended_qc: Mapping[str, float | str | list[float | str | None] | None] = {}


class RunResult(Struct, frozen=True, forbid_unknown_fields=True):
    """How a run ended.

    Attributes
    ----------
    status
        One of the statuses that a run may end in.
    outputs
        Paths of what it has written.
    error
        Why it did not end Complete.
    trouble
        What the computer lacked; then the status says nothing about the task.
    record
        For repeating it.
    elapsed
        Seconds.
    facts
        What it found out about the session.
    """

    status: str
    outputs: tuple[str, ...] = ()
    error: str | None = None
    trouble: Trouble | None = None
    record: RunRecord | None = None
    elapsed: float = 0.0
    facts: RunFacts | None = None


class Completion(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The end of a run, as its worker tells the server.

    Attributes
    ----------
    attempt, status
        Which run ended how.
    log, elapsed, version
        Its log, seconds, and the version of the code.
    run_record
        For repeating it.
    upload
        Id of the upload of its outputs.
    """

    attempt: Attempt
    status: str
    log: str | None = None
    elapsed: float | None = None
    version: str | None = None
    run_record: RunRecord | None = None
    upload: str | None = None


class WorkerReport(Struct, frozen=True, forbid_unknown_fields=True):
    """How a worker says it is.

    Attributes
    ----------
    worker, host, version
        Its name, its computer and the version of Fornix there.
    state
        ``working``, ``resting`` (cannot work at present), ``draining`` (ends what it has, takes
        no more) or ``stopped``.
    reason
        Why it does not work.
    capabilities
        What its computer offers.
    running
        Ids of its tasks.
    """

    worker: WorkerName
    state: Literal["working", "resting", "draining", "stopped"]
    host: Annotated[str, Meta(max_length=200)] = ""
    version: Annotated[str, Meta(max_length=64)] = ""
    reason: Reason | None = None
    capabilities: Capabilities | None = None
    running: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
