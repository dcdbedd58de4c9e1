"""Parse the body of ``/register-file``: the owner of its files, and the datasets they become."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from functions.api.call import Call
from functions.api.engine import meanings
from functions.api.engine.declarations import KINDS
from functions.api.engine.filters import quality
from functions.api.engine.read_values import MAX_INTEGER
from functions.api.engine.relations import lab_of_owner
from functions.api.errors import ApiError, Invalid
from functions.api.resources.owners import content_owner
from functions.api.shown.repositories import repositories
from shared import catalog
from shared.alf import names
from shared.model.copies import OWN
from shared.model.dataset import FileRecord
from shared.model.identity import SessionKey, split_path
from shared.model.json import Faulty, plain, read
from shared.model.registration import RegisterRequest
from shared.records.items import Dataset
from shared.records.where import Where


class FileOwner(msgspec.Struct, frozen=True):
    """The owner of files.

    Attributes
    ----------
    owner : str
        Session id, or ``content type#object id``.
    collection : str
        Folder named by the path, before those in the file names.
    folder : str or None
        For an aggregate, the folder of its files below the repository.
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


def read_request(given: Mapping[str, Any]) -> dict[str, Any]:
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


def items_of(body: Mapping[str, Any], name: str) -> list[Any]:
    """Return a list, which may be sent as text with commas."""
    value = body.get(name)
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return value if isinstance(value, list) else [value]


def flag_of(body: Mapping[str, Any], name: str, default: bool) -> bool:
    """Return a yes or no, which may be sent as text."""
    value = body.get(name)
    if value is None:
        return default
    return str(value).strip().lower() not in ("false", "0", "")


def _each(body: Mapping[str, Any], name: str, n: int) -> list[Any]:
    """Return one value per file; a single value is for all files."""
    values = items_of(body, name)
    if len(values) == 1 and n > 1:
        values = values * n
    if values and len(values) != n:
        raise refuse(f"{name}: {len(values)} values for {n} files.")
    return [None if value in ("", "None") else value for value in values] or [None] * n


def target_of(body: Mapping[str, Any], call: Call) -> FileOwner:
    """Return the owner of the files of a body.

    Raises
    ------
    ApiError
        400 if the path is invalid, or if the session or record does not exist; 409 if several labs
        have one.
    """
    path = str(body.get("path") or "").strip("/")
    if body.get("content_type"):
        owner = content_owner(str(body["content_type"]), str(body.get("object_id") or ""))
        return FileOwner(owner, "", path, lab_of_owner(owner))
    above, _, below = path.partition("/Subjects/")
    path = below or path
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
        Where("subject", "in", meanings.keys_called(KINDS["subject"], subject)),
        Where("date", "exact", day),
        Where("number", "exact", int(number)),
    ]
    matches = catalog.table("session").select(wanted).all(("id", "lab"))
    if len(matches) > 1:
        lab = above.rpartition("/")[2]
        labs = [lab] if below else items_of(body, "labs") or call.who.labs
        matches = [session for session in matches if session["lab"] in labs] or matches
    if not matches:
        raise refuse(f"There is no session {subject}/{day}/{int(number):03d}.")
    if len(matches) > 1:
        several = " and ".join(sorted(session["lab"] for session in matches))
        below = SessionKey(matches[0]["lab"], subject, day, int(number)).folder
        text = f"{several} have a session {path}; put the lab before it, as in {below}."
        raise ApiError(409, text, error=text)
    key = SessionKey(matches[0]["lab"], subject, day, int(number))
    return FileOwner(matches[0]["id"], "/".join(parts[3:]), None, key.lab, key.folder)


def place_of(target: FileOwner, filename: str) -> str:
    """Return a file's path below its session.

    Raises
    ------
    ApiError
        400 if it does not follow the ONE convention.
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


def author_of(body: Mapping[str, Any], call: Call) -> str:
    """Return the author of the files; the audit trail has the caller who registered them."""
    author = str(body.get("created_by") or call.who.username)
    if catalog.table("user").get(author) is None:
        raise refuse(f"created_by: There is no user {author!r}.")
    return author


def datasets_in(
    body: Mapping[str, Any], target: FileOwner, paths: Sequence[str], author: str
) -> list[Dataset]:
    """Return the datasets that a body's files become."""
    n = len(paths)
    hashes, sizes = _each(body, "hashes", n), _each(body, "filesizes", n)
    versions, outcomes = _each(body, "versions", n), _each(body, "qc", n)
    default = flag_of(body, "default", True)
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
    """Return the repositories of the files, each with whether the files are there already.

    The own store has a file only after an upload, whatever the client says.

    Raises
    ------
    ApiError
        400 for an unknown lab or repository.
    """
    registered = repositories()
    exists, server_only = flag_of(body, "exists", True), flag_of(body, "server_only", False)
    labs = [str(lab_name) for lab_name in items_of(body, "labs") or items_of(body, "projects")]
    if not labs and target.lab:
        labs = [target.lab]
    wanted: dict[str, bool] = {}
    for lab in labs:
        laboratory = catalog.table("lab").get(lab)
        if laboratory is None:
            raise refuse(f"labs: There is no lab {lab!r}.")
        for name in laboratory.get("repositories") or [OWN]:
            personal = (registered.get(name) or {}).get("globus_is_personal")
            if not (server_only and personal):
                wanted[name] = server_only and name != OWN  # only an upload puts files there
    repository = body.get("name") or body.get("repository")
    if not repository and body.get("hostname"):
        repository = next(
            (r["name"] for r in registered.values() if r.get("hostname") == body["hostname"]), None
        )
        if repository is None:
            raise refuse(f"hostname: There is no data repository at {body['hostname']!r}.")
    if repository:
        if repository not in registered:
            raise refuse(f"name: There is no data repository {repository!r}.")
        wanted[str(repository)] = repository != OWN
    if not repository and exists and not server_only:
        # The client did not say where the files are, so their existence is unknown.
        return [(name, None) for name in wanted]
    return [(name, claimed and exists) for name, claimed in wanted.items()]


def _type_of(name: str) -> str:
    """Return the dataset type of a file: the convention's, else one of this installation."""
    from shared.alf.dataset_types import DatasetType, match_dataset_type
    from shared.alf.errors import ALFError

    try:
        return match_dataset_type(name).name
    except ALFError:
        pass
    added = [
        DatasetType(dataset_type["name"], dataset_type.get("filename_pattern") or "", "", "", "")
        for dataset_type in catalog.table("dataset-type").rows()
    ]
    try:
        return match_dataset_type(name, added).name
    except ALFError as error:
        raise refuse(f"{name}: {error}") from None


def _format_of(name: str) -> str:
    """Return the data format of a file: the convention's, else one of this installation."""
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
        size = int(value)
    except (TypeError, ValueError, OverflowError):
        raise refuse(f"filesizes: {value!r} is not a number of bytes.") from None
    if not 0 <= size <= MAX_INTEGER:
        raise refuse(f"filesizes: A size is between 0 and {MAX_INTEGER}.")
    return size


def _hash(value: Any) -> str | None:
    if not value:
        return None
    text = str(value).replace("-", "").lower()
    if not re.fullmatch(r"(?:[0-9a-f]{2}){1,64}", text):
        raise refuse(f"hashes: {str(value)[:80]!r} is not hexadecimal.")
    return text
