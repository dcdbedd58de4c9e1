"""Uploads: a client announces files, gets addresses, sends the bytes to S3, and says it is done.

``POST /uploads`` may be repeated at any time with the same files: it answers which are still
wanted, so a killed client can continue.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import msgspec
from chalice.app import Blueprint, Response

from functions.api import permissions
from functions.api.call import Call
from functions.api.errors import ApiError, Invalid
from shared.datasets.read import datasets_of, hashes_by_path
from shared.model import json
from shared.model.identity import SessionKey
from shared.model.limits import URLS_AT_ONCE
from shared.model.messages import Finalise
from shared.model.upload import (
    FINAL,
    FileRequest,
    StoredRequest,
    Target,
    TaskRun,
    UploadState,
)
from shared.records import env, queues
from shared.results import addresses
from shared.sessions.animals import find_in_folder
from shared.uploads import transport
from shared.uploads.progress import describe, missing_files
from shared.uploads.request import InvalidUpload, parse
from shared.uploads.state import (
    Upload,
    get_upload,
    mark_not_coming,
    open_upload,
    request_of,
    uploads_of_lab,
)
from shared.uploads.target import resolve_target
from shared.uploads.transport import sign_parts
from shared.work import lease, read

routes = Blueprint(__name__)

LISTED = 50
"""Uploads of a list by default (at most 250)."""


def _worded(view: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the errors of uploads into the API's answers."""

    @wraps(view)
    def worded(**arguments: Any) -> Any:
        try:
            return view(**arguments)
        except InvalidUpload as error:
            raise Invalid(error.errors) from None

    return worded


def _of_lab(upload_id: str) -> tuple[Call, Upload]:
    """Return the request and its upload, which must be of the caller's lab."""
    call = Call(routes.current_request)
    upload = get_upload(upload_id)
    permissions.check_lab(call.who, upload.lab)
    return call, upload


def _described(upload: Upload) -> dict[str, Any]:
    """Return the description of an upload for clients."""
    description = describe(upload, _registered(upload))
    if description.session and (site := env.site_url()):
        page = addresses.member_page(description.lab, addresses.session_page(description.session))
        description = msgspec.structs.replace(description, page=f"{site}/{page}")
    return dict(json.plain(description))


def _registered(upload: Upload) -> dict[str, str | None]:
    """Return the SHA-256 of the datasets in an unfinished upload's session, by path."""
    if upload.state in FINAL:
        return {}
    eid = upload.session
    if eid is None:
        lab, _, subject, day, number = upload.folder.split("/")
        session = find_in_folder(SessionKey(lab, subject, day, int(number)))
        eid = session.id if session else None
    return hashes_by_path(datasets_of(eid)) if eid else {}


@routes.route("/uploads", methods=["POST"])
@_worded
def create() -> Response:
    """Announce the files of a session; answer how each is to be sent, or why it is not wanted."""
    call = Call(routes.current_request)
    request = parse(call.body)
    if request.key:
        permissions.check_lab(call.who, request.key.lab)
    target = resolve_target(request)
    permissions.check_lab(call.who, target.key.lab)
    if request.task:
        _check_run(request.task, target)
    upload, created = open_upload(target, request, call.who.username)
    return Response(_described(upload), status_code=201 if created else 200)


def _check_run(run: TaskRun, target: Target) -> None:
    """Refuse outputs for a session other than the task's, and outputs of an ended run."""
    task = read.get_task(run.id)
    if target.id is None or task.session != target.id:
        raise Invalid({"task": ["That task is of another session."]})
    lease.check_attempt(task, run.attempt)


@routes.route("/uploads", methods=["GET"])
def latest() -> dict[str, Any]:
    """List the latest uploads of a lab."""
    call = Call(routes.current_request)
    lab = call.query.get("lab") or (call.who.labs[0] if call.who.labs else "")
    permissions.check_lab(call.who, lab)
    try:
        most = max(1, min(250, int(call.query.get("limit") or LISTED)))
    except ValueError:
        raise Invalid({"limit": ["A valid integer is required."]}) from None
    rows = [
        {
            "id": upload.id,
            "state": upload.state,
            "folder": upload.folder,
            "session": upload.session,
            "by": upload.by,
            "created": upload.created,
            "files": int(upload.files),
            "size": int(upload.size),
            "task": upload.task,
        }
        for upload in uploads_of_lab(lab, most)
    ]
    return {"count": len(rows), "next": None, "previous": None, "results": rows}


@routes.route("/uploads/{upload}", methods=["GET"])
def detail(upload: str) -> dict[str, Any]:
    """Tell the state of an upload and of each file, with fresh addresses for what is wanted."""
    return _described(_of_lab(upload)[1])


@routes.route("/uploads/{upload}/parts", methods=["POST"])
@_worded
def parts(upload: str) -> dict[str, Any]:
    """Sign addresses for parts of a large file; parts that are there already are marked."""
    call, stored = _of_lab(upload)
    file = _file(_open_request(stored), call.body.get("path"))
    wanted = call.body.get("parts")
    try:
        numbered = [(int(part["number"]), str(part["sha256"])) for part in wanted or ()]
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Invalid({"parts": ["Give a list of {number, sha256}."]}) from None
    if not 1 <= len(numbered) <= URLS_AT_ONCE:
        raise Invalid({"parts": [f"Ask for 1 to {URLS_AT_ONCE} parts at once."]})
    return {"path": file.path, "parts": sign_parts(stored.id, file, numbered)}


@routes.route("/uploads/{upload}/assemble", methods=["POST"])
def assemble(upload: str) -> dict[str, Any]:
    """Join the parts of a large file."""
    call, stored = _of_lab(upload)
    file = _file(_open_request(stored), call.body.get("path"))
    transport.assemble(stored.id, file)
    return {"path": file.path, "state": "stored"}


@routes.route("/uploads/{upload}/complete", methods=["POST"])
def complete(upload: str) -> Response:
    """Say that all has been sent; ``without`` names files that will not come, and why."""
    call, stored = _of_lab(upload)
    request = request_of(stored.id)
    if stored.state in FINAL or request is None:
        return Response({"id": stored.id, "state": stored.state}, status_code=202)
    without = call.body.get("without") or {}
    if not isinstance(without, dict):
        raise Invalid({"without": ["Give an object of path: reason."]})
    announced = {file.path for file in request.files}
    for path in without.keys() - announced:
        _file(request, path)
    mark_not_coming(stored, without)
    lacking = missing_files(request, stored, transport.arrived(stored.id), _registered(stored))
    if lacking:
        text = f"{len(lacking)} of {int(stored.files)} files have not arrived."
        raise ApiError(409, text, missing=lacking[:100])
    queues.notify("ingest", Finalise(stored.id))
    return Response({"id": stored.id, "state": UploadState.VALIDATING}, status_code=202)


def _open_request(upload: Upload) -> StoredRequest:
    """Return the request of an upload that still takes files."""
    request = request_of(upload.id) if upload.state == UploadState.OPEN else None
    if request is None:
        raise ApiError(409, f"The upload is {upload.state}; it takes no more files.")
    return request


def _file(request: StoredRequest, path: Any) -> FileRequest:
    """Return one file of an upload."""
    if (file := request.file(path)) is None:
        raise ApiError(404, f"The upload has no file {str(path)[:700]}.")
    return file
