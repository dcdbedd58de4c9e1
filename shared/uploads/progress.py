"""Progress of an upload: the state of each file, and which files have still to arrive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.alf.acceptance import check_names
from shared.alf.errors import ALFError
from shared.model.limits import URLS_AT_ONCE
from shared.model.upload import (
    FINAL,
    FileRequest,
    FileState,
    FileView,
    Manifest,
    Refusal,
    StoredRequest,
    UploadState,
    UploadView,
)
from shared.uploads.state import Upload, manifest_of, request_of
from shared.uploads.transport import address, arrived


def refuse(path: str, error: ALFError, state: FileState = FileState.QUARANTINED) -> Refusal:
    """Return the refusal of a file that breaks a rule of the convention."""
    return Refusal(path, error.code, str(error), state)


def unchanged(files: Iterable[FileRequest], registered: Mapping[str, str | None]) -> set[str]:
    """Return the paths whose content the session already has under that name.

    Parameters
    ----------
    files
        The requested files.
    registered
        SHA-256 of the session's default datasets, by path without revision folder.
    """
    return {file.path for file in files if registered.get(file.path) == file.sha256}


def missing_files(
    request: StoredRequest,
    upload: Upload,
    here: Mapping[str, int],
    registered: Mapping[str, str | None],
) -> list[str]:
    """Return the paths that have still to arrive before an upload is complete.

    Parameters
    ----------
    request, upload
        The request.
    here
        Sizes of the files that have arrived, by path.
    registered
        SHA-256 of the session's datasets, by path.
    """
    refused = check_names(file.path for file in request.files)
    settled = {*refused, *here, *(upload.without or {}), *unchanged(request.files, registered)}
    return [file.path for file in request.files if file.path not in settled]


def describe(upload: Upload, registered: Mapping[str, str | None]) -> UploadView:
    """Return the view of an upload for clients: its state and that of each file.

    Parameters
    ----------
    upload
        The upload.
    registered
        SHA-256 of the session's default datasets, by path without revision folder.
    """
    if upload.state in FINAL:
        manifest = manifest_of(upload)
        return _view(upload, files=_outcomes(manifest) if manifest else [])
    request = request_of(upload.id)
    if request is None:  # just finished; the item shows it in a moment
        return _view(upload, state=UploadState.VALIDATING)
    here = arrived(upload.id)
    refused = check_names(file.path for file in request.files)
    same = unchanged(request.files, registered)
    given_up = upload.without or {}
    addressed = 0
    files = []
    for file in request.files:
        path = file.path
        if path in refused:
            files.append(_refused(refuse(path, refused[path], FileState.REJECTED)))
        elif path in same:
            files.append(FileView(path, FileState.PRESENT))
        elif here.get(path) == file.size:
            files.append(FileView(path, FileState.STORED))
        elif path in given_up:
            files.append(FileView(path, FileState.REJECTED, reason=given_up[path]))
        elif upload.state == UploadState.OPEN and addressed < URLS_AT_ONCE:
            files.append(FileView(path, FileState.WANTED, **address(upload.id, file)))
            addressed += 1
        else:
            files.append(FileView(path, FileState.WANTED))
    return _view(upload, files=files)


def _view(
    upload: Upload, *, state: UploadState | None = None, files: list[FileView] | None = None
) -> UploadView:
    return UploadView(
        upload.id,
        state or UploadState(upload.state),
        upload.session,
        upload.lab,
        upload.folder,
        upload.created,
        files or [],
        upload.reason,
    )


def _refused(refusal: Refusal) -> FileView:
    return FileView(refusal.path, refusal.state, code=refusal.code, reason=refusal.reason)


def _outcomes(manifest: Manifest) -> list[FileView]:
    """Return the state of each file of a finished upload."""
    files = [
        FileView(placed.file.path, FileState.REGISTERED, id=placed.id, revision=placed.revision)
        for placed in manifest.datasets
    ]
    files += [FileView(path, FileState.PRESENT) for path in manifest.present]
    files += [_refused(refusal) for refusal in manifest.refused]
    return sorted(files, key=lambda file: file.path)
