"""Repair the effects of lost events and crashes: objects without a record, half deletions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.ingest.finalise import OPEN, finalise
from shared.model.messages import SessionRegistered
from shared.model.upload import FINAL, UploadState
from shared.records import objects, queues, staging
from shared.records.errors import NotFound
from shared.sessions.delete import finish, unfinished_deletions
from shared.uploads.keys import incoming_key, request_key
from shared.uploads.state import BUSY, get_upload, unfinished_uploads
from shared.uploads.transport import arrived

log = logging.getLogger(__name__)

SETTLE = timedelta(seconds=60)
"""Age up to which uploads are left alone, because their events are on their way."""

MARGIN = timedelta(seconds=60)
"""Time to complete an upload; with less remaining the reconciler begins no other."""


def reconcile(
    *,
    at_start: bool = False,
    now: datetime | None = None,
    remaining: Callable[[], timedelta] = lambda: timedelta.max,
) -> dict[str, Any]:
    """Complete uploads with lost events, and deletions that a crash interrupted.

    A finished upload is announced to dispatch once more before its request is deleted, so a loss
    of the first announcement does no harm.

    Parameters
    ----------
    at_start
        The system has just started: no event is on its way, and no other run is at work.
    now
        The present moment.
    remaining
        Returns the remaining time; with less than :data:`MARGIN` the rest is left to the next run.

    Returns
    -------
    dict
        How many uploads were found in which state.
    """
    moment = now or datetime.now(UTC)
    settle, busy = (timedelta(0), timedelta(0)) if at_start else (SETTLE, BUSY)
    for eid in list(unfinished_deletions()):
        try:
            finish(eid)
        except Exception:  # a refused one must not stop the others
            log.exception("session %s could not be deleted whole", eid)
    try:
        staging.sweep()
    except Exception:
        log.exception("what a killed writer left could not be deleted")
    counts: dict[str, int] = {}
    for upload_id, since in unfinished_uploads():
        if remaining() < MARGIN:
            log.warning("out of time: the rest is left to the next run")
            break
        if moment - since < settle:
            continue
        try:
            state = finalise(upload_id, busy=busy, now=moment)
            if state in FINAL or (state == "gone" and moment - since > OPEN):
                _clean_up(upload_id, moment - settle)
        except Exception:  # one broken upload must not stop the others
            log.exception("upload %s could not be finalised", upload_id)
            state = "error"
        counts[str(state)] = counts.get(str(state), 0) + 1
    return counts


def _clean_up(upload_id: str, settled: datetime) -> None:
    """Announce a finished upload again, and delete its leftovers in ``incoming/``.

    An upload validated after ``settled`` is left for the next run.
    """
    try:
        upload = get_upload(upload_id)
        if (upload.since or "") > settled.isoformat():
            return
        if upload.session and upload.state in (UploadState.REGISTERED, UploadState.PARTIAL):
            queues.send(queues.url("dispatch"), SessionRegistered(upload.session, again=True))
    except NotFound:
        pass
    objects.delete(incoming_key(upload_id, path) for path in arrived(upload_id))
    objects.delete([request_key(upload_id)])
