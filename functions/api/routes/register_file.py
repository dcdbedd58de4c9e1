"""``/register-file`` and ``/check-protected``: registration of files (Alyx REST contract).

A call registers all its files or none, may be repeated, and never overwrites a protected dataset.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from chalice.app import Blueprint, Response

from functions.api import permissions
from functions.api.call import Call
from functions.api.errors import JSON, ApiError
from functions.api.registration import (
    FileOwner,
    author_of,
    datasets_in,
    flag_of,
    items_of,
    place_of,
    read_request,
    refuse,
    target_of,
)
from functions.api.resources.owners import record_of
from functions.api.shown.datasets import brief, file_records
from functions.api.shown.repositories import repositories
from shared import catalog
from shared.datasets.partition import read_partition
from shared.datasets.protection import protected_tags
from shared.datasets.read import datasets_of
from shared.datasets.register import differs, has_bytes, register_datasets
from shared.model import moment
from shared.model.copies import OWN
from shared.model.dataset import FileRecord
from shared.model.identity import dataset_path, nickname_of, split_path
from shared.model.limits import REGISTER_FILES
from shared.model.revisions import next_revision
from shared.records import documents
from shared.records.errors import Exists
from shared.records.items import Dataset
from shared.records.where import Where
from shared.sessions import store as sessions

routes = Blueprint(__name__)

PROTECTED = "One or more datasets is protected"


def _group(path: str) -> str:
    """Return a path without its revision, which is the same for all revisions of a file."""
    collection, _, name = split_path(path)
    return dataset_path(collection, None, name)


def _age(item: Dataset) -> tuple[bool, str, str]:
    """Return the sort key of revisions, from the original to the newest."""
    return bool(item.revision), item.created or "", item.revision or ""


def protection(
    target: FileOwner, paths: Sequence[str], present: Sequence[Dataset]
) -> tuple[bool, list[dict[str, Any]]]:
    """Return whether any file is protected, and for each its revisions, newest first."""
    tags = protected_tags()
    by_group: dict[str, list[Dataset]] = {}
    for item in present:
        by_group.setdefault(_group(item.path), []).append(item)
    details, is_protected = [], False
    for path in paths:
        group = _group(path)
        items = sorted(by_group.get(group, []), key=_age, reverse=True)
        revisions = [
            {dataset.revision or "": bool(set(dataset.tags or ()) & tags)} for dataset in items
        ]
        is_protected |= any(next(iter(dataset.values())) for dataset in revisions)
        name = group.removeprefix(f"{target.collection}/") if target.collection else group
        details.append({name: revisions})
    return is_protected, details


@routes.route("/check-protected", methods=["GET"])
def check_protected() -> dict[str, Any]:
    """Say which files of a session are protected; the body may come with the GET."""
    call = Call(routes.current_request)
    body = read_request({**call.query, **call.body})
    target = target_of(body, call)
    names = [str(filename) for filename in items_of(body, "filenames")]
    paths = [place_of(target, name) for name in names]
    is_protected, details = protection(target, paths, datasets_of(target.owner))
    if is_protected:
        return {"status_code": 403, "error": PROTECTED, "details": details}
    return {"status_code": 200, "details": "None of the datasets are protected"}


@routes.route("/register-file", methods=["POST"])
def register_file() -> Response:
    """Register files of a session, or of another record; all or none."""
    call = Call(routes.current_request)
    body = read_request(call.body)
    names = [str(item) for item in items_of(body, "filenames")]
    if not 1 <= len(names) <= REGISTER_FILES:
        raise refuse(f"filenames: give 1 to {REGISTER_FILES} names.")
    target = target_of(body, call)
    permissions.check_lab(call.who, target.lab)
    author = author_of(body, call)
    paths = [place_of(target, name) for name in names]
    if len(set(paths)) != len(paths):
        raise refuse("filenames: a name is given twice.")
    partition = read_partition(target.owner)
    present = [*partition.datasets.values()]
    if flag_of(body, "check_protected", False):
        is_protected, details = protection(target, paths, present)
        if is_protected:
            raise ApiError(403, error=PROTECTED, details=details)
    new = _new_revisions(datasets_in(body, target, paths, author), present, target)
    _make_revisions({item.revision for item in new if item.revision}, call)
    name = hashlib.sha256(json.dumps([target.owner, body], sort_keys=True).encode()).hexdigest()
    registered = register_datasets(
        target.owner,
        new,
        manifest=name,
        who=call.who.username,
        belongs_to=record_of(target.owner),
        partition=partition,
    )
    _join(target, author, call)
    rows = _answers(target, registered, author, call)
    return Response(rows, status_code=201, headers=dict(JSON))


def _new_revisions(
    new: Sequence[Dataset], present: Sequence[Dataset], target: FileOwner
) -> list[Dataset]:
    """Return the datasets; those that differ from the existing content become new revisions.

    Datasets with bytes are never overwritten. Different content becomes a revision of the day,
    unless one of the revisions has this content. The client's own path of the file stays the same.
    """
    by_path = {item.path: item for item in present}
    revision = next_revision(
        moment.now().date().isoformat(), {item.revision or "" for item in present}
    )
    datasets = []
    for item in new:
        old = by_path.get(item.path)
        if old is None or item.revision or not (has_bytes(old) and differs(old, item)):
            datasets.append(item)
            continue
        group = [dataset for dataset in present if _group(dataset.path) == item.path]
        same = [dataset for dataset in group if dataset.checksums.agree(item.checksums)]
        path = same[0].path if same else dataset_path(item.collection, revision, item.name)
        datasets.append(_moved(item, path, target))
    return datasets


def _moved(item: Dataset, path: str, target: FileOwner) -> Dataset:
    """Return a dataset under another path; its file stays at the client's path."""
    below = (target.folder or target.session_folder.partition("/Subjects/")[2]).strip("/")
    records = [
        FileRecord(record.repository, record.exists, record.path or f"{below}/{item.path}")
        for record in item.records
        if record.repository != OWN
    ]
    names = ("dataset_type", "data_format", "file_size", "hash", "version", "qc", "created_by")
    values = {name: getattr(item, name) for name in names}
    return Dataset.of(item.owner, path, default=item.default, records=records, **values)


def _make_revisions(names: set[str], call: Call) -> None:
    for name in names:
        if catalog.table("revision").get(name) is None:
            try:
                created = {"created_datetime": moment.now().isoformat()}
                body = {"name": name, "description": "", "json": None, **created}
                documents.create("revision", name, body, who=call.who.username)
            except Exists:
                continue


def _join(target: FileOwner, author: str, call: Call) -> None:
    """Add the author to the session's users; name the day's base session as its parent."""
    session = catalog.table("session").get(target.owner)
    if session is None:
        return
    edits: dict[str, Any] = {}
    if not session.get("parent_session") and session.get("type") != "Base":
        same_day = [
            Where("subject", "exact", session["subject"]),
            Where("date", "exact", session["date"]),
            Where("type", "exact", "Base"),
        ]
        base = catalog.table("session").select(same_day).values("id") - {session["id"]}
        if base:
            edits["parent_session"] = min(base)
    if edits or author not in session["users"]:

        def edit(now: dict[str, Any]) -> dict[str, Any]:
            users = list(now["users"] or [])
            return {**edits, "users": users if author in users else [*users, author]}

        sessions.update(target.owner, edit, who=call.who.username)


def _answers(target: FileOwner, kept: Sequence[Dataset], author: str, call: Call) -> list[Any]:
    stores = repositories()
    session_row = catalog.table("session").get(target.owner)
    session = brief(target.owner) if session_row else None
    rows = []
    for item in kept:
        records = file_records(session.folder if session else "", item, stores, call)
        answer: dict[str, Any] = {
            "id": item.uuid,
            "name": item.name,
            "file_size": None if item.file_size is None else int(item.file_size),
            "created_by": item.created_by,
            "created_datetime": item.created,
            "dataset_type": item.dataset_type,
            "data_format": item.data_format,
            "collection": item.collection or "",
            "revision": item.revision or "",
            "default": bool(item.default),
            "qc": int(item.qc),
            "file_records": [
                {k: record[k] for k in ("id", "data_repository", "relative_path", "exists")}
                for record in records
            ],
        }
        if session_row:
            users = [
                *session_row["users"],
                *([author] if author not in session_row["users"] else []),
            ]
            answer |= {
                "subject": nickname_of(session_row["subject"]),
                "session": session_row["id"],
                "session_number": session_row["number"],
                "session_users": ",".join(users),
                "session_start_time": session_row["start_time"],
            }
        else:
            content_type, _, object_id = target.owner.partition("#")
            answer |= {"content_type": content_type, "object_id": object_id, "session": None}
        rows.append(answer)
    return rows
