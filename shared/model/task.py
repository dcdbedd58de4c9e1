"""Messages about a task's run: a worker's claim, the inputs, the order, the result.

Client and server share these types; the worker also uses them to start a task's process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

SHORTEST_LEASE, LEASE_SECONDS, LONGEST_LEASE = 5, 300, 3600
"""Seconds that a claim holds without a heartbeat: least, default and most."""

WorkerName = Annotated[str, Meta(min_length=1, max_length=200)]
Attempt = Annotated[int, Meta(ge=0)]
Reason = Annotated[str, Meta(max_length=1000)]

Trouble = Literal["disk", "memory", "environment"]
"""Troubles of a computer, which are no fault of its task."""


class Capabilities(Struct, frozen=True, forbid_unknown_fields=True):
    """Resources of a worker's computer.

    Attributes
    ----------
    cpu, gpu
        Cores and graphics cards.
    ram
        Memory, GB.
    disk
        Free bytes where tasks run.
    tasks
        Installed executables that can run.
    """

    cpu: int
    ram: float
    disk: int
    gpu: int = 0
    tasks: tuple[str, ...] = ()


class ClaimRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A worker wants a task; a request without capabilities accepts any task."""

    worker: WorkerName
    lease: int = LEASE_SECONDS
    capabilities: Capabilities | None = None


class TaskInput(Struct, frozen=True):
    """One file that a task reads.

    Attributes
    ----------
    path
        Path relative to the session, without revision folder.
    id, revision
        Id and revision of the dataset.
    size, sha256
        Size and checksum as registered.
    url
        Presigned address.
    linked
        Whether the file stays where it is; of a recording the index is read.
    packed
        Path of the compressed copy at the address, if the file's own bytes were freed: the file
        is made again from it.
    """

    path: str
    id: str
    size: int
    url: str
    revision: str | None = None
    sha256: str | None = None
    linked: bool = False
    packed: str | None = None


class ClaimedTask(Struct, frozen=True):
    """The fields of a claimed task that its worker needs."""

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
    """Facts about a session beside its files; all are texts, like the arguments of a task.

    Attributes
    ----------
    start_time
        With its UTC offset.
    timezone
        The lab's time zone, IANA.
    projects
        Names, one a line.
    synthetic
        ``1`` if it was simulated.
    addresses
        Lasting addresses of the inputs that stay where they are: path, tab and address, one a
        line.
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
    addresses: str = ""
    sex: str = ""
    birth_date: str = ""
    species: str = ""
    strain: str = ""
    genotype: str = ""
    description: str = ""


class Heartbeat(Struct, frozen=True, forbid_unknown_fields=True):
    """A heartbeat of a run."""

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
        Reason for the task's log.
    trouble
        Trouble of the computer; it does not count against the task.
    """

    attempt: Attempt
    reason: Reason | None = None
    trouble: Trouble | None = None


class RunFile(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file that a run has read or written; ``id`` is the id of an input's dataset."""

    path: str
    size: int
    sha256: str
    id: str | None = None


class RunRecord(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Record of a run, complete enough to repeat it.

    Attributes
    ----------
    task, parameters, command
        The executable, its parameters, and the command that repeats the run by hand.
    inputs, outputs
        Files.
    version, environment
        Version of Fornix; versions of Python, the system, libraries and the task's package.
    code
        The package that has the task, and its version: ``fornix 0.1.0``.
    host
        Name of the computer.
    started, elapsed
        UTC; seconds.
    status
        Final status.
    worker, attempt, session
        The worker, the number of the attempt, and the session's id.
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
    """The order to a task's process.

    Attributes
    ----------
    task, arguments
        Executable and its arguments.
    session, out
        Folders of inputs and outputs.
    ram
        Most memory, GB.
    time_out_secs
        Longest run, seconds.
    """

    task: str
    arguments: dict[str, str]
    session: str
    out: str
    ram: int | None = None
    cpu: int = 1
    time_out_secs: int | None = None


class RunFacts(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Findings of a run for the fields of its session.

    Attributes
    ----------
    n_trials, n_correct_trials
        Numbers of trials in the extracted protocol.
    end_time
        End of its last trial; ISO, the lab's wall clock.
    extended_qc
        Quality of the protocol in Alyx's form: the outcome's name under the protocol's name, and
        the share that passes under each check's name, which begins with ``_``. A check of a video
        may be a list: its outcome, and the numbers behind it.
    """

    n_trials: int | None = None
    n_correct_trials: int | None = None
    end_time: str | None = None
    extended_qc: Mapping[str, float | str | list[float | str | None] | None] = {}


class RunResult(Struct, frozen=True, forbid_unknown_fields=True):
    """The end of a run, as its process reports it.

    Attributes
    ----------
    status
        Final status.
    outputs
        Paths of the files that it has written.
    error
        Reason if the status is not Complete.
    trouble
        Trouble of the computer; if given, the status says nothing about the task.
    record
        Record for repeating it.
    elapsed
        Seconds.
    facts
        Findings about the session.
    """

    status: str
    outputs: tuple[str, ...] = ()
    error: str | None = None
    trouble: Trouble | None = None
    record: RunRecord | None = None
    elapsed: float = 0.0
    facts: RunFacts | None = None


class Completion(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The end of a run, as its worker reports it to the server.

    Attributes
    ----------
    attempt, status
        Number of the attempt, and its final status.
    log, elapsed, version
        Its log, seconds, and the version of the code.
    run_record
        Record for repeating it.
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
    """State of a worker, as it reports it.

    Attributes
    ----------
    worker, host, version
        Its name, its computer and the version of Fornix there.
    state
        ``working``, ``resting`` (cannot work at present), ``draining`` (finishes its tasks, takes
        no more) or ``stopped``.
    reason
        Reason why it does not work.
    capabilities
        Resources of its computer.
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
