"""Data: datasets, their file records, and what describes them."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from functions.api import permissions
from functions.api.engine import read_values
from functions.api.engine.declarations import (
    REFERENCE,
    Access,
    Body,
    Resource,
    Row,
    choice,
    datetime,
    declare,
    flag,
    integer,
    json,
    ref,
    refs,
    text,
)
from functions.api.engine.filter_grammar import flag_of
from functions.api.engine.filters import Select
from functions.api.engine.stores import Documents, Store
from functions.api.engine.visible import public_datasets
from functions.api.errors import ApiError, Invalid, not_found
from functions.api.resources.people import plain_name
from functions.api.shown.repositories import on_server
from shared import catalog
from shared.access import policy, visibility
from shared.catalog import visible
from shared.catalog.listings import on_stored
from shared.datasets.edit import delete_dataset, update_dataset
from shared.datasets.read import datasets_of, owners_of
from shared.datasets.register import register_datasets
from shared.model import moment
from shared.model.identity import dataset_path, row_id, uuid4_from, with_uuid
from shared.model.quality import QC, QC_NAMES
from shared.records import optimistic
from shared.records.errors import NotFound
from shared.records.items import Dataset, Pointer, Session
from shared.records.where import Where
from shared.sessions import store as sessions
from shared.sessions.contents import find_dataset

if TYPE_CHECKING:
    from functions.api.call import Call

IMPORTANCE = {"CRITICAL": 50, "HIGH": 40, "MEDIUM": 30, "LOW": 20}
Repositories = Mapping[str, Row]


def repositories() -> Repositories:
    """Return all data repositories by name."""
    return {row["name"]: row for row in catalog.table("data-repository").rows()}


def lab_repository(lab: str) -> str:
    """Return the name of a lab's own repository in the data bucket."""
    return f"aws_{lab}"


def relative_path(folder: str, item: Dataset, record: Sequence[Any]) -> str:
    """Return where a file is below its repository's folder: ``subject/date/NNN/…``."""
    if record[2]:
        return str(record[2])
    below = folder.partition("/Subjects/")[2] or folder
    return f"{below}/{item.path}" if below else item.path


def data_url(repository: Row | None, path: str, identity: str, call: Call) -> str | None:
    """Return the address of a file on a repository; None if it has no web server.

    The ``#`` of a revision is written as it is: clients read the path from it, and quote it.
    """
    base = (repository or {}).get("data_url")
    if not base:
        return None
    if base.startswith("/"):
        base = call.url(base)
    # A plain folder behind a web server has its files under their own names.
    plain = ((repository or {}).get("json") or {}).get("plain_names")
    return f"{base.rstrip('/')}/{path if plain else with_uuid(path, identity)}"


def record_id(item: Dataset, record: Sequence[Any]) -> str:
    """Return the id of a file record; it begins as the session's, which leads to the dataset.

    That of an aggregate's begins as the dataset's own.
    """
    prefix = (item.session or item.id).replace("-", "")[:12]
    return record[4] or uuid4_from(prefix, item.uuid, str(record[0]))


def file_records(folder: str, lab: str, item: Dataset, known: Repositories, call: Call) -> Any:
    """Return the file records of a dataset as clients are shown them."""
    shown = []
    for record in item.records or []:
        name = record[0] or lab_repository(lab)
        repository = known.get(name)
        path = relative_path(folder, item, record)
        shown.append(
            {
                "id": record_id(item, record),
                "data_repository": name,
                "data_repository_path": (repository or {}).get("globus_path") or "",
                "relative_path": path,
                "data_url": data_url(repository, path, item.uuid, call),
                "exists": bool(record[1]),
            }
        )
    return shown


def session_dataset(session: Session, item: Dataset, known: Repositories, call: Call) -> Body:
    """Return a dataset as the detail of a session shows it."""
    urls = [
        data_url(
            known.get(record[0] or lab_repository(session.lab)),
            relative_path(session.folder, item, record),
            item.uuid,
            call,
        )
        for record in item.records or []
        if record[1]
    ]
    address = next((url for url in urls if url), None)
    return {
        "id": item.uuid,
        "name": item.name,
        "dataset_type": item.dataset_type,
        # Never null: the client reads the path from it, even of a file that has no address.
        "data_url": address
        or f"{call.url('/data')}/{with_uuid(f'{session.folder}/{item.path}', item.uuid)}",
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
    return call.once("tags", lambda: (permissions.protecting(), permissions.released()))


def dataset_body(session: Session | None, item: Dataset, known: Repositories, call: Call) -> Body:
    """Return a dataset as ``/datasets`` shows it."""
    tags = set(item.tags or ())
    protected, public = _tags(call)
    zones = call.once("zones", lambda: visible.zones_of(catalog.table))
    seen = visible.of_item(session, zones, item)
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
        "file_records": file_records(folder, session.lab if session else "", item, known, call),
        "auto_datetime": item.changed or item.created,
        "revision": item.revision or "",
        "default_dataset": bool(item.default),
        "protected": int(bool(tags & protected)),
        "public": int(visibility.is_public(seen, moment.now(), public)),
        "tags": sorted(tags),
        "qc": QC_NAMES.get(int(item.qc), "NOT_SET"),
        "json": item.json,
        "rows": None if item.rows is None else int(item.rows),
        "sha256": item.sha256,
        "provenance": item.provenance,
        **({} if session else _content(item.owner)),
    }


def _content(owner: str) -> Body:
    content_type, _, object_id = owner.partition("#")
    return {"content_type": content_type or None, "object_id": object_id or None}


class _Brief:
    """What `dataset_body` needs of a session, from its row in the index."""

    def __init__(self, row: Row) -> None:
        self.id, self.lab, self.number = row["id"], row["lab"], row["number"]
        self.public = row.get("public")
        self.embargo_until = row.get("embargo_until")
        self.folder = f"{row['lab']}/Subjects/{row['subject']}/{row['date']}/{row['number']:03d}"


def brief(eid: str | None) -> Any:
    """Return what is needed of a dataset's session; None for an aggregate."""
    row = catalog.table("session").get(eid) if eid else None
    return _Brief(row) if row else None


class Datasets(Store):
    """Datasets, which live in the partition of their session."""

    def get(self, resource: Resource, key: str, call: Call) -> Body:
        """Return a dataset.

        Raises
        ------
        ApiError
            404.
        """
        if not read_values.is_uuid(key):
            raise not_found("Dataset")
        try:
            session, item = find_dataset(key.lower())
        except NotFound:
            raise not_found("Dataset") from None
        return {**item.row(), "_item": item, "_session": session}

    def narrow(self, resource: Resource, wheres: Sequence[Where], call: Call) -> list[Body] | None:
        """Return the datasets that conditions name by id or by session, from the table."""
        for where in wheres:
            if where.negate or where.lookup not in ("exact", "in"):
                continue
            wanted = [where.value] if where.lookup == "exact" else list(where.value)
            if where.field == "id":
                owners = owners_of([str(each).lower() for each in wanted])
            elif where.field == "session" and len(wanted) <= 2:
                owners = [str(each) for each in wanted]
            else:
                continue
            return _matching(owners, wheres)
        return None

    def fill(self, resource: Resource, rows: list[Body], call: Call) -> list[Body]:
        """Return rows of the index with the datasets they stand for."""
        keys = [
            (f"{'AGG' if '#' in row['session'] else 'SES'}#{row['session']}", f"D#{row['path']}")
            for row in rows
        ]
        found = {
            (item.pk, item.sk): item for item in Dataset.batch_get(keys, consistent_read=True)
        }
        filled = []
        for row, key in zip(rows, keys, strict=True):
            if item := found.get(key):
                item.default = row["default_dataset"]
                filled.append({**row, "_item": item, "_session": brief(item.session)})
        return filled

    def create(self, resource: Resource, data: Mapping[str, Any], call: Call) -> Body:
        """Create a dataset's record.

        Raises
        ------
        Invalid
            400 with messages per field.
        """
        body = read_values.read_body(resource, data, call, partial=False)
        owner = body["session"] or self._session_of(data, call) or owner_of(data)
        if owner is None:
            raise Invalid({"session": ["Give a session, or subject, date and number."]})
        lab = lab_of_owner(owner)
        permissions.check_lab(call.who, lab)
        permissions.check_fields(call, resource, None, body)
        path = dataset_path(body["collection"], body["revision"], body["name"])
        there = {item.path for item in datasets_of(owner)}
        if path in there:
            raise Invalid({"non_field_errors": [f"Dataset {path} already exists."]})
        identity = data["id"] if read_values.is_uuid(data.get("id")) else None
        item = Dataset.of(
            owner,
            path,
            id=identity,
            default=body["default_dataset"] is not False,
            exists=False,
            records=[],
            dataset_type=body["dataset_type"] or "unknown",
            data_format=body["data_format"],
            file_size=body["file_size"],
            hash=checked_hash(body["hash"]),
            qc=body["qc"],
            version=body["version"],
            created_by=body["created_by"] or call.who.username,
            tags=body["tags"],
            json=body["json"],
        )
        item.records = []
        name = str(uuid.uuid4())
        kept = register_datasets(owner, [item], manifest=name, who=call.who.username)[0]
        return {"session": owner, "_item": kept, "_session": brief(kept.session)}

    def _session_of(self, data: Mapping[str, Any], call: Call) -> str | None:
        if not data.get("subject"):
            return None
        try:
            number = int(data.get("number") or 1)
            found = sessions.find(str(data["subject"]), str(data.get("date"))[:10], number)
        except ValueError:
            raise Invalid({"number": ["A valid integer is required."]}) from None
        if found is None:
            raise Invalid({"session": ["There is no session of this subject, date and number."]})
        return found.id

    def update(self, resource: Resource, key: str, data: Mapping[str, Any], call: Call) -> Body:
        """Change a dataset's record; a protected one keeps its content.

        Raises
        ------
        ApiError
            404, 403, 400 with messages per field.
        """
        row = self.get(resource, key, call)
        found: Dataset = row["_item"]
        permissions.check_lab(call.who, lab_of_owner(found.owner))
        new = read_values.read_body(resource, data, call, partial=True)
        _keep_place(found, new)
        if set(found.tags or ()) & permissions.protecting() and set(new) & {"hash", "file_size"}:
            raise ApiError(403, "The dataset is protected; its content cannot be changed.")

        def edit(item: Dataset) -> None:
            permissions.check_fields(call, resource, {"tags": item.tags}, new)
            for name in ("dataset_type", "data_format", "file_size", "version", "qc", "json"):
                if name in new and (new[name] is not None or name in ("json", "file_size")):
                    setattr(item, name, new[name])
            if "hash" in new:
                item.hash = checked_hash(new["hash"])
            if "tags" in new:
                item.tags = new["tags"] or None
            if new.get("default_dataset") is not None:
                item.default = new["default_dataset"]

        item = update_dataset(found.owner, found.path, edit, who=call.who.username)
        return {"session": item.owner, "_item": item, "_session": brief(item.session)}

    def delete(self, resource: Resource, key: str, call: Call) -> None:
        """Delete a dataset's record; a protected one is kept.

        Raises
        ------
        ApiError
            404, 403.
        """
        item: Dataset = self.get(resource, key, call)["_item"]
        permissions.check_lab(call.who, lab_of_owner(item.owner))
        if set(item.tags or ()) & permissions.protecting():
            raise ApiError(403, "The dataset is protected and cannot be deleted.")
        delete_dataset(item.owner, item.path, who=call.who.username)


def checked_hash(value: str | None) -> str | None:
    """Return a hash as stored: MD5 in hexadecimal, None for unknown."""
    if not value:
        return None
    if not re.fullmatch(r"(?:[0-9a-fA-F]{2}){1,64}", value):
        raise Invalid({"hash": ["Write the hash as hexadecimal digits."]})
    return value.lower()


def _keep_place(item: Dataset, new: Mapping[str, Any]) -> None:
    for name in ("name", "collection", "revision", "session"):
        if name in new and (new[name] or "") != (getattr(item, name) or ""):
            message = f"The {name} of a dataset cannot be changed; register it anew."
            raise Invalid({name: [message]})


def owner_of(data: Mapping[str, Any]) -> str | None:
    """Return the record other than a session that a body names; None if it names none."""
    if not data.get("content_type"):
        return None
    return content_owner(str(data["content_type"]), str(data.get("object_id") or ""))


def content_owner(content_type: str, object_id: str) -> str:
    """Return the owner of datasets that belong to a record other than a session.

    Raises
    ------
    Invalid
        400 if there is no such record.
    """
    from functions.api.engine.declarations import MODELS

    resource = MODELS.get(content_type.lower())
    if resource is None:
        raise Invalid({"content_type": [f"{content_type!r} is not a kind of record."]})
    if not object_id:
        raise Invalid({"object_id": ["This field is required."]})
    key = read_values.key_of(resource.kind, object_id)
    if key is None:
        raise Invalid({"object_id": [f'Invalid pk "{object_id}" - object does not exist.']})
    return f"{resource.model}#{object_id}"


def lab_of_owner(owner: str) -> str | None:
    """Return the lab of a dataset's session or other record."""
    from functions.api.engine.declarations import MODELS

    if "#" not in owner:
        return (catalog.table("session").get(owner) or {}).get("lab")
    model, _, identity = owner.partition("#")
    resource = MODELS.get(model)
    key = read_values.key_of(resource.kind, identity) if resource else None
    row = catalog.table(resource.kind).get(key) if resource and key else None
    return read_values.lab_of(resource, row) if resource and row else None


def _matching(owners: Iterable[str], wheres: Sequence[Where]) -> list[Body]:
    """Return the datasets of some sessions that fulfil all conditions."""
    stored = on_stored("dataset", [where for where in wheres if where.field != "id"])
    tests = [where.on_rows() for where in [*stored, *(w for w in wheres if w.field == "id")]]
    found = []
    for owner in owners:
        session = brief(owner if "#" not in owner else None)
        for item in datasets_of(owner):
            row: Body = {**item.row(), "id": item.uuid}
            if all(test(row) for test in tests):
                found.append({**row, "_item": item, "_session": session})
    return found


def _show_dataset(shown: Body, row: Row, call: Call) -> Body:
    known = call.once("repositories", repositories)
    return dataset_body(row["_session"], row["_item"], known, call)


class Files(Store):
    """File records: where a dataset's file is; kept within the dataset."""

    def _of(self, item: Dataset, session: Any) -> list[Body]:
        lab = session.lab if session else ""
        folder = session.folder if session else ""
        return [
            {
                "id": record_id(item, record),
                "dataset": item.uuid,
                "data_repository": record[0] or lab_repository(lab),
                "relative_path": relative_path(folder, item, record),
                "exists": bool(record[1]),
                "json": record[3],
                "name": None,
                "session": item.owner,
                "_item": item,
                "_place": place,
            }
            for place, record in enumerate(item.records or [])
        ]

    def narrow(self, resource: Resource, wheres: Sequence[Where], call: Call) -> list[Body]:
        """Return all file records that fulfil the conditions."""
        tests = [(where.field, where.compiled()) for where in wheres]
        owners: Iterable[str] | None = None
        for where in wheres:
            if where.field in ("dataset", "id") and not where.negate:
                wanted = where.value if where.lookup == "in" else [where.value]
                owners = owners_of([str(each).lower() for each in wanted])
                break
        if owners is None:
            owners = sorted(catalog.table("dataset").select().values("session"))
        rows = []
        for owner in owners:
            session = brief(owner if "#" not in owner else None)
            for item in datasets_of(owner):
                rows += [
                    row
                    for row in self._of(item, session)
                    if all(test(row.get(name)) for name, test in tests)
                ]
        return rows

    def get(self, resource: Resource, key: str, call: Call) -> Body:
        """Return a file record.

        Raises
        ------
        ApiError
            404.
        """
        if not read_values.is_uuid(key):
            raise not_found("FileRecord")
        found = self.narrow(resource, [Where("id", "exact", key.lower())], call)
        found = found or self._elsewhere(resource, key, call)
        if not found:
            raise not_found("FileRecord")
        return found[0]

    def _elsewhere(self, resource: Resource, key: str, call: Call) -> list[Body]:
        """Look for a record whose id leads to no session: an imported one, or an aggregate's."""
        try:
            owners = {Pointer.get(f"FRID#{key.lower()}", "A").to}
        except Pointer.DoesNotExist:
            rows = catalog.table("dataset").select([Where("session", "contains", "#")]).all()
            prefix = key.lower().replace("-", "")[:12]
            owners = {
                row["session"] for row in rows if row_id(row).replace("-", "")[:12] == prefix
            }
        return [
            row
            for owner in sorted(owners)
            for item in datasets_of(owner)
            for row in self._of(item, brief(owner if "#" not in owner else None))
            if row["id"] == key.lower()
        ]

    def create(self, resource: Resource, data: Mapping[str, Any], call: Call) -> Body:
        """Add a file record to a dataset.

        Raises
        ------
        Invalid
            400, also if the dataset has one on that repository.
        """
        body = read_values.read_body(resource, data, call, partial=False)
        _, found = find_dataset(body["dataset"])
        permissions.check_lab(call.who, lab_of_owner(found.owner))
        identity = data["id"] if read_values.is_uuid(data.get("id")) else None

        def edit(item: Dataset) -> None:
            if any(record[0] == body["data_repository"] for record in item.records or []):
                raise Invalid(
                    {"non_field_errors": ["The dataset has a file record on this repository."]}
                )
            added = [
                body["data_repository"],
                bool(body["exists"]),
                body["relative_path"] or None,
                body["json"],
                identity,
            ]
            item.records = [*(item.records or []), added]

        item = update_dataset(found.owner, found.path, edit, who=call.who.username)
        if identity:
            optimistic.save_all([Pointer(pk=f"FRID#{identity}", sk="A", to=item.owner)])
        return self._of(item, brief(item.session))[-1]

    def update(self, resource: Resource, key: str, data: Mapping[str, Any], call: Call) -> Body:
        """Change a file record.

        Raises
        ------
        ApiError
            404, 403, 400.
        """
        row = self.get(resource, key, call)
        new = read_values.read_body(resource, data, call, partial=True)
        item = self._edit(
            row,
            call,
            lambda record: [
                new.get("data_repository") or record[0],
                bool(new.get("exists", record[1])),
                new.get("relative_path") or record[2],
                new.get("json", record[3]),
                row["id"] if record[4] else record[4],
            ],
        )
        return self._of(item, brief(item.session))[row["_place"]]

    def delete(self, resource: Resource, key: str, call: Call) -> None:
        """Delete a file record.

        Raises
        ------
        ApiError
            404, 403.
        """
        self._edit(self.get(resource, key, call), call, lambda record: None)

    def _edit(self, row: Body, call: Call, change: Any) -> Dataset:
        found: Dataset = row["_item"]
        permissions.check_lab(call.who, lab_of_owner(found.owner))
        session = brief(found.session)

        def edit(item: Dataset) -> None:
            records = []
            for record in item.records or []:
                lab = session.lab if session else ""
                same = record_id(item, record) == row["id"]
                if same and (changed := change([record[0] or lab_repository(lab), *record[1:]])):
                    records.append(changed)
                elif not same:
                    records.append(record)
            item.records = records

        return update_dataset(found.owner, found.path, edit, who=call.who.username)


def _show_file(shown: Body, row: Row, call: Call) -> Body:
    return {
        "id": row["id"],
        "url": call.url(f"/files/{row['id']}"),
        "dataset": call.url(f"/datasets/{row['dataset']}"),
        "data_repository": row["data_repository"],
        "relative_path": row["relative_path"],
        "exists": row["exists"],
        "json": row["json"],
        "name": row["name"] or "",
    }


def _exists(value: str, call: Call, select: Select) -> list[Where]:
    there = on_server()
    return [
        there if flag_of("exists", value) else Where("repositories", "test", there.value, True)
    ]


def _public(value: str, call: Call, select: Select) -> list[Where]:
    either = public_datasets()
    if flag_of("public", value):
        return [either]
    return [Where(each.field, each.lookup, each.value, negate=True) for each in either.value]


def _tagged(tags: Any) -> Any:
    def condition(value: str, call: Call, select: Select) -> list[Where]:
        return [Where("tags", "in", tags(), not flag_of("", value))]

    return condition


def _day(value: str, call: Call, select: Select) -> list[Where]:
    from functions.api.engine.filter_grammar import days

    first, after = days("date", f"{value},{value}")
    on_day = [Where("start_time", "gte", first), Where("start_time", "lt", after)]
    return [Where("session", "in", select("session", on_day).values("id"))]


def _created(name: str, lookup: str) -> Any:
    def condition(value: str, call: Call, select: Select) -> list[Where]:
        from functions.api.engine.filter_grammar import days

        first, after = days(name, f"{value},{value}")
        if lookup == "date":
            return [
                Where("created_datetime", "gte", first),
                Where("created_datetime", "lt", after),
            ]
        bound = first if lookup == "gte" else after
        return [Where("created_datetime", "gte" if lookup == "gte" else "lt", bound)]

    return condition


def _session_ref(value: str, call: Call, select: Select) -> list[Where]:
    return [Where("session", "exact", read_values.last_part(value).lower())]


def _probe(value: str, call: Call, select: Select) -> list[Where]:
    from functions.api.shown.insertions import probe_of

    row = catalog.table("insertion").get(value.lower())
    if row is None:
        return [Where("session", "in", set())]
    return [
        Where("session", "exact", row["session"]),
        Where("collection", "test", lambda c: probe_of(c or "") == row["name"]),
    ]


def _quality(value: str, call: Call, select: Select) -> list[Where]:
    from functions.api.engine.filters import quality

    return [Where("qc", "exact", quality("qc", value))]


class RepositoryStore(Documents):
    """Data repositories; among them the one whose name the ONE client has built in."""

    def get(self, resource: Resource, key: str, call: Call) -> Body:
        """Return a repository.

        The client asks for ``aws_cortexlab`` before each download, to learn of a public bucket;
        an answer without one makes it use the web server, and is kept.

        Raises
        ------
        ApiError
            404.
        """
        try:
            return super().get(resource, key, call)
        except ApiError:
            if key != "aws_cortexlab":
                raise
        bucket = os.environ.get("FORNIX_PUBLIC_BUCKET")
        region = os.environ.get("AWS_REGION")
        place = {"bucket_name": bucket, "region_name": region} if bucket else None
        return {"id": uuid4_from("", key), "name": key, "json": place}


def _extension(value: str) -> None:
    if value and not value.startswith("."):
        raise ValueError("A file extension begins with a dot.")


def _revision(value: str) -> None:
    if not re.fullmatch(r"[^/#\s]+", value):
        raise ValueError("A revision has no slashes, spaces or #.")


def _revision_if_any(value: str) -> None:
    if value:  # datasets show "" where there is none, and it comes back
        _revision(value)


def _prepare_type(body: Body, old: Body | None, call: Call) -> Body:
    return {**body, "filename_pattern": (body.get("filename_pattern") or "").lower()}


def _prepare_tag(body: Body, old: Body | None, call: Call) -> Body:
    """Leave publishing to those who manage all labs concerned, unprotecting to who may."""
    old = old or {}
    changes = bool(body.get("public")) != bool(old.get("public"))
    if changes and (labs := _labs_of(Where("tags", "exact", body["name"]))):
        permissions.require(policy.may_manage(call.who, labs, "The tag"))
    if old.get("protected") and not body.get("protected"):
        permissions.require(policy.may_unprotect(call.who))
    return body


def _delete_tag(body: Body, call: Call) -> None:
    _prepare_tag({"name": body["name"]}, body, call)


def _labs_of(datasets: Where) -> set[str]:
    """Return the labs that have some datasets."""
    owners = catalog.table("dataset").select([datasets]).values("session")
    labs: set[str] = catalog.table("session").select([Where("id", "in", owners)]).values("lab")
    return labs


def _prepare_repository(body: Body, old: Body | None, call: Call) -> Body:
    """Leave a repository to those who manage every lab that has it, or files on it."""
    name = body["name"]
    if old is not None and old != body:
        listing = catalog.table("lab").select([Where("repositories", "exact", name)])
        labs = listing.values("name") | _labs_of(Where("repositories", "exact", name))
        permissions.require(policy.may_change_repository(call.who, labs, old, body))
    return body


def _address(value: str) -> None:
    """Refuse what cannot be part of an address: it goes into a header of answers."""
    if not re.fullmatch(r"[!-~]*", value):
        raise ValueError("An address has no spaces, control characters or other letters.")


def _data_url(value: str) -> None:
    _address(value)
    if value and not re.match(r"https?://[^/]|/(?!/)", value):
        raise ValueError("An address begins with https:// or http://, or / below the API's own.")


def _show_repository(shown: Body, row: Row, call: Call) -> Body:
    """Keep credentials from those who are shown public data only."""
    described = dict(shown.get("json") or {})
    if call.who.is_public and not _open(described):
        described = {k: v for k, v in described.items() if "key" not in k.lower()}
    if (shown.get("data_url") or "").startswith("/"):
        shown["data_url"] = call.url(shown["data_url"])
    return {**shown, "json": described or None}


def _open(described: Mapping[str, Any]) -> bool:
    return "public" in str(described.get("bucket_name", "")).lower()


def _show_notice(shown: Body, row: Row, call: Call) -> Body:
    from html import escape

    paragraphs = [part.strip() for part in (row.get("description") or "").split("\n\n")]
    html = "".join(f"<p>{escape(part)}</p>" for part in paragraphs if part)
    return {"id": row["id"], **shown, "description_html": html}


DATASET = Resource(
    path="datasets",
    kind="dataset",
    model="data.dataset",
    access=Access(read="public", rig="read create change", worker="read create change delete"),
    lab="session",
    public_by="session",
    store=Datasets(),
    fields={
        "name": text(required=True, maximum=255, check=plain_name),
        "created_by": ref("user"),
        "created_datetime": datetime(read_only=True),
        "dataset_type": ref("dataset-type"),
        "data_format": ref("data-format"),
        "collection": text(maximum=255, null=True),
        "session": ref("session", by="url"),
        "file_size": integer(minimum=0),
        "hash": text(null=True, maximum=128, indexed=False),
        "version": text(null=True, maximum=64),
        "revision": text(null=True, maximum=255, check=_revision_if_any),
        "default_dataset": flag(default=True),
        "tags": refs("tag"),
        "qc": choice(QC, default=0, null=False),
        "json": json(indexed=False),
    },
    filters={
        "id": "id",
        "subject": "session__subject",
        "lab": "session__lab",
        "experiment_number": "session__number",
        "number": "session__number",
        "date": _day,
        "created_date": _created("created_date", "date"),
        "created_date_gte": _created("created_date_gte", "gte"),
        "created_date_lte": _created("created_date_lte", "lte"),
        "exists": _exists,
        "session": _session_ref,
        "probe_insertion": _probe,
        "public": _public,
        "protected": _tagged(permissions.protecting),
        "tag": "tags",
        "qc": _quality,
    },
    columns=("session", "path", "default_dataset"),
    show=_show_dataset,
    example={"session": "<session id>", "name": "trials.table.pqt", "collection": "alf"},
)

declare(
    DATASET,
    Resource(
        path="files",
        kind="file",
        model="data.filerecord",
        access=Access(worker="read create change delete", rig="read create"),
        lab="dataset",
        public_by="session",
        store=Files(),
        fields={
            "dataset": ref("dataset", by="url", required=True, null=False),
            "data_repository": ref("data-repository", required=True, null=False),
            "relative_path": text(maximum=1000),
            "exists": flag(),
            "json": json(),
            "name": text(null=True, maximum=255),
        },
        show=_show_file,
        example={"dataset": "<dataset id>", "data_repository": "aws_fimbrialab"},
    ),
    Resource(
        path="dataset-types",
        django=False,
        kind="dataset-type",
        model="data.datasettype",
        key="name",
        access=REFERENCE,
        fields={
            "name": text(required=True, maximum=255, check=plain_name),
            "created_by": ref("user"),
            "description": text(maximum=1023),
            "filename_pattern": text(maximum=255),
        },
        unique=(("filename_pattern",),),
        prepare=_prepare_type,
        show=lambda shown, row, call: {"id": row["id"], **shown},
        example={"name": "spikes.times", "filename_pattern": "*spikes.times*.npy"},
    ),
    Resource(
        path="data-formats",
        django=False,
        kind="data-format",
        model="data.dataformat",
        key="name",
        access=REFERENCE,
        fields={
            "name": text(required=True, maximum=255, check=plain_name),
            "description": text(maximum=255),
            "file_extension": text(maximum=255, check=_extension),
            "matlab_loader_function": text(maximum=255),
            "python_loader_function": text(maximum=255),
            "json": json(),
        },
        show=lambda shown, row, call: {"id": row["id"], **shown},
        example={"name": "npy", "file_extension": ".npy"},
    ),
    Resource(
        path="data-repository-type",
        django=False,
        kind="data-repository-type",
        model="data.datarepositorytype",
        key="name",
        access=REFERENCE,
        fields={"name": text(required=True, maximum=255, check=plain_name), "json": json()},
        example={"name": "Fileserver"},
    ),
    Resource(
        path="data-repository",
        django=False,
        kind="data-repository",
        store=RepositoryStore(),
        model="data.datarepository",
        key="name",
        access=Access(
            read="public",
            create="manager",
            change="manager",
            delete="administrator",
            rig="read",
            worker="read change",
        ),
        fields={
            "name": text(required=True, maximum=255, check=plain_name),
            "timezone": text(maximum=64),
            "repository_type": ref("data-repository-type"),
            "globus_path": text(maximum=1000, check=_address),
            "globus_endpoint_id": text(null=True, maximum=36),
            "globus_is_personal": flag(default=None),
            "hostname": text(maximum=200, check=_address),
            "data_url": text(null=True, maximum=1000, check=_data_url),
            "json": json(),
        },
        filters={
            "globus_is_personal": "globus_is_personal",
            "globus_endpoint_id": "globus_endpoint_id",
        },
        prepare=_prepare_repository,
        show=_show_repository,
        example={"name": "aws_fimbrialab", "data_url": "/data/fimbrialab/Subjects/"},
    ),
    Resource(
        path="revisions",
        django=False,
        kind="revision",
        model="data.revision",
        key="name",
        access=Access(read="public", worker="read create", rig="read create", change="manager"),
        fields={
            "name": text(required=True, maximum=255, check=_revision),
            "description": text(maximum=1023),
            "created_datetime": datetime(default=lambda call: moment.now().isoformat()),
            "json": json(),
        },
        show=lambda shown, row, call: {"id": row["id"], **shown},
        example={"name": "2024-07-01"},
    ),
    Resource(
        path="tags",
        django=False,
        kind="tag",
        model="data.tag",
        key="name",
        access=Access(read="public", change="manager", delete="administrator"),
        prepare=_prepare_tag,
        allow_delete=_delete_tag,
        fields={
            "name": text(required=True, maximum=255, check=plain_name),
            "description": text(maximum=1023),
            "protected": flag(),
            "public": flag(),
            "hash": text(null=True, maximum=64),
            "json": json(),
        },
        show=lambda shown, row, call: {"id": row["id"], **shown},
        example={"name": "2024_Q3_Fimbria_et_al", "protected": True},
    ),
    Resource(
        path="data-notices",
        kind="data-notice",
        model="data.datanotice",
        access=Access(read="public"),
        fields={
            "name": text(required=True, maximum=255),
            "importance": choice(IMPORTANCE, default=20, null=False),
            "description": text(),
            "datasets": refs("dataset", by="id"),
            "version_affected": text(null=True, maximum=64),
            "start_datetime": datetime(),
            "end_datetime": datetime(),
            "json": json(),
        },
        show=_show_notice,
        example={"name": "Camera times shifted", "importance": "HIGH"},
    ),
    Resource(
        path="downloads",
        kind="download",
        model="data.download",
        actions="list read update partial_update",
        fields={
            "user": ref("user", read_only=True),
            "dataset": ref("dataset", by="id", read_only=True),
            "count": integer(read_only=True),
            "first_download": datetime(read_only=True),
            "last_download": datetime(read_only=True),
            "projects": refs("project"),
            "json": json(),
        },
        show=lambda shown, row, call: {"id": row["id"], **shown},
    ),
)
