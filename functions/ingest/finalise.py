"""End an upload: check, move, write the manifest, register, tell dispatch, tidy up.

Every step may be repeated, and a repeat after a crash at any point comes to the same end: places
and ids follow from content, the manifest is written once and then rules, registering the same
again changes nothing. The request is deleted last, so that the reconciler sees what is left to do.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from functions.ingest import checks
from shared.datasets.read import datasets_of, hashes_by_path
from shared.datasets.register import register_datasets
from shared.model.messages import Finalise, SessionRegistered
from shared.model.quality import QC
from shared.records import metrics, objects, queues
from shared.records.errors import NotFound
from shared.records.items import Dataset
from shared.records.objects import read_json, write_once
from shared.sessions import store as sessions
from shared.tasks.description import DESCRIPTION_FIELD, DESCRIPTION_NAME
from shared.uploads.keys import incoming_key, manifest_key, quarantine_key, request_key
from shared.uploads.lock import Busy, only_writer
from shared.uploads.progress import missing_files
from shared.uploads.request import Target
from shared.uploads.state import (
    BUSY,
    FINAL,
    OPEN_DAYS,
    Upload,
    finish_upload,
    get_upload,
    request_of,
    reset_validation,
    start_validation,
    unfinished_uploads,
)
from shared.uploads.target import find_or_create_session
from shared.uploads.transport import arrived

log = logging.getLogger(__name__)

RETRY_SECONDS = 15
"""When another upload is being added to the session, this one comes again after so long."""

SETTLE = timedelta(seconds=60)
"""The reconciler leaves alone what is younger: its own events are on the way."""

MARGIN = timedelta(seconds=60)
"""Time that the reconciler needs to end an upload, and begins no other with less."""

FOREVER = timedelta(days=OPEN_DAYS)


def finalise(
    upload_id: str,
    *,
    by_event: bool = False,
    busy: timedelta = BUSY,
    now: datetime | None = None,
) -> str:
    """Bring an upload to its end if all its files have arrived, or its time is over.

    Parameters
    ----------
    upload_id
        The upload.
    by_event
        Whether this is one of the many events of single files: then, while files are missing, the
        table is not asked whether some need not come. The client's word that all is sent is.
    busy
        Another run that began within this time is left to end it.
    now
        The present moment.

    Returns
    -------
    str
        The upload's state, ``busy`` while another run is at it, ``gone`` if it is not known.
    """
    moment = now or datetime.now(UTC)
    document = request_of(upload_id)
    if document is None:
        return "gone"
    try:
        upload = get_upload(upload_id)
    except NotFound:  # the API was stopped between storing the request and the record
        return "gone"
    if upload.state in FINAL:
        return upload.state
    late = datetime.fromisoformat(upload.created) + FOREVER <= moment
    missing = missing_files(document, upload, {})
    if missing and not by_event:
        missing = missing_files(document, upload, _registered(document))
    if missing and not late:
        return upload.state
    if not start_validation(upload, busy=busy, now=moment):
        return "busy"
    try:
        with only_writer(upload.folder, upload.id):
            return _end(upload, document, late=late)
    except Busy:
        queues.send(queues.url("ingest"), Finalise(upload_id), RETRY_SECONDS)
        reset_validation(upload)
        return "busy"


def _registered(document: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the SHA-256 of what the session of a request has by default."""
    session = _session_of(document)
    return hashes_by_path(datasets_of(session) if session else [])


def _session_of(document: Mapping[str, Any]) -> str | None:
    """Return the id of a request's session, None while there is none."""
    target = Target(**document["target"])
    if target.id is not None:
        return target.id
    found = sessions.find(target.subject, target.date, target.number)
    return found.id if found else None


def _end(upload: Upload, document: Mapping[str, Any], *, late: bool) -> str:
    """Do what :func:`finalise` says, as the only writer of the session."""
    key = manifest_key(upload.folder, upload.id)
    manifest = read_json(key) or _draw_up(upload, document, key)
    _quarantine(upload, manifest)
    register(manifest, key)
    state = outcome(manifest, late=late)
    session = manifest["session"]["id"]
    finish_upload(upload, state, session, key)
    counted = "UploadsRegistered" if state in ("registered", "partial") else "UploadsRefused"
    files = {
        "FilesRegistered": len(manifest["datasets"]),
        "FilesRefused": len(manifest["refused"]),
    }
    metrics.put({counted: 1} | files, lab=upload.lab, upload=upload.id)
    if session:
        queues.notify("dispatch", SessionRegistered(session))
    objects.delete(incoming_key(upload.id, path) for path in arrived(upload.id))
    return state


def _draw_up(upload: Upload, document: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Check the files, copy the good ones to their places, and write the manifest."""
    target = Target(**document["target"])
    session_id = _session_of(document)
    datasets = datasets_of(session_id) if session_id else []
    good, present, refused = checks.check(upload, document, datasets)
    session = None
    if good or session_id:
        session = find_or_create_session(target, upload.by)
    placed: list[dict[str, Any]] = []
    if session is not None:
        placed, clashes = checks.place(good, session, datasets, upload.created[:10])
        placed, occupied = _copy(upload, session.folder, placed)
        refused = sorted([*refused, *clashes, *occupied], key=lambda entry: entry["path"])
    document = checks.manifest(upload, document, session, placed, present, refused)
    document["description"] = _description(placed)
    return write_once(key, document)


def _description(placed: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the content of the experiment description among the files, if there is one."""
    for entry in placed:
        if entry["path"] == DESCRIPTION_NAME:
            with objects.opened(entry["key"], entry["size"]) as file:
                content = yaml.safe_load(file.read())
            plain = json.loads(json.dumps(content, default=str))  # dates become text
            return plain if isinstance(plain, dict) else None
    return None


def _copy(
    upload: Upload, folder: str, placed: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[checks.Refusal]]:
    """Copy files to their places; one that is occupied by other content is refused."""
    occupied = objects.keys(f"data/{folder}/") if placed else set()

    def one(entry: dict[str, Any]) -> checks.Refusal | None:
        there = objects.head(entry["key"]) if entry["key"] in occupied else None
        if there is None:
            source = incoming_key(upload.id, entry["path"])
            objects.copy(source, entry["key"], entry["size"])
            return None
        if there.size == entry["size"] and objects.digest(entry["key"], there) in (
            None,
            entry["sha256"],
        ):
            return None  # copied before a crash
        text = (
            f"{entry['path']}: the bytes of a dataset that was deleted are kept at this place. "
            "To fix: upload it under a new revision."
        )
        return checks.refusal(entry["path"], "place_occupied", text)

    with ThreadPoolExecutor(checks.THREADS) as pool:
        results = list(pool.map(one, placed))
    return (
        [entry for entry, bad in zip(placed, results, strict=True) if bad is None],
        [bad for bad in results if bad is not None],
    )


def _quarantine(upload: Upload, manifest: Mapping[str, Any]) -> None:
    """Keep the refused files that arrived."""
    here = arrived(upload.id)
    for entry in manifest["refused"]:
        path = entry["path"]
        if path in here:
            source = incoming_key(upload.id, path)
            objects.copy(source, quarantine_key(upload.id, path), here[path])


def register(manifest: Mapping[str, Any], key: str) -> None:
    """Make a manifest's datasets in the table; the same again is no change."""
    if not manifest["datasets"]:
        return
    if manifest["description"]:
        sessions.update(
            manifest["session"]["id"],
            lambda now: {
                "json": {**(now.get("json") or {}), DESCRIPTION_FIELD: manifest["description"]}
            },
            who=manifest["by"],
        )
    run = manifest["task"] or {}
    provenance = {"upload": manifest["upload"]}
    if run:
        provenance |= {"task": run["id"], "attempt": run["attempt"]}
    session = manifest["session"]["id"]
    register_datasets(
        session,
        [
            Dataset.of(
                session,
                entry["place"],
                id=entry["id"],
                created=manifest["finalised"],
                dataset_type=entry["dataset_type"],
                data_format=entry["data_format"],
                file_size=entry["size"],
                hash=entry["md5"],
                sha256=entry["sha256"],
                rows=entry["rows"],
                stored_key=entry["key"],
                qc=QC[entry["qc"]],
                created_by=manifest["by"],
                provenance=provenance,
                version=_version(run),
            )
            for entry in manifest["datasets"]
        ],
        manifest=key,
        who=manifest["by"],
    )


def _version(run: Mapping[str, Any]) -> str | None:
    """Return the version of the code that made the files, where a task's run says it."""
    return (run.get("run_record") or {}).get("version")


def outcome(manifest: Mapping[str, Any], *, late: bool = False) -> str:
    """Return the final state that a manifest amounts to."""
    if manifest["datasets"] or manifest["present"]:
        return "partial" if manifest["refused"] else "registered"
    nothing_came = all(entry["code"] == "not_received" for entry in manifest["refused"])
    return "expired" if late and nothing_came else "rejected"


def reconcile(
    *,
    at_start: bool = False,
    now: datetime | None = None,
    remaining: Callable[[], timedelta] = lambda: timedelta.max,
) -> dict[str, Any]:
    """Take up what lost events or crashes have left: objects without a record.

    A finished upload is announced to dispatch once more before its request is deleted, so that
    the first announcement may be lost.

    Parameters
    ----------
    at_start
        The system has just been started: nothing is on the way, and no other run is at work.
    now
        The present moment.
    remaining
        Tells how much time there is; with less than :data:`MARGIN` the rest is left to the next.

    Returns
    -------
    dict
        How many uploads were found in which state.
    """
    moment = now or datetime.now(UTC)
    settle, busy = (timedelta(0), timedelta(0)) if at_start else (SETTLE, BUSY)
    counts: dict[str, int] = {}
    for upload_id, since in unfinished_uploads():
        if remaining() < MARGIN:
            log.warning("out of time: the rest is left to the next run")
            break
        if moment - since < settle:
            continue
        try:
            state = finalise(upload_id, busy=busy, now=moment)
            if state in FINAL or (state == "gone" and moment - since > FOREVER):
                _close(upload_id, moment - settle)
        except Exception:  # one broken upload must not keep the others
            log.exception("upload %s could not be finalised", upload_id)
            state = "failed"
        counts[state] = counts.get(state, 0) + 1
    return counts


def _close(upload_id: str, settled: datetime) -> None:
    """Announce a finished upload again, and delete what is left of it in ``incoming/``.

    One that was validated only after ``settled`` is left for the next time.
    """
    try:
        upload = get_upload(upload_id)
        if (upload.since or "") > settled.isoformat():
            return
        if upload.session and upload.state in ("registered", "partial"):
            message = SessionRegistered(upload.session, again=True)
            queues.send(queues.url("dispatch"), message)
    except NotFound:
        pass
    left = [incoming_key(upload_id, path) for path in arrived(upload_id)]
    objects.delete(left)
    objects.delete([request_key(upload_id)])
