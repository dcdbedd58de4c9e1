"""Gather once the facts that decide an upload: request, arrivals, session, datasets."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from shared.datasets.read import datasets_of, hashes_by_path
from shared.model.upload import FileRequest, Manifest, StoredRequest
from shared.records import objects
from shared.records.errors import NotFound, Stale
from shared.records.items import Dataset, Session
from shared.uploads.keys import incoming_key, manifest_key
from shared.uploads.progress import missing_files, unchanged
from shared.uploads.state import Upload, get_upload, request_of
from shared.uploads.target import find_session
from shared.uploads.transport import arrived
from shared.work import lease, read

THREADS = 16


@dataclass(frozen=True)
class Arrival:
    """A file that has arrived: its facts from S3, its SHA-256, and a way to read it.

    ``sha256`` is None if S3 does not know it and the file is too large to compute it.
    """

    stored: objects.Stored
    sha256: str | None
    upload: str
    path: str

    def open(self) -> BinaryIO:
        """Open the file for reading."""
        return objects.opened(incoming_key(self.upload, self.path), self.stored.size)


@dataclass(frozen=True)
class Waiting:
    """An unfinished upload: its record, its request, the sizes of the arrived files."""

    upload: Upload
    request: StoredRequest
    here: Mapping[str, int]

    def missing(self, *, by_event: bool) -> list[str]:
        """Return the paths that are still missing.

        Parameters
        ----------
        by_event
            Whether the call is for an event of a single file. Then the table is not read for files
            that need not come while files are missing.
        """
        lacking = missing_files(self.request, self.upload, self.here, {})
        if not lacking or by_event:
            return lacking
        session = find_session(self.request.target)
        registered = hashes_by_path(datasets_of(session.id)) if session else {}
        return missing_files(self.request, self.upload, self.here, registered)


@dataclass(frozen=True)
class Intake:
    """All facts that decide an upload.

    Attributes
    ----------
    without
        Files that the client has given up, and why.
    arrivals
        The arrived files that are not registered yet, by path.
    session, datasets
        The session of the files, and its datasets; None and empty if there is no such session.
    stale
        Reason why the outputs of a run are no longer wanted, None if they are.
    """

    upload: Upload
    request: StoredRequest
    without: Mapping[str, str]
    arrivals: Mapping[str, Arrival]
    session: Session | None
    datasets: list[Dataset]
    stale: str | None


def look(upload_id: str) -> Waiting | Upload | None:
    """Return an unfinished upload, or the record of an ended one, or None if it is unknown."""
    request = request_of(upload_id)
    if request is None:
        return None
    try:
        upload = get_upload(upload_id)
    except NotFound:  # the API stopped between storing the request and the record
        return None
    if upload.final:
        return upload
    return Waiting(upload, request, arrived(upload_id))


def decided_before(waiting: Waiting) -> Manifest | None:
    """Return the manifest of an interrupted run; it decides."""
    return objects.read_object(manifest_key(waiting.upload.folder, waiting.upload.id), Manifest)


def gather(waiting: Waiting) -> Intake:
    """Return the facts that decide an upload."""
    upload, request = waiting.upload, waiting.request
    session = find_session(request.target)
    datasets = datasets_of(session.id) if session else []
    same = unchanged(request.files, hashes_by_path(datasets))
    files = [file for file in request.files if file.path in waiting.here and file.path not in same]
    with ThreadPoolExecutor(THREADS) as pool:
        arrivals = list(pool.map(partial(_arrival, upload.id), files))
    return Intake(
        upload,
        request,
        upload.without or {},
        {arrival.path: arrival for arrival in arrivals},
        session,
        datasets,
        _stale(request),
    )


def _arrival(upload: str, file: FileRequest) -> Arrival:
    """Return the facts of a file in S3."""
    key = incoming_key(upload, file.path)
    stored = objects.head(key)
    if stored is None:
        raise FileNotFoundError(key)  # deleted meanwhile: another run has finished this upload
    sha256 = objects.digest(key, stored) if stored.size == file.size else None
    return Arrival(stored, sha256, upload, file.path)


def _stale(request: StoredRequest) -> str | None:
    """Return the reason why the outputs of a run are no longer wanted, else None."""
    run = request.task
    if run is None:
        return None
    try:
        lease.check_attempt(read.get_task(run.id), run.attempt)
    except (NotFound, Stale) as error:
        return str(error)
    return None
