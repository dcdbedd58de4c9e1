"""How far an upload is: the state of each file, and what has still to come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.alf.acceptance import check_names
from shared.alf.errors import ALFError
from shared.uploads.request import File, requested
from shared.uploads.state import FINAL, Upload, manifest_of, request_of
from shared.uploads.transport import URLS_AT_ONCE, address, arrived


def unchanged(files: Iterable[File], registered: Mapping[str, str | None]) -> set[str]:
    """Return the paths whose content the session already has under that name.

    Parameters
    ----------
    files
        Those asked for.
    registered
        SHA-256 of the session's default datasets, by path without revision folder.
    """
    return {file.path for file in files if registered.get(file.path) == file.sha256}


def describe(upload: Upload, registered: Mapping[str, str | None]) -> dict[str, Any]:
    """Return what a client is told of an upload: its state and that of each file.

    Parameters
    ----------
    upload
        The upload.
    registered
        SHA-256 of the session's default datasets, by path without revision folder.
    """
    answer: dict[str, Any] = {
        "id": upload.id,
        "state": upload.state,
        "session": upload.session,
        "lab": upload.lab,
        "folder": upload.folder,
        "created": upload.created,
        "files": [],
    }
    if upload.state in FINAL:
        answer["files"] = _outcomes(manifest_of(upload))
        return answer
    document = request_of(upload.id)
    if document is None:  # just finished; the item will say so in a moment
        return {**answer, "state": "validating"}
    here = arrived(upload.id)
    files = requested(document)
    refused = check_names(file.path for file in files)
    same = unchanged(files, registered)
    given_up = upload.without or {}
    addressed = 0
    for file in files:
        entry: dict[str, Any] = {"path": file.path}
        if file.path in refused:
            entry |= {"state": "rejected", **problem(refused[file.path])}
        elif file.path in same:
            entry["state"] = "present"
        elif here.get(file.path) == file.size:
            entry["state"] = "stored"
        elif file.path in given_up:
            entry |= {"state": "rejected", "reason": given_up[file.path]}
        else:
            entry["state"] = "wanted"
            if upload.state == "open" and addressed < URLS_AT_ONCE:
                entry |= address(upload.id, file)
                addressed += 1
        answer["files"].append(entry)
    return answer


def _outcomes(manifest: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the state of each file of a finished upload."""
    if manifest is None:
        return []
    files = [
        {
            "path": dataset["path"],
            "state": "registered",
            "id": dataset["id"],
            "revision": dataset["revision"],
        }
        for dataset in manifest["datasets"]
    ]
    files += [{"path": path, "state": "present"} for path in manifest["present"]]
    files += [
        {name: entry[name] for name in ("path", "state", "code", "reason") if name in entry}
        for entry in manifest["refused"]
    ]
    return sorted(files, key=lambda file: file["path"])


def problem(error: ALFError) -> dict[str, str]:
    """Return a problem as a client reads it: a code for programs, a sentence for people."""
    return {"code": error.code, "reason": str(error)}


def missing_files(
    document: Mapping[str, Any], upload: Upload, registered: Mapping[str, str | None]
) -> list[str]:
    """Return the paths that have still to arrive before an upload is complete."""
    files = requested(document)
    refused = check_names(file.path for file in files)
    same = unchanged(files, registered)
    here = arrived(upload.id)
    return [
        file.path
        for file in files
        if file.path not in refused
        and file.path not in same
        and file.path not in here
        and file.path not in (upload.without or {})
    ]
