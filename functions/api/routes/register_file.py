"""``/register-file`` and ``/check-protected``: how files become datasets (Alyx REST contract).

A call registers all its files or none, may be repeated, and never overwrites a protected dataset.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
from chalice.app import Blueprint, Response

from functions.api import permissions
from functions.api.call import Call
from functions.api.engine.filters import quality
from functions.api.engine.read_values import MAX_INTEGER
from functions.api.engine.relations import lab_of_owner
from functions.api.errors import JSON, ApiError, Invalid
from functions.api.resources.owners import content_owner
from functions.api.shown.datasets import brief, file_records
from functions.api.shown.repositories import repositories
from shared import catalog
from shared.alf import names
from shared.datasets.protection import protected_tags
from shared.datasets.read import datasets_of
from shared.datasets.register import differs, has_bytes, register_datasets
from shared.model import moment
from shared.model.copies import OWN
from shared.model.dataset import FileRecord
from shared.model.identity import SessionKey, dataset_path, split_path
from shared.model.json import Faulty, plain, read
from shared.model.limits import REGISTER_FILES
from shared.model.registration import RegisterRequest
from shared.model.revisions import next_revision
from shared.records import documents
from shared.records.errors import Exists
from shared.records.items import Dataset
from shared.records.where import Where
from shared.sessions import store as sessions

routes = Blueprint(__name__)

PROTECTED = "One or more datasets is protected"


class FileOwner(msgspec.Struct, frozen=True):
    """What files belong to.

    Attributes
    ----------
    owner : str
        Session id, or ``content type#object id``.
    collection : str
        Folder named by the path, before those in the file names.
    folder : str or None
        For an aggregate, where its files are below their repository.
    lab : str or None
    session_folder : str
        The session's folder, empty for an aggregate.
    """

    owner: str
    collection: str
    folder: str | None
    lab: str | None
    session_folder: str = ""


def refuse(detail: str) -> ApiError:
    """Return a 400 with a message."""
    return ApiError(400, detail, error=detail)


def _request(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request, each of its type and size.

    Raises
    ------
    Invalid
        400 with a message per field.
    """
    try:
        return dict(plain(read(given, RegisterRequest)))
    except Faulty as error:
        raise Invalid(error.fields) from None


def _items(body: Mapping[str, Any], name: str) -> list[Any]:
    """Return a list that may be sent as text with commas."""
    value = body.get(name)
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return value if isinstance(value, list) else [value]


def _flag(body: Mapping[str, Any], name: str, default: bool) -> bool:
    value = body.get(name)
    if value is None:
        return default
    return str(value).strip().lower() not in ("false", "0", "")


def _each(body: Mapping[str, Any], name: str, n: int) -> list[Any]:
    """Return one value per file; a single one is for all."""
    found = _items(body, name)
    if len(found) == 1 and n > 1:
        found = found * n
    if found and len(found) != n:
        raise refuse(f"{name}: {len(found)} values for {n} files.")
    return [None if each in ("", "None") else each for each in found] or [None] * n


def target_of(body: Mapping[str, Any]) -> FileOwner:
    """Return what the files of a body belong to.

    Raises
    ------
    ApiError
        400 if the path is not one, or there is no such session or record.
    """
    path = str(body.get("path") or "").strip("/")
    if body.get("content_type"):
        owner = content_owner(str(body["content_type"]), str(body.get("object_id") or ""))
        return FileOwner(owner, "", path, lab_of_owner(owner))
    path = path.partition("/Subjects/")[2] or path
    parts = path.split("/")
    try:
        subject, day, number = parts[0], date.fromisoformat(parts[1]).isoformat(), parts[2]
        if not re.fullmatch(r"\d{1,3}", number):
            raise ValueError
    except (IndexError, ValueError):
        raise refuse(
            f"path: {path!r} is not subject/YYYY-MM-DD/NNN, as in FI_001/2024-07-01/001."
        ) from None
    wanted = [
        Where("subject", "exact", subject),
        Where("date", "exact", day),
        Where("number", "exact", int(number)),
    ]
    found = catalog.table("session").select(wanted).page(0, 1, ("id", "lab"))
    if not found:
        raise refuse(f"There is no session {subject}/{day}/{int(number):03d}.")
    key = SessionKey(found[0]["lab"], subject, day, int(number))
    return FileOwner(found[0]["id"], "/".join(parts[3:]), None, key.lab, key.folder)


def _place(target: FileOwner, filename: str) -> str:
    """Return a file's path below its session.

    Raises
    ------
    ApiError
        400 if it is not of the ONE convention.
    """
    path = "/".join(part for part in (target.collection, filename.strip("/")) if part)
    folders = path.rpartition("/")[0]
    marked = [part for part in folders.split("/") if part.startswith("#") or part.endswith("#")]
    revision = split_path(path)[1]
    if len(marked) > (1 if revision else 0):
        raise refuse(f"{filename!r}: there may be one #revision# folder, the last one.")
    try:
        names.check_path(path)
    except ValueError as error:
        raise refuse(f"{filename!r}: {error}") from None
    return path


def _group(path: str) -> str:
    """Return a path without its revision: all revisions of a file have the same."""
    collection, _, name = split_path(path)
    return dataset_path(collection, None, name)


def _age(item: Dataset) -> tuple[bool, str, str]:
    """Return what revisions sort by from the original to the newest."""
    return bool(item.revision), item.created or "", item.revision or ""


def protection(
    target: FileOwner, paths: Sequence[str], present: Sequence[Dataset]
) -> tuple[bool, list[dict[str, Any]]]:
    """Return whether any file is protected, and for each its revisions, newest first."""
    tags = protected_tags()
    by_group: dict[str, list[Dataset]] = {}
    for item in present:
        by_group.setdefault(_group(item.path), []).append(item)
    details, found = [], False
    for path in paths:
        group = _group(path)
        items = sorted(by_group.get(group, []), key=_age, reverse=True)
        shown = [{each.revision or "": bool(set(each.tags or ()) & tags)} for each in items]
        found |= any(next(iter(each.values())) for each in shown)
        name = group.removeprefix(f"{target.collection}/") if target.collection else group
        details.append({name: shown})
    return found, details


@routes.route("/check-protected", methods=["GET"])
def check_protected() -> dict[str, Any]:
    """Say which files of a session are protected; the body may come with the GET."""
    call = Call(routes.current_request)
    body = _request({**call.query, **call.body})
    target = target_of(body)
    names = [str(each) for each in _items(body, "filenames")]
    paths = [_place(target, name) for name in names]
    found, details = protection(target, paths, datasets_of(target.owner))
    if found:
        return {"status_code": 403, "error": PROTECTED, "details": details}
    return {"status_code": 200, "details": "None of the datasets are protected"}


@routes.route("/register-file", methods=["POST"])
def register_file() -> Response:
    """Register files of a session, or of another record; all or none."""
    call = Call(routes.current_request)
    body = _request(call.body)
    names = [str(each) for each in _items(body, "filenames")]
    if not 1 <= len(names) <= REGISTER_FILES:
        raise refuse(f"filenames: give 1 to {REGISTER_FILES} names.")
    target = target_of(body)
    permissions.check_lab(call.who, target.lab)
    author = _author(body, call)
    paths = [_place(target, name) for name in names]
    if len(set(paths)) != len(paths):
        raise refuse("filenames: a name is given twice.")
    present = datasets_of(target.owner)
    if _flag(body, "check_protected", False):
        found, details = protection(target, paths, present)
        if found:
            raise ApiError(403, error=PROTECTED, details=details)
    new = _new_revisions(_datasets(body, target, paths, author), present, target)
    _make_revisions({each.revision for each in new if each.revision}, call)
    name = hashlib.sha256(json.dumps([target.owner, body], sort_keys=True).encode()).hexdigest()
    kept = register_datasets(target.owner, new, manifest=name, who=call.who.username)
    _join(target, author, call)
    rows = _answers(target, kept, author, call)
    return Response(rows, status_code=201, headers=dict(JSON))


def _author(body: Mapping[str, Any], call: Call) -> str:
    """Return who made the files; that the caller registered them is in the audit trail."""
    author = str(body.get("created_by") or call.who.username)
    if catalog.table("user").get(author) is None:
        raise refuse(f"created_by: There is no user {author!r}.")
    return author


def _datasets(
    body: Mapping[str, Any], target: FileOwner, paths: Sequence[str], author: str
) -> list[Dataset]:
    n = len(paths)
    hashes, sizes = _each(body, "hashes", n), _each(body, "filesizes", n)
    versions, outcomes = _each(body, "versions", n), _each(body, "qc", n)
    default = _flag(body, "default", True)
    records = _records(body, target)
    new = []
    for i, path in enumerate(paths):
        name = path.rpartition("/")[2]
        new.append(
            Dataset.of(
                target.owner,
                path,
                default=default,
                dataset_type=_type_of(name),
                data_format=_format_of(name),
                file_size=_size(sizes[i]),
                hash=_hash(hashes[i]),
                version=None if versions[i] is None else str(versions[i])[:64],
                qc=0 if outcomes[i] is None else quality("qc", str(outcomes[i])),
                created_by=author,
                records=[
                    FileRecord(
                        repository,
                        exists,
                        f"{target.folder}/{path}".strip("/") if target.folder else None,
                    )
                    for repository, exists in records
                ],
            )
        )
    return new


def _records(body: Mapping[str, Any], target: FileOwner) -> list[tuple[str, bool | None]]:
    """Return the repositories that files are on or will be, each with whether they are there.

    Nobody is believed that the own store has a file: it says so itself once an upload has come.

    Raises
    ------
    ApiError
        400 for an unknown lab or repository.
    """
    known = repositories()
    exists, server_only = _flag(body, "exists", True), _flag(body, "server_only", False)
    labs = [str(each) for each in _items(body, "labs") or _items(body, "projects")]
    if not labs and target.lab:
        labs = [target.lab]
    wanted: dict[str, bool] = {}
    for lab in labs:
        row = catalog.table("lab").get(lab)
        if row is None:
            raise refuse(f"labs: There is no lab {lab!r}.")
        for name in row.get("repositories") or [OWN]:
            personal = (known.get(name) or {}).get("globus_is_personal")
            if not (server_only and personal):
                wanted[name] = server_only and name != OWN  # there only by upload
    named = body.get("name") or body.get("repository")
    if not named and body.get("hostname"):
        named = next(
            (r["name"] for r in known.values() if r.get("hostname") == body["hostname"]), None
        )
        if named is None:
            raise refuse(f"hostname: There is no data repository at {body['hostname']!r}.")
    if named:
        if named not in known:
            raise refuse(f"name: There is no data repository {named!r}.")
        wanted[str(named)] = named != OWN
    if not named and exists and not server_only:
        # Nobody said where the files are: not known to be there, nor known to be absent.
        return [(name, None) for name in wanted]
    return [(name, there and exists) for name, there in wanted.items()]


def _type_of(name: str) -> str:
    """Return the dataset type of a file: the convention's, else one that was added here."""
    from shared.alf.dataset_types import DatasetType, match_dataset_type
    from shared.alf.errors import ALFError

    try:
        return match_dataset_type(name).name
    except ALFError:
        pass
    added = [
        DatasetType(row["name"], row.get("filename_pattern") or "", "", "", "")
        for row in catalog.table("dataset-type").rows()
    ]
    try:
        return match_dataset_type(name, added).name
    except ALFError as error:
        raise refuse(f"{name}: {error}") from None


def _format_of(name: str) -> str:
    """Return the data format of a file: the convention's, else one that was added here."""
    from shared.alf.dataset_types import data_format
    from shared.alf.errors import ALFError

    try:
        return data_format(name).name
    except ALFError:
        pass
    fitting = [
        row
        for row in catalog.table("data-format").rows()
        if row.get("file_extension") and name.lower().endswith(row["file_extension"].lower())
    ]
    if not fitting:
        extension = name.rpartition(".")[2]
        raise refuse(f"{name}: .{extension} is not the extension of a known data format.")
    return str(max(fitting, key=lambda row: len(row["file_extension"]))["name"])


def _size(value: Any) -> int | None:
    if value is None:
        return None
    try:
        found = int(value)
    except (TypeError, ValueError, OverflowError):
        raise refuse(f"filesizes: {value!r} is not a number of bytes.") from None
    if not 0 <= found <= MAX_INTEGER:
        raise refuse(f"filesizes: A size is between 0 and {MAX_INTEGER}.")
    return found


def _hash(value: Any) -> str | None:
    if not value:
        return None
    text = str(value).replace("-", "").lower()
    if not re.fullmatch(r"(?:[0-9a-f]{2}){1,64}", text):
        raise refuse(f"hashes: {str(value)[:80]!r} is not hexadecimal.")
    return text


def _new_revisions(
    new: Sequence[Dataset], present: Sequence[Dataset], target: FileOwner
) -> list[Dataset]:
    """Return the datasets with those as new revisions that are other content than is there.

    What has bytes is never overwritten. A revision of the day is made for what differs, unless
    one of the revisions is this content; where the client has the file stays where it says.
    """
    by_path = {item.path: item for item in present}
    revision = next_revision(
        moment.now().date().isoformat(), {item.revision or "" for item in present}
    )
    found = []
    for item in new:
        old = by_path.get(item.path)
        if old is None or item.revision or not (has_bytes(old) and differs(old, item)):
            found.append(item)
            continue
        group = [each for each in present if _group(each.path) == item.path]
        same = [each for each in group if each.checksums.agree(item.checksums)]
        path = same[0].path if same else dataset_path(item.collection, revision, item.name)
        found.append(_moved(item, path, target))
    return found


def _moved(item: Dataset, path: str, target: FileOwner) -> Dataset:
    """Return a dataset under another path; its file is where the client has said."""
    below = (target.folder or target.session_folder.partition("/Subjects/")[2]).strip("/")
    records = [
        FileRecord(each.repository, each.exists, each.path or f"{below}/{item.path}")
        for each in item.records
        if each.repository != OWN
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
    row = catalog.table("session").get(target.owner)
    if row is None:
        return
    edits: dict[str, Any] = {}
    if not row.get("parent_session") and row.get("type") != "Base":
        same_day = [
            Where("subject", "exact", row["subject"]),
            Where("date", "exact", row["date"]),
            Where("type", "exact", "Base"),
        ]
        base = catalog.table("session").select(same_day).values("id") - {row["id"]}
        if base:
            edits["parent_session"] = min(base)
    if edits or author not in row["users"]:

        def edit(now: dict[str, Any]) -> dict[str, Any]:
            users = list(now["users"] or [])
            return {**edits, "users": users if author in users else [*users, author]}

        sessions.update(target.owner, edit, who=call.who.username)


def _answers(target: FileOwner, kept: Sequence[Dataset], author: str, call: Call) -> list[Any]:
    known = repositories()
    row = catalog.table("session").get(target.owner)
    session = brief(target.owner) if row else None
    rows = []
    for item in kept:
        records = file_records(session.folder if session else "", item, known, call)
        shown: dict[str, Any] = {
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
                {k: each[k] for k in ("id", "data_repository", "relative_path", "exists")}
                for each in records
            ],
        }
        if row:
            users = [*row["users"], *([author] if author not in row["users"] else [])]
            shown |= {
                "subject": row["subject"],
                "session": row["id"],
                "session_number": row["number"],
                "session_users": ",".join(users),
                "session_start_time": row["start_time"],
            }
        else:
            content_type, _, object_id = target.owner.partition("#")
            shown |= {"content_type": content_type, "object_id": object_id, "session": None}
        rows.append(shown)
    return rows
