"""Tasks at work: claim, heartbeat, log, complete, release; credentials of a lab's work queue.

A claim has an attempt number; whoever comes with an old one is refused (409), so that a worker
that was taken for dead cannot interfere with the one that took over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import wraps
from typing import Any

from chalice.app import Blueprint, Response

from functions.api import permissions
from functions.api.call import Call
from functions.api.errors import ApiError, Invalid
from shared.datasets.read import content_hashes, default_datasets
from shared.model.messages import TaskChanged
from shared.records import aws, queues
from shared.records.items import Dataset, Session
from shared.records.objects import bucket
from shared.sessions.contents import session_and_datasets
from shared.tasks.registry import declaration
from shared.tasks.signature import digest, selected
from shared.tasks.states import Status
from shared.uploads.state import FINAL, get_upload
from shared.uploads.transport import URL_SECONDS
from shared.work import item, lease, read
from shared.work.item import Task

routes = Blueprint(__name__)

CREDENTIALS_SECONDS = 3600
"""Life of a worker's credentials for its queue."""


RECORD_BYTES = 2**20
"""Longest run record; stored compressed, it must fit an item (400 KB) with the log."""


def _worded(view: Callable[..., Any]) -> Callable[..., Any]:
    """Answer what a task refuses in the API's words."""

    @wraps(view)
    def worded(**arguments: Any) -> Any:
        try:
            return view(**arguments)
        except item.Invalid as error:
            name, _, text = str(error).partition(": ")
            raise Invalid({name: [text]}) from None

    return worded


def _of_lab(task_id: str) -> tuple[Call, Task]:
    """Return the request and the task it is about, which must be of the caller's lab."""
    call = Call(routes.current_request)
    task = read.get_task(task_id)
    permissions.check_lab(call.who, task.lab)
    return call, task


def _whole(call: Call, name: str, default: int | None = None) -> int:
    """Return a whole number of the body."""
    value = call.body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid({name: ["A valid integer is required."]})
    return value


@routes.route("/tasks/{id}/claim", methods=["POST"])
def claim(id: str) -> dict[str, Any]:
    """Take a waiting task; answer with its inputs' addresses. Asking again renews them."""
    call, task = _of_lab(id)
    worker = call.body.get("worker")
    if not isinstance(worker, str) or not 0 < len(worker) <= 200:
        raise Invalid({"worker": ["Name the worker, in 1 to 200 characters."]})
    seconds = _whole(call, "lease", lease.LEASE_SECONDS)
    session, datasets = session_and_datasets(task.session, strong=True)
    declared = declaration(task.executable, task.arguments)
    inputs = digest(declared.inputs, content_hashes(datasets)) if declared else None
    taken = lease.claim(id, worker, seconds, inputs=inputs)
    return {
        "task": item.task_row(taken),
        "attempt": int(taken.attempt),
        "lease_until": taken.lease_until,
        "session": {
            "id": session.id,
            "lab": session.lab,
            "subject": session.subject,
            "date": session.date,
            "number": int(session.number),
            "folder": session.folder,
        },
        "inputs": _inputs(taken, session, datasets),
    }


def _inputs(task: Task, session: Session, datasets: list[Dataset]) -> list[dict[str, Any]]:
    """Return the datasets that a task reads, each with a presigned address."""
    declared = declaration(task.executable, task.arguments)
    if declared is None:
        return []
    known = default_datasets(datasets)
    by_path = {path: item for path, item in known.items() if item.available}
    return [
        {
            "path": path,
            "revision": by_path[path].revision,
            "id": by_path[path].uuid,
            "size": int(by_path[path].file_size or 0),
            "sha256": by_path[path].sha256,
            "url": aws.client("s3").generate_presigned_url(
                "get_object",
                Params={"Bucket": bucket(), "Key": by_path[path].key(session.folder)},
                ExpiresIn=URL_SECONDS,
            ),
        }
        for path in selected(declared.inputs, by_path)
    ]


@routes.route("/tasks/{id}/heartbeat", methods=["POST"])
def heartbeat(id: str) -> dict[str, Any]:
    """Prolong the lease of a running task."""
    call, _ = _of_lab(id)
    attempt = _whole(call, "attempt")
    seconds = _whole(call, "lease", lease.LEASE_SECONDS)
    return {"attempt": attempt, "lease_until": lease.heartbeat(id, attempt, seconds)}


@routes.route("/tasks/{id}/log", methods=["POST"])
def log(id: str) -> dict[str, Any]:
    """Add text to the log of a running task."""
    call, _ = _of_lab(id)
    text = call.body.get("text")
    if not isinstance(text, str):
        raise Invalid({"text": ["Text is required."]})
    lease.append_log(id, _whole(call, "attempt"), text)
    return {"attempt": call.body["attempt"]}


@routes.route("/tasks/{id}/complete", methods=["POST"])
@_worded
def complete(id: str) -> dict[str, Any]:
    """End a run with its status, log and run record; the same again gets the same answer."""
    call, _ = _of_lab(id)
    attempt, body = _whole(call, "attempt"), call.body
    record = body.get("run_record")
    if record is not None and not isinstance(record, dict):
        raise Invalid({"run_record": ["Expected a JSON object."]})
    if len(json.dumps(record)) > RECORD_BYTES:
        raise Invalid({"run_record": [f"Expected at most {RECORD_BYTES} bytes."]})
    elapsed = body.get("elapsed")
    if elapsed is not None and not isinstance(elapsed, int | float):
        raise Invalid({"elapsed": ["A valid number is required."]})
    if body.get("upload"):
        _check_upload(str(body["upload"]), body.get("status"), id)
    done, _changed = lease.complete(
        id,
        attempt,
        body.get("status") or "",
        log=body.get("log"),
        elapsed=elapsed,
        version=body.get("version"),
        run_record=record,
        upload=body.get("upload"),
    )
    queues.notify("dispatch", TaskChanged(id))
    return item.task_row(done)


def _check_upload(upload_id: str, status: Any, task: str) -> None:
    """Refuse to end a run whose outputs are not in yet, or to call it Complete if refused."""
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
    back, _changed = lease.release(id, _whole(call, "attempt"))
    queues.notify("dispatch", TaskChanged(id))
    return item.task_row(back)


@routes.route("/workers/credentials", methods=["POST"])
def credentials() -> Response:
    """Lend a worker credentials that can read its lab's work queue and nothing else."""
    who = Call(routes.current_request).who
    if len(who.labs) != 1:
        raise ApiError(403, "A worker's account belongs to exactly one lab.")
    lab = who.labs[0]
    lent = aws.client("sts").assume_role(
        RoleArn=os.environ["FORNIX_WORKER_ROLE_PREFIX"] + lab,
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
