"""Tasks at work: claim, heartbeat, log, complete, release; credentials of a lab's work queue.

A claim has an attempt number. Requests with an old number are refused (409), so that a worker that
was considered dead cannot interfere with its successor.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from chalice.app import Blueprint, Response

from functions.api import permissions
from functions.api.call import Call
from functions.api.errors import ApiError, Invalid
from shared.datasets.freed import freed
from shared.datasets.read import content_hashes, default_datasets
from shared.datasets.readable import readable
from shared.model.identity import nickname_of
from shared.model.json import Faulty, plain
from shared.model.json import read as read_object
from shared.model.messages import TaskChanged
from shared.model.task import (
    Claim,
    ClaimedSession,
    ClaimedTask,
    ClaimRequest,
    Completion,
    Heartbeat,
    LogText,
    Release,
    TaskInput,
    WorkerReport,
)
from shared.model.upload import FINAL
from shared.records import aws, env, queues
from shared.records.items import Dataset, Session
from shared.sessions.contents import session_and_datasets
from shared.tasks.registry import declaration
from shared.tasks.signature import TaskDeclaration, digest, is_linked, selected
from shared.tasks.states import Status
from shared.uploads.state import get_upload
from shared.uploads.transport import URL_SECONDS
from shared.work import board, item, lease, read, write
from shared.work.facts import facts_of
from shared.work.item import Task

routes = Blueprint(__name__)

T = TypeVar("T")

CREDENTIALS_SECONDS = 3600
"""Lifetime of a worker's credentials for its queue."""


UNFIT_SECONDS = 30
"""Seconds until a task that a worker's computer cannot run is announced again."""

RECORD_BYTES = 2**20
"""Longest run record; stored compressed, it must fit an item (400 KB) with the log."""


def _worded(view: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the errors of tasks into the API's answers."""

    @wraps(view)
    def worded(**arguments: Any) -> Any:
        try:
            return view(**arguments)
        except item.TaskInvalid as error:
            name, _, text = str(error).partition(": ")
            raise Invalid({name: [text]}) from None

    return worded


def _of_lab(task_id: str) -> tuple[Call, Task]:
    """Return the request and its task, which must be of the caller's lab."""
    call = Call(routes.current_request)
    task = read.get_task(task_id)
    permissions.check_lab(call.who, task.lab)
    return call, task


def _read(call: Call, kind: type[T]) -> T:
    """Return the typed body of a request."""
    try:
        return read_object(call.body, kind)
    except Faulty as error:
        raise Invalid(error.fields) from None


@routes.route("/tasks/{id}/claim", methods=["POST"])
def claim(id: str) -> dict[str, Any]:
    """Take a waiting task; answer with its inputs' addresses. Asking again renews them."""
    call, task = _of_lab(id)
    wanted = _read(call, ClaimRequest)
    session, datasets = session_and_datasets(task.session, strong=True)
    declared = declaration(task.executable, task.arguments)
    datasets = list(readable(declared, datasets))
    inputs = _inputs(task, session, datasets)
    unfit = None
    if wanted.capabilities:
        size = sum(dataset.size for dataset in inputs if not dataset.linked)
        unfit = lease.unfitness(task, wanted.capabilities, size)
    try:
        claimed = lease.claim(
            id,
            wanted.worker,
            wanted.lease,
            inputs=digest(declared.inputs, content_hashes(datasets)) if declared else None,
            unfit=unfit,
            who=call.who.username,
        )
    except item.ComputerUnfit:
        write.note(task, f"Waits for a fitting computer: it {unfit} ({wanted.worker}).")
        queues.notify("dispatch", TaskChanged(id), UNFIT_SECONDS)
        raise
    return plain(
        Claim(
            task=ClaimedTask(
                id=claimed.id,
                name=claimed.name,
                executable=claimed.executable,
                status=claimed.status,
                arguments=json.loads(claimed.arguments)
                | _facts(call, declared, session, inputs, datasets),
                time_out_secs=int(claimed.time_out_secs),
                cpu=int(claimed.cpu),
                gpu=int(claimed.gpu),
                ram=int(claimed.ram),
            ),
            attempt=int(claimed.attempt),
            lease_until=claimed.lease_until or "",
            session=ClaimedSession(
                id=session.id,
                lab=session.lab,
                subject=nickname_of(session.subject),
                date=session.date,
                number=int(session.number),
                folder=session.folder,
            ),
            inputs=tuple(inputs),
        )
    )


def _facts(
    call: Call,
    declared: TaskDeclaration | None,
    session: Session,
    inputs: list[TaskInput],
    datasets: list[Dataset],
) -> dict[str, str]:
    """Return facts of the session as further arguments of a release's task."""
    if declared is None or not declared.of_release:
        return {}
    stored = {dataset.uuid: dataset.stored_key or "" for dataset in datasets}
    addresses = "\n".join(
        f"{one.path}\t{call.url('/' + quote(stored[one.id]))}" for one in inputs if one.linked
    )
    return plain(msgspec.structs.replace(facts_of(session), addresses=addresses))


def _inputs(task: Task, session: Session, datasets: list[Dataset]) -> list[TaskInput]:
    """Return the input datasets of a task, each with a presigned address.

    Of a freed file it is the address of the compressed copy; files that stay where they are
    (`linked`) must be there.
    """
    declared = declaration(task.executable, task.arguments)
    if declared is None:
        return []
    defaults = default_datasets(datasets)
    sources = {path: _source(dataset, defaults) for path, dataset in defaults.items()}
    inputs = []
    for path in selected(declared.inputs, [path for path, source in sources.items() if source]):
        dataset, source = defaults[path], sources[path]
        linked = is_linked(declared.inputs, path)
        packed = source is not dataset
        if source is None or (linked and packed):
            continue
        url = aws.client("s3").generate_presigned_url(
            "get_object",
            Params={"Bucket": env.data_bucket(), "Key": source.stored_key},
            ExpiresIn=URL_SECONDS,
        )
        inputs.append(
            TaskInput(
                path=path,
                revision=dataset.revision,
                id=dataset.uuid,
                size=int(dataset.file_size or 0),
                sha256=dataset.sha256,
                linked=linked,
                url=url,
                packed=source.path if packed else None,
            )
        )
    return inputs


def _source(dataset: Dataset, defaults: Mapping[str, Dataset]) -> Dataset | None:
    """Return the dataset that has the bytes of a dataset: itself, or its copy if it was freed."""
    note = freed(dataset)
    found = defaults.get(note.copy) if note else dataset
    return found if found and found.in_own_store and found.stored_key else None


@routes.route("/tasks/{id}/heartbeat", methods=["POST"])
def heartbeat(id: str) -> dict[str, Any]:
    """Prolong the lease of a running task."""
    call, _ = _of_lab(id)
    beat = _read(call, Heartbeat)
    until = lease.heartbeat(id, beat.attempt, beat.lease)
    return {"attempt": beat.attempt, "lease_until": until}


@routes.route("/tasks/{id}/log", methods=["POST"])
def log(id: str) -> dict[str, Any]:
    """Add text to the log of a running task."""
    call, _ = _of_lab(id)
    added = _read(call, LogText)
    lease.append_log(id, added.attempt, added.text)
    return {"attempt": added.attempt}


@routes.route("/tasks/{id}/complete", methods=["POST"])
@_worded
def complete(id: str) -> dict[str, Any]:
    """End a run with its status, log and run record; the same again gets the same answer."""
    call, _ = _of_lab(id)
    ending = _read(call, Completion)
    if len(msgspec.json.encode(ending.run_record)) > RECORD_BYTES:
        raise Invalid({"run_record": [f"Expected at most {RECORD_BYTES} bytes."]})
    if ending.upload:
        _check_upload(ending.upload, ending.status, id)
    done, _changed = lease.complete(id, ending, who=call.who.username)
    queues.notify("dispatch", TaskChanged(id))
    return item.task_row(done)


def _check_upload(upload_id: str, status: Any, task: str) -> None:
    """Refuse to end a run with missing outputs, or to complete one with refused outputs."""
    upload = get_upload(upload_id)
    if upload.task != task:
        raise Invalid({"upload": ["That upload is not of this task."]})
    if upload.state not in FINAL:
        raise ApiError(409, f"The upload {upload_id} is still {upload.state}.", retry=True)
    if upload.state != "registered" and status == Status.COMPLETE.label:
        raise Invalid({"status": [f"Outputs were refused (the upload is {upload.state})."]})


@routes.route("/tasks/{id}/release", methods=["POST"])
def release(id: str) -> dict[str, Any]:
    """Give a running task back, so that another worker takes it at once."""
    call, _ = _of_lab(id)
    wanted = _read(call, Release)
    back, _changed = lease.release(
        id,
        wanted.attempt,
        reason=wanted.reason,
        trouble=wanted.trouble,
        who=call.who.username,
    )
    queues.notify("dispatch", TaskChanged(id))
    return item.task_row(back)


@routes.route("/workers/report", methods=["POST"])
def report() -> dict[str, Any]:
    """Keep how a worker says it is, for the board."""
    call = Call(routes.current_request)
    board.save_report(_lab_of(call), _read(call, WorkerReport))
    return {}


def _lab_of(call: Call) -> str:
    """Return the lab of a worker's account."""
    if len(call.who.labs) != 1:
        raise ApiError(403, "A worker's account belongs to exactly one lab.")
    return call.who.labs[0]


@routes.route("/workers/credentials", methods=["POST"])
def credentials() -> Response:
    """Lend a worker credentials that can read its lab's work queue and nothing else."""
    call = Call(routes.current_request)
    who, lab = call.who, _lab_of(call)
    lent = aws.client("sts").assume_role(
        RoleArn=env.worker_role(lab),
        RoleSessionName="".join(c if c.isalnum() else "-" for c in who.username)[:64],
        DurationSeconds=CREDENTIALS_SECONDS,
    )["Credentials"]
    return Response(
        {
            "queue_url": queues.work_url(lab),
            "region": aws.client("sqs").meta.region_name,
            "access_key_id": lent["AccessKeyId"],
            "secret_access_key": lent["SecretAccessKey"],
            "session_token": lent["SessionToken"],
            "expires": lent["Expiration"].isoformat(),
        },
        headers={"Cache-Control": "no-store"},
    )
