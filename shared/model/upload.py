"""Uploads: the request, its stored form, and the outcome of each file.

These objects travel unchanged from the API to S3, to ingest, into the manifest and back to the
client.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from shared.model.identity import SessionKey, data_key
from shared.model.limits import PATH_BYTES
from shared.model.object_index import ObjectIndex
from shared.model.session import SessionMetadata

VERSION = 2
"""Version of the stored request and of the manifest."""

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]
Quality = Literal["NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL"]


class UploadState(StrEnum):
    """State of an upload; the last five are final."""

    OPEN = "open"
    VALIDATING = "validating"
    REGISTERED = "registered"
    PARTIAL = "partial"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"


FINAL = frozenset(UploadState) - {UploadState.OPEN, UploadState.VALIDATING}


class FileState(StrEnum):
    """State of one file of an upload."""

    WANTED = "wanted"
    STORED = "stored"
    PRESENT = "present"
    REGISTERED = "registered"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"


class FileRequest(msgspec.Struct, frozen=True):
    """A file that a client announces; ``path`` is relative to the session."""

    path: Annotated[str, msgspec.Meta(min_length=1, max_length=PATH_BYTES)]
    size: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    sha256: Sha256
    md5: Md5 | None = None
    qc: Quality = "NOT_SET"


class TaskRun(msgspec.Struct, frozen=True):
    """The run of a task that made the files."""

    id: str
    attempt: int
    run_record: dict[str, Any] = {}

    @property
    def code(self) -> str | None:
        """The package whose code ran, with its version, if the record has it."""
        code = self.run_record.get("code")
        return code[:64] if isinstance(code, str) else None


class Target(msgspec.Struct, frozen=True):
    """The session an upload goes to; ``id`` is None while it does not exist."""

    key: SessionKey
    id: str | None = None
    metadata: SessionMetadata = SessionMetadata()


class UploadRequest(msgspec.Struct, frozen=True):
    """A client's request to upload files to a session, given by ``key`` or ``session`` id."""

    files: tuple[FileRequest, ...]
    key: SessionKey | None = None
    session: str | None = None
    metadata: SessionMetadata = SessionMetadata()
    task: TaskRun | None = None
    again: bool = False


class StoredRequest(msgspec.Struct, frozen=True):
    """The stored form of an unfinished upload."""

    upload: str
    by: str
    created: str
    target: Target
    files: tuple[FileRequest, ...]
    task: TaskRun | None = None
    version: int = VERSION

    def file(self, path: Any) -> FileRequest | None:
        """Return one of the files."""
        return next((file for file in self.files if file.path == path), None)


class Refusal(msgspec.Struct, frozen=True):
    """A file that was not registered, and why: a code for programs, a sentence for people."""

    path: str
    code: str
    reason: str
    state: FileState = FileState.QUARANTINED


class AcceptedFile(msgspec.Struct, frozen=True):
    """A file that passed every check."""

    path: str
    size: int
    sha256: str
    md5: str | None
    rows: int | None
    qc: Quality
    dataset_type: str
    data_format: str


class PlacedFile(msgspec.Struct, frozen=True):
    """A file that is registered.

    Attributes
    ----------
    dataset_path : str
        Path below the session, with the revision.
    id : str
        The dataset's id.
    folder : str
        Its folder in the own store.
    """

    file: AcceptedFile
    dataset_path: str
    revision: str | None
    id: str
    folder: str

    @property
    def key(self) -> str:
        """Key of its bytes in the data bucket."""
        return data_key(self.folder, self.dataset_path, self.id)


class Verdict(msgspec.Struct, frozen=True):
    """Result of the checks of an upload's files."""

    accepted: tuple[AcceptedFile, ...] = ()
    present: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    description: dict[str, Any] | None = None
    indexes: dict[str, ObjectIndex] = {}


class Manifest(msgspec.Struct, frozen=True):
    """The outcome of an upload; written once, never changed.

    Attributes
    ----------
    target : Target
        The session, with its id unless nothing was registered.
    description : dict, optional
        Content of the experiment description among the files.
    """

    upload: str
    by: str
    created: str
    finalised: str
    target: Target
    task: TaskRun | None = None
    datasets: tuple[PlacedFile, ...] = ()
    present: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    description: dict[str, Any] | None = None
    version: int = VERSION

    def outcome(self, *, late: bool = False) -> UploadState:
        """Return the final state of the upload; ``late`` if it has expired."""
        if self.datasets or self.present:
            return UploadState.PARTIAL if self.refused else UploadState.REGISTERED
        nothing_came = all(refusal.code == "not_received" for refusal in self.refused)
        return UploadState.EXPIRED if late and nothing_came else UploadState.REJECTED


class FileView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file of an upload as clients see it."""

    path: str
    state: FileState
    code: str | None = None
    reason: str | None = None
    id: str | None = None
    revision: str | msgspec.UnsetType | None = msgspec.UNSET
    method: str | None = None
    url: str | None = None
    headers: dict[str, str] | None = None
    part_size: int | None = None
    n_parts: int | None = None


class UploadView(msgspec.Struct, frozen=True):
    """An upload as clients see it; ``page`` is the address of its session's page."""

    id: str
    state: UploadState
    session: str | None
    lab: str
    folder: str
    created: str
    files: list[FileView] = []
    reason: str | None = None
    page: str | None = None
