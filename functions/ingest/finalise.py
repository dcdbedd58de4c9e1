"""End an upload: gather, judge, place, copy, write the manifest, register, tell dispatch, tidy up.

Every step may be repeated, and a repeat after a crash gives the same result: places and ids follow
from content, the manifest is written once and then decides, and registration is idempotent. The
request is deleted last, so that the reconciler sees unfinished uploads.

Every upload ends: after `TRIES` failed validations it fails, with the reason.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

from functions.ingest.intake import THREADS, Waiting, decided_before, gather, look
from functions.ingest.judge import judge
from functions.ingest.place import place
from shared.model import json
from shared.model.messages import Finalise, SessionRegistered
from shared.model.object_index import ObjectIndex, index_key
from shared.model.prefixes import DATA
from shared.model.upload import (
    Manifest,
    PlacedFile,
    Refusal,
    Target,
    UploadState,
    Verdict,
)
from shared.records import metrics, objects, queues
from shared.uploads import state
from shared.uploads.keys import incoming_key, manifest_key, quarantine_key
from shared.uploads.lock import Busy, only_writer
from shared.uploads.register import register
from shared.uploads.target import find_or_create_session

log = logging.getLogger(__name__)

RETRY_SECONDS = 15
"""Delay until a retry if another upload is being added to the session."""

TRIES = 6
"""Most validations of one upload; after that many failures the upload fails."""

OPEN = timedelta(days=state.OPEN_DAYS)


def finalise(
    upload_id: str,
    *,
    by_event: bool = False,
    busy: timedelta = state.BUSY,
    now: datetime | None = None,
) -> str:
    """Complete an upload if all its files have arrived or its time is over.

    Parameters
    ----------
    upload_id
        The upload.
    by_event
        Whether this is an event of a single file. Then the table is not read for files that need
        not come while files are missing; it is read when the client says that all is sent.
    busy
        Age up to which another run is considered to be at work on the upload.
    now
        The present moment.

    Returns
    -------
    str
        The upload's state, ``busy`` during another run, ``gone`` if it is unknown.
    """
    moment = now or datetime.now(UTC)
    waiting = look(upload_id)
    if not isinstance(waiting, Waiting):
        return waiting.state if waiting else "gone"
    upload = waiting.upload
    late = datetime.fromisoformat(upload.created) + OPEN <= moment
    if not late and waiting.missing(by_event=by_event):
        return upload.state
    if not state.start_validation(upload, busy=busy, now=moment):
        return "busy"
    if int(upload.tries) > TRIES:  # former runs were interrupted: out of time, or of memory
        return give_up(waiting, TimeoutError("it was cut off"))
    try:
        with only_writer(upload.folder, upload.id):
            return complete(waiting, late=late)
    except Busy:
        queues.send(queues.url("ingest"), Finalise(upload_id), RETRY_SECONDS)
        state.reset_validation(upload)
        return "busy"
    except Exception as error:
        if int(upload.tries) < TRIES:
            raise
        log.exception("upload %s is given up after %s tries", upload_id, TRIES)
        return give_up(waiting, error)


def complete(waiting: Waiting, *, late: bool) -> str:
    """Do the work of :func:`finalise` as the only writer of the session."""
    upload = waiting.upload
    key = manifest_key(upload.folder, upload.id)
    manifest = decided_before(waiting) or objects.write_once(key, decide(waiting))
    quarantine(waiting, (refusal.path for refusal in manifest.refused))
    register(manifest, key)
    outcome = manifest.outcome(late=late)
    state.finish_upload(upload, outcome, manifest.target.id, key)
    good = outcome in (UploadState.REGISTERED, UploadState.PARTIAL)
    counts = {
        "UploadsRegistered" if good else "UploadsRefused": 1,
        "FilesRegistered": len(manifest.datasets),
        "FilesRefused": len(manifest.refused),
    }
    metrics.put(counts, lab=upload.lab, upload=upload.id)
    if manifest.target.id:
        queues.notify("dispatch", SessionRegistered(manifest.target.id))
    objects.delete(incoming_key(upload.id, path) for path in waiting.here)
    return outcome


def decide(waiting: Waiting) -> Manifest:
    """Check the files, copy the good ones to their places; return the result."""
    intake = gather(waiting)
    verdict = judge(intake)
    session = intake.session
    if session is None and verdict.accepted:
        session = find_or_create_session(intake.request.target, intake.upload.by)
    placed: list[PlacedFile] = []
    clashes: list[Refusal] = []
    if session is not None:
        day = intake.upload.created[:10]
        placed, clashes = place(verdict.accepted, session, intake.datasets, day)
        placed, occupied = copy(intake.upload.id, f"{DATA}{session.folder}/", placed)
        clashes += occupied
        write_indexes(placed, verdict.indexes)
    target = intake.request.target
    if session is not None:
        target = Target(target.key, session.id, target.metadata)
    return outcome_of(waiting, target, verdict, placed, clashes)


def outcome_of(
    waiting: Waiting,
    target: Target,
    verdict: Verdict,
    placed: list[PlacedFile],
    clashes: list[Refusal],
) -> Manifest:
    """Return the manifest of an upload."""
    refused = sorted([*verdict.refused, *clashes], key=lambda refusal: refusal.path)
    return Manifest(
        waiting.upload.id,
        waiting.upload.by,
        waiting.upload.created,
        datetime.now(UTC).isoformat(),
        target,
        waiting.request.task,
        tuple(placed),
        verdict.present,
        tuple(refused),
        verdict.description,
    )


def copy(
    upload: str, prefix: str, placed: list[PlacedFile]
) -> tuple[list[PlacedFile], list[Refusal]]:
    """Copy files to their places; a file is refused if its place has other content."""
    occupied = objects.keys(prefix) if placed else set()
    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(partial(_copy, upload, occupied), placed))
    good = [candidate for candidate, bad in zip(placed, results, strict=True) if bad is None]
    return good, [bad for bad in results if bad is not None]


def _copy(upload: str, occupied: set[str], placed: PlacedFile) -> Refusal | None:
    file = placed.file
    if placed.key not in occupied and objects.copy_new(
        incoming_key(upload, file.path), placed.key, file.size
    ):
        return None
    occupant = objects.head(placed.key)
    if (
        occupant
        and occupant.size == file.size
        and objects.digest(placed.key, occupant) in (None, file.sha256)
    ):
        return None  # copied before a crash
    text = (
        f"{file.path}: the bytes of a dataset that was deleted are kept at this place. "
        "To fix: upload it under a new revision."
    )
    return Refusal(file.path, "place_occupied", text)


def write_indexes(placed: Iterable[PlacedFile], indexes: Mapping[str, ObjectIndex]) -> None:
    """Store the indexes of large files; the files can be read without them, too."""
    for dataset in placed:
        if (index := indexes.get(dataset.file.path)) is not None:
            objects.write(index_key(dataset.id), json.encode(index))


def quarantine(waiting: Waiting, paths: Iterable[str]) -> None:
    """Move the refused files to quarantine."""
    upload = waiting.upload.id
    for path in paths:
        if path in waiting.here:
            target = quarantine_key(upload, path)
            objects.copy(incoming_key(upload, path), target, waiting.here[path])


def give_up(waiting: Waiting, error: Exception) -> str:
    """End an upload that cannot be validated; its files are kept in quarantine."""
    reason = (
        f"The check failed {TRIES} times, the last time with {type(error).__name__}: "
        f"{str(error)[:500]}. What arrived is kept; upload it again with 'again', or ask the "
        "administrator."
    )
    quarantine(waiting, waiting.here)
    state.finish_upload(waiting.upload, UploadState.FAILED, None, None, reason=reason)
    metrics.put({"UploadsRefused": 1}, lab=waiting.upload.lab, upload=waiting.upload.id)
    objects.delete(incoming_key(waiting.upload.id, path) for path in waiting.here)
    return UploadState.FAILED
