"""Check what has arrived and draw up the manifest: what is registered, what refused and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

from shared.alf import ALFError, data_format, match_dataset_type, parse_dataset_path
from shared.alf.acceptance import check_contents, check_names
from shared.alf.validate import Header
from shared.datasets.read import default_datasets, hashes_by_path
from shared.model.identity import data_key, dataset_id, dataset_path
from shared.model.revisions import next_revision
from shared.records import objects
from shared.records.errors import NotFound, Stale
from shared.records.items import Dataset, Session
from shared.uploads.keys import incoming_key
from shared.uploads.progress import unchanged
from shared.uploads.request import File, requested
from shared.uploads.state import OPEN_DAYS, Upload
from shared.uploads.transport import arrived
from shared.work import lease, read

FORMAT = 1
"""Version of the manifest's format."""

THREADS = 16

Refusal = dict[str, str]


def refusal(path: str, code: str, reason: str, state: str = "quarantined") -> Refusal:
    """Return the entry of a refused file."""
    return {"path": path, "state": state, "code": code, "reason": reason}


def check(
    upload: Upload, document: Mapping[str, Any], datasets: Sequence[Dataset]
) -> tuple[list[dict[str, Any]], list[str], list[Refusal]]:
    """Check the files of an upload.

    Parameters
    ----------
    upload, document
        The upload and its request.
    datasets
        What the session has.

    Returns
    -------
    good
        Entries of the manifest for the files to register, still without place.
    present
        Paths whose content is already registered.
    refused
        Entries of the manifest for the others.
    """
    files = {file.path: file for file in requested(document)}
    refused: dict[str, Refusal] = {
        path: refusal(path, error.code, str(error), "rejected")
        for path, error in check_names(files).items()
    }
    rest = [file for path, file in files.items() if path not in refused]
    present = unchanged(rest, hashes_by_path(datasets))
    here = arrived(upload.id)
    candidates: list[File] = []
    for file in rest:
        if file.path in present:
            continue
        if file.path in here:
            candidates.append(file)
        else:
            reason = (upload.without or {}).get(file.path)
            reason = reason or f"did not arrive within {OPEN_DAYS} days"
            refused[file.path] = refusal(file.path, "not_received", reason, "rejected")
    if (stale := _superseded(document)) is not None:
        refused |= {file.path: refusal(file.path, "superseded", stale) for file in candidates}
        candidates = []
    stored: dict[str, objects.Stored] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        compared = pool.map(partial(_compare, upload.id), candidates)
        for file, found in zip(candidates, compared, strict=True):
            if isinstance(found, objects.Stored):
                stored[file.path] = found
            else:
                refused[file.path] = found
    headers, problems = check_contents(
        {
            path: (partial(_open, upload.id, path, found.size), found.size)
            for path, found in stored.items()
        },
        {
            path: Header(rows=int(item.rows))
            for path, item in default_datasets(datasets).items()
            if item.rows is not None
        },
    )
    refused |= {path: refusal(path, error.code, str(error)) for path, error in problems.items()}
    good = [_entry(files[path], stored[path], headers[path]) for path in stored if path in headers]
    return good, sorted(present), sorted(refused.values(), key=lambda entry: entry["path"])


def _open(upload: str, path: str, size: int) -> Any:
    return objects.opened(incoming_key(upload, path), size)


def _superseded(document: Mapping[str, Any]) -> str | None:
    """Say why the outputs of a run are not wanted any more, if so."""
    run = document["task"]
    if run is None:
        return None
    try:
        task = read.get_task(run["id"])
        lease.check_attempt(task, run["attempt"])
    except (NotFound, Stale) as error:
        return str(error)
    return None


def _compare(upload: str, file: File) -> objects.Stored | Refusal:
    """Compare what S3 has with what was announced; return the one, or what is wrong."""
    key = incoming_key(upload, file.path)
    stored = objects.head(key)
    if stored is None:
        raise FileNotFoundError(key)  # deleted meanwhile: another run has finished this upload
    if stored.size != file.size:
        text = f"{file.path}: {stored.size} bytes arrived, {file.size} were announced"
        return refusal(file.path, "wrong_size", text)
    found = objects.digest(key, stored)
    if found is not None and found != file.sha256:
        text = f"{file.path}: the SHA-256 of what arrived is {found}, not {file.sha256}"
        return refusal(file.path, "wrong_checksum", text)
    if file.md5 and stored.md5 and file.md5 != stored.md5:
        text = f"{file.path}: the MD5 of what arrived is {stored.md5}, not {file.md5}"
        return refusal(file.path, "wrong_checksum", text)
    return stored


def _entry(file: File, stored: objects.Stored, found: Header) -> dict[str, Any]:
    """Return a file's entry of the manifest, without its place."""
    name = parse_dataset_path(file.path).filename
    try:
        dataset_type = match_dataset_type(name).name
    except ALFError:
        dataset_type = "unknown"
    return {
        "path": file.path,
        "size": file.size,
        "sha256": file.sha256,
        "md5": file.md5 or stored.md5,
        "rows": found.rows,
        "qc": file.qc,
        "dataset_type": dataset_type,
        "data_format": data_format(name).name,
    }


def place(
    good: Sequence[dict[str, Any]], session: Session, datasets: Sequence[Dataset], day: str
) -> tuple[list[dict[str, Any]], list[Refusal]]:
    """Give each good file its revision, id and key.

    New content under an old name becomes a new revision; one revision serves a whole upload.
    A dataset that is registered without its bytes (by reference to another store) gets them, and
    keeps its place and id, unless it is known to have another MD5.

    Parameters
    ----------
    good
        Entries of the manifest.
    session, datasets
        Where they go, and what is there.
    day
        Date of the upload, ``YYYY-MM-DD``.
    """
    there = {item.path: item for item in datasets}
    named = set(default_datasets(datasets))
    revision = next_revision(day, {item.revision or "" for item in datasets})
    placed, refused = [], []
    for entry in good:
        path = parse_dataset_path(entry["path"])
        chosen = path.revision or (revision if path.without_revision in named else None)
        awaiting = there.get(entry["path"])
        if awaiting is not None and awaits(awaiting, entry["md5"]):
            chosen = path.revision or None
        else:
            awaiting = None
        where = dataset_path(path.collection, chosen, path.filename)
        if not awaiting and where in there and there[where].sha256 != entry["sha256"]:
            text = (
                f"{entry['path']}: revision {chosen} has other content already, and what is "
                f"registered is never overwritten. To fix: upload it under a new revision."
            )
            refused.append(refusal(entry["path"], "revision_exists", text))
            continue
        identity = awaiting.uuid if awaiting else dataset_id(session.id, where)
        key = data_key(session.folder, where, identity)
        placed.append({**entry, "revision": chosen, "place": where, "id": identity, "key": key})
    return placed, refused


def awaits(item: Dataset, md5: str | None) -> bool:
    """Return whether a dataset is registered without its bytes, and these may be them."""
    return item.sha256 is None and item.hash in (None, md5)


def manifest(
    upload: Upload,
    document: Mapping[str, Any],
    session: Session | None,
    placed: Sequence[dict[str, Any]],
    present: Sequence[str],
    refused: Sequence[Refusal],
) -> dict[str, Any]:
    """Return the manifest of an upload: enough to register it again in an empty table."""
    target = dict(document["target"])
    if session is not None:
        target["id"] = session.id
    return {
        "fornix": FORMAT,
        "upload": upload.id,
        "by": upload.by,
        "created": upload.created,
        "finalised": datetime.now(UTC).isoformat(),
        "session": target,
        "task": document["task"],
        "datasets": list(placed),
        "present": list(present),
        "refused": list(refused),
    }
