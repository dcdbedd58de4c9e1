"""Datasets: the declaration, the filters, and their store in the sessions' partitions."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from functions.api import permissions
from functions.api.engine import meanings, read_values
from functions.api.engine.concurrency import check_match
from functions.api.engine.declarations import (
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
from functions.api.engine.filter_grammar import BadFilter
from functions.api.engine.filters import MAX_SESSIONS
from functions.api.engine.plan import delete_notes
from functions.api.engine.relations import lab_of_owner
from functions.api.engine.stores import Store
from functions.api.errors import ApiError, Invalid, not_found
from functions.api.resources.dataset_filters import (
    by_quality,
    created,
    in_parts,
    of_probe,
    of_session,
    on_day,
    whether_exists,
    whether_public,
    whether_tagged,
)
from functions.api.resources.owners import owner_of, record_of
from functions.api.shown.datasets import brief, dataset_body
from functions.api.shown.repositories import repositories
from shared import catalog
from shared.alf import names
from shared.catalog.listings import on_stored
from shared.datasets.edit import delete_dataset, update_dataset
from shared.datasets.read import datasets_of, owners_of
from shared.datasets.register import has_bytes, keep_content, register_datasets
from shared.model.identity import dataset_path, row_id
from shared.model.quality import QC
from shared.records.items import Dataset
from shared.records.where import OnStored, Where
from shared.sessions import store as sessions

if TYPE_CHECKING:
    from functions.api.call import Call


class Datasets(Store):
    """Datasets, stored in the partition of their session."""

    def get(self, resource: Resource, key: str, call: Call) -> Body:
        """Return a dataset.

        Raises
        ------
        ApiError
            404.
        """
        if not read_values.is_uuid(key):
            raise not_found("Dataset")
        # The index knows its path; the table is asked for this one alone.
        found = self.fill(resource, _indexed([key.lower()]), call)
        if not found:
            raise not_found("Dataset")
        item: Dataset = found[0]["_item"]
        return {**item.row(), "_item": item, "_session": found[0]["_session"]}

    def etag(self, resource: Resource, row: Row) -> str:
        """Return the ETag of a dataset: its edition."""
        return f'"{int(row["_item"].edition)}"'

    def narrow(self, resource: Resource, wheres: Sequence[Where], call: Call) -> list[Body] | None:
        """Return from the table the datasets that conditions name by id or by session."""
        stored = [where for where in wheres if isinstance(where, OnStored)]
        for where in wheres:
            if where.negate or where.lookup not in ("exact", "in"):
                continue
            wanted = [where.value] if where.lookup == "exact" else list(where.value)
            if where.field == "id":
                rows = self.fill(resource, _indexed([str(each).lower() for each in wanted]), call)
                return _matching(((row["_item"], row["_session"]) for row in rows), wheres)
            if where.field == "session" and len(wanted) <= 2:
                owners = [str(identity) for identity in wanted]
            else:
                continue
            return _matching(_stored(owners), wheres)
        if not stored:
            return None
        indexed = [where for where in wheres if not isinstance(where, OnStored)]
        among = catalog.table("dataset").select(indexed).values("session")
        if len(among) > MAX_SESSIONS:
            text = f"This looks into the datasets of {len(among)} sessions, more than "
            raise BadFilter(f"{text}{MAX_SESSIONS}; name the sessions, the animal or days too.")
        return _matching(_stored(sorted(among)), wheres)

    def fill(self, resource: Resource, rows: list[Body], call: Call) -> list[Body]:
        """Return rows of the index with their stored datasets."""
        keys = [
            (f"{'AGG' if '#' in row['session'] else 'SES'}#{row['session']}", f"D#{row['path']}")
            for row in rows
        ]
        datasets = {
            (item.pk, item.sk): item for item in Dataset.batch_get(keys, consistent_read=True)
        }
        filled = []
        for row, key in zip(rows, keys, strict=True):
            if item := datasets.get(key):
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
        existing = {item.path for item in datasets_of(owner)}
        if path in existing:
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
        name = str(uuid.uuid4())
        registered = register_datasets(
            owner, [item], manifest=name, who=call.who.username, belongs_to=record_of(owner)
        )[0]
        return {"session": owner, "_item": registered, "_session": brief(registered.session)}

    def _session_of(self, data: Mapping[str, Any], call: Call) -> str | None:
        if not data.get("subject"):
            return None
        try:
            number = int(data.get("number") or 1)
        except (ValueError, TypeError, OverflowError):
            raise Invalid({"number": ["A valid integer is required."]}) from None
        subject, day = str(data["subject"]), str(data.get("date"))[:10]
        lab = str(data["lab"]) if data.get("lab") else None
        key = meanings.key_of("subject", subject, call, hint=lab, is_write=True)
        session = sessions.find(key, day, number) if key else None
        if session is None:
            raise Invalid({"session": ["There is no session of this subject, date and number."]})
        return session.id

    def update(self, resource: Resource, key: str, data: Mapping[str, Any], call: Call) -> Body:
        """Change a dataset's record; a protected one keeps its content.

        Raises
        ------
        ApiError
            404, 403, 400 with messages per field.
        """
        row = self.get(resource, key, call)
        dataset: Dataset = row["_item"]
        permissions.check_lab(call.who, lab_of_owner(dataset.owner))
        new = read_values.read_body(resource, data, call, partial=True)
        _keep_place(dataset, new)

        def edit(item: Dataset) -> None:
            check_match(call, self.etag(resource, {"_item": item}))
            permissions.check_fields(call, resource, {"tags": item.tags}, new)
            if not new.keys().isdisjoint({"hash", "file_size"}):
                keep_content(item, checked_hash(new.get("hash")), new.get("file_size"))
            for name in ("dataset_type", "data_format", "file_size", "version", "qc", "json"):
                if name in new and (new[name] is not None or name in ("json", "file_size")):
                    setattr(item, name, new[name])
            if "hash" in new and not (has_bytes(item) and not new["hash"]):
                item.hash = checked_hash(new["hash"])
            if "tags" in new:
                item.tags = new["tags"] or None
            if new.get("default_dataset") is not None:
                item.default = new["default_dataset"]

        item = update_dataset(dataset.owner, dataset.path, edit, who=call.who.username)
        return {"session": item.owner, "_item": item, "_session": brief(item.session)}

    def retag(self, resource: Resource, key: str, tag: str, given: bool, call: Call) -> bool:
        """Give a dataset a tag, or take it; return whether that changed anything.

        Raises
        ------
        ApiError
            404, 403.
        """
        dataset: Dataset = self.get(resource, key, call)["_item"]
        permissions.check_lab(call.who, lab_of_owner(dataset.owner))
        if given == (tag in (dataset.tags or ())):
            return False

        def edit(item: Dataset) -> None:
            rest = [other for other in item.tags or () if other != tag]
            tags = sorted([*rest, tag]) if given else rest
            permissions.check_fields(call, resource, {"tags": item.tags}, {"tags": tags})
            item.tags = tags or None

        update_dataset(dataset.owner, dataset.path, edit, who=call.who.username)
        return True

    def delete(self, resource: Resource, key: str, call: Call) -> None:
        """Delete a dataset's record; a protected one is kept.

        Raises
        ------
        ApiError
            404, 403.
        """
        item: Dataset = self.get(resource, key, call)["_item"]
        if not call.deletes_parts:  # else the permission for its owner was checked
            permissions.check_lab(call.who, lab_of_owner(item.owner))

        def check(present: Dataset) -> None:
            check_match(call, self.etag(resource, {"_item": present}))
            if set(present.tags or ()) & permissions.protecting():
                raise ApiError(403, "The dataset is protected and cannot be deleted.")

        delete_dataset(item.owner, item.path, who=call.who.username, check=check)
        delete_notes(resource, {"id": item.uuid}, call)


def _indexed(identities: Sequence[str]) -> list[Body]:
    """Return the rows of the datasets with some ids, in the index; none for an unknown id."""
    of_owners = Where("session", "in", set(owners_of(identities, strong=True)))
    rows = catalog.table("dataset").select([of_owners])
    named = rows.all(("session", "path", "foreign_id", "default_dataset"))
    # Whoever took the id of a dataset to come does not hide the one whose path gives it
    named.sort(key=lambda row: not row.get("foreign_id"))
    by_id = {row_id(row): row for row in named}
    return [by_id[identity] for identity in dict.fromkeys(identities) if identity in by_id]


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


def _stored(owners: Iterable[str]) -> Iterator[tuple[Dataset, Any]]:
    """Yield the datasets of some owners, each with its session if it has one."""
    for owner in owners:
        session = brief(owner if "#" not in owner else None)
        for item in datasets_of(owner):
            yield item, session


def _matching(found: Iterable[tuple[Dataset, Any]], wheres: Sequence[Where]) -> list[Body]:
    """Return those of some datasets that fulfil all conditions."""
    indexed = [
        where for where in wheres if where.field != "id" and not isinstance(where, OnStored)
    ]
    rest = [where for where in wheres if where.field == "id" or isinstance(where, OnStored)]
    tests = [where.on_rows() for where in [*on_stored("dataset", indexed), *rest]]
    matching = []
    for item, session in found:
        row: Body = {**item.row(), "id": item.uuid, "_item": item, "_session": session}
        if all(test(row) for test in tests):
            matching.append(row)
    return matching


def _show_dataset(shown: Body, row: Row, call: Call) -> Body:
    stores = call.once("repositories", repositories)
    return dataset_body(row["_session"], row["_item"], stores, call)


def _if_any(kind: str, value: str) -> None:
    if value:  # datasets show "" for none, and clients send it back
        names.check(kind, value)


def _files_of(row: Row) -> list[Body]:
    """Return the file records of a stored dataset, as rows of /files."""
    from functions.api.resources.files import file_rows

    return file_rows(row["_item"], row["_session"])


def _changed(row: Row) -> list[Body]:
    item: Dataset = row["_item"]
    return [{"auto_datetime": item.changed or item.created}]


DATASET = Resource(
    path="datasets",
    kind="dataset",
    model="data.dataset",
    access=Access(read="public", rig="read create change", worker="read create change delete"),
    lab="session",
    public_by="session",
    store=Datasets(),
    fields={
        "name": text(required=True, maximum=255, check=partial(names.check, "dataset")),
        "created_by": ref("user"),
        "created_datetime": datetime(read_only=True),
        "dataset_type": ref("dataset-type"),
        "data_format": ref("data-format"),
        "collection": text(maximum=255, null=True, check=partial(_if_any, "collection")),
        "session": ref("session", by="url", on_delete="cascade"),
        "file_size": integer(minimum=0),
        "hash": text(null=True, maximum=128, indexed=False),
        "version": text(null=True, maximum=64),
        "revision": text(
            to="revision", null=True, maximum=255, check=partial(_if_any, "revision")
        ),
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
        "date": on_day,
        "created_date": created("created_date", "date"),
        "created_date_gte": created("created_date_gte", "gte"),
        "created_date_lte": created("created_date_lte", "lte"),
        "exists": whether_exists,
        "session": of_session,
        "probe_insertion": of_probe,
        "public": whether_public,
        "protected": whether_tagged(permissions.protecting),
        "tag": "tags",
        "qc": by_quality,
    },
    reverse={
        "probe_insertion": ("insertion", in_parts, ""),
        "field_of_view": ("field-of-view", in_parts, ""),
        "data_notices": ("data-notice", "datasets", "id"),
        "download": ("download", "dataset", "id"),
    },
    stored={"file_records": ("file", _files_of), "auto_datetime": ("", _changed)},
    columns=("session", "path", "default_dataset"),
    show=_show_dataset,
    example={"session": "<session id>", "name": "trials.table.pqt", "collection": "alf"},
)


declare(DATASET)
