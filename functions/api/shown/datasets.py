"""Datasets and their copies as clients are shown them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api import permissions
from functions.api.engine.declarations import Body, Row
from functions.api.shown.repositories import Repositories
from shared import catalog
from shared.access import visibility
from shared.catalog import visible
from shared.model import moment
from shared.model.copies import OWN, own_repository
from shared.model.dataset import FileRecord
from shared.model.identity import SessionKey, nickname_of, uuid4_from, with_uuid
from shared.model.quality import QC_NAMES
from shared.records.items import Dataset, Session

if TYPE_CHECKING:
    from functions.api.call import Call


def relative_path(folder: str, item: Dataset, record: FileRecord) -> str:
    """Return the path of a file below its repository's folder: ``subject/date/NNN/…``."""
    if record.path:
        return record.path
    below = folder.partition("/Subjects/")[2] or folder
    return f"{below}/{item.path}" if below else item.path


def data_url(
    repository: Row | None, path: str, identity: str, call: Call, *, below: str = ""
) -> str | None:
    """Return the address of a file on a repository; None if it has no web server.

    The ``#`` of a revision is not quoted: clients read the path from the address, and quote it.

    Parameters
    ----------
    repository, path, identity
        The repository, the path below its folder, the id of the dataset.
    call
        The request; its address leads to the own store.
    below
        Folder between the address and the path.
    """
    base = (repository or {}).get("data_url")
    if not base:
        return None
    if base.startswith("/"):
        base = call.url(base)
    # A plain folder behind a web server has the files under their own names.
    plain = ((repository or {}).get("json") or {}).get("plain_names")
    return f"{base.rstrip('/')}/{below}{path if plain else with_uuid(path, identity)}"


def record_id(item: Dataset, record: FileRecord) -> str:
    """Return the id of a file record; it begins like the session's, so it leads to the dataset.

    For an aggregate it begins like the dataset's.
    """
    prefix = (item.session or item.id).replace("-", "")[:12]
    return record.id or uuid4_from(prefix, item.uuid, record.repository)


def file_records(folder: str, item: Dataset, known: Repositories, call: Call) -> list[Body]:
    """Return the file records of a dataset as clients are shown them.

    The own store has the files of all labs, each lab's below ``lab/Subjects/``.
    """
    views = []
    for record in item.records:
        repository, below = _place(folder, record, known)
        path = relative_path(folder, item, record)
        views.append(
            {
                "id": record_id(item, record),
                "data_repository": record.repository,
                "data_repository_path": ((repository or {}).get("globus_path") or "") + below,
                "relative_path": path,
                "data_url": data_url(repository, path, item.uuid, call, below=below),
                "exists": bool(record.exists),
            }
        )
    return views


def _address(folder: str, item: Dataset, known: Repositories, call: Call) -> str | None:
    """Return the first address of a dataset's existing copies."""
    for record in item.records:
        if record.exists:
            repository, below = _place(folder, record, known)
            path = relative_path(folder, item, record)
            if url := data_url(repository, path, item.uuid, call, below=below):
                return url
    return None


def _place(folder: str, record: FileRecord, known: Repositories) -> tuple[Row | None, str]:
    """Return the repository of a copy, and the folder between its address and the path."""
    if record.repository == OWN:
        return own_repository(), _lab_folder(folder)
    return known.get(record.repository), ""


def _lab_folder(folder: str) -> str:
    """Return the part of a session's folder above the subject's: ``lab/Subjects/``."""
    lab, mark, _ = folder.partition("/Subjects/")
    return lab + mark


def session_dataset(session: Session, item: Dataset, known: Repositories, call: Call) -> Body:
    """Return a dataset as the detail of a session shows it."""
    folder = call.once(f"folder of {session.id}", lambda: session.folder)
    address = _address(folder, item, known, call)
    return {
        "id": item.uuid,
        "name": item.name,
        "dataset_type": item.dataset_type,
        # Never null: the client reads the path from it, even for a file without an address.
        "data_url": address
        or f"{call.url('/data')}/{with_uuid(f'{folder}/{item.path}', item.uuid)}",
        "url": call.url(f"/datasets/{item.uuid}"),
        "file_size": int(item.file_size or 0),
        "hash": item.hash,
        "version": item.version,
        "collection": item.collection,
        "revision": item.revision or "",
        "default_revision": str(bool(item.default)),
        "qc": QC_NAMES.get(int(item.qc), "NOT_SET"),
    }


def _tags(call: Call) -> tuple[set[str], set[str]]:
    """Return the protected and the public tags; looked up once per request."""
    return call.once(
        "tags", lambda: (permissions.protecting(), visible.released_tags(catalog.table))
    )


def dataset_body(session: Session | None, item: Dataset, known: Repositories, call: Call) -> Body:
    """Return a dataset as ``/datasets`` shows it."""
    tags = set(item.tags or ())
    protected, public = _tags(call)
    folder = session.folder if session else ""
    return {
        "id": item.uuid,
        "url": call.url(f"/datasets/{item.uuid}"),
        "name": item.name,
        "created_by": item.created_by,
        "created_datetime": item.created,
        "dataset_type": item.dataset_type,
        "data_format": item.data_format,
        "collection": item.collection or None,
        "session": call.url(f"/sessions/{session.id}") if session else None,
        # The client cannot load a file of size null; 0 means unknown.
        "file_size": int(item.file_size or 0),
        "hash": item.hash,
        "version": item.version,
        "experiment_number": int(session.number) if session else None,
        "file_records": file_records(folder, item, known, call),
        "auto_datetime": item.changed or item.created,
        "revision": item.revision or "",
        "default_dataset": bool(item.default),
        "protected": int(bool(tags & protected)),
        "public": int(bool(tags & public) or _is_public(session, call)),
        "tags": sorted(tags),
        "qc": QC_NAMES.get(int(item.qc), "NOT_SET"),
        "json": item.json,
        "rows": None if item.rows is None else int(item.rows),
        "sha256": item.sha256,
        "provenance": item.provenance,
        **({} if session else _content(item.owner)),
    }


def _is_public(session: Session | None, call: Call) -> bool:
    """Return whether a session is public; looked up once per request."""
    if session is None:
        return False

    def is_public() -> bool:
        calendar = call.once("calendar", lambda: visible.calendar_of(catalog.table))
        return visibility.is_public(visible.of_item(session, calendar), moment.now())

    public: bool = call.once(f"public {session.id}", is_public)
    return public


def _content(owner: str) -> Body:
    content_type, _, object_id = owner.partition("#")
    return {"content_type": content_type or None, "object_id": object_id or None}


class _Brief:
    """The fields of a session for `dataset_body`, from its row in the index."""

    def __init__(self, row: Row) -> None:
        self.id, self.lab, self.number = row["id"], row["lab"], row["number"]
        self.subject, self.projects = nickname_of(row["subject"]), row.get("projects") or ()
        self.public = row.get("public")
        self.embargo_until = row.get("embargo_until")
        self.folder = SessionKey(self.lab, row["subject"], row["date"], int(self.number)).folder


def brief(eid: str | None) -> Any:
    """Return the needed fields of a dataset's session; None for an aggregate."""
    session = catalog.table("session").get(eid) if eid else None
    return _Brief(session) if session else None
