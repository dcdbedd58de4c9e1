"""File records: the places of a dataset's file, stored within the dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from functions.api import permissions
from functions.api.engine import read_values
from functions.api.engine.concurrency import check_match
from functions.api.engine.declarations import (
    KINDS,
    Access,
    Body,
    Resource,
    Row,
    declare,
    flag,
    json,
    ref,
    text,
)
from functions.api.engine.relations import lab_of_owner
from functions.api.engine.stores import Store
from functions.api.errors import Invalid, not_found
from functions.api.shown.datasets import brief, record_id, relative_path
from shared import catalog
from shared.datasets.edit import update_dataset
from shared.datasets.read import datasets_of, owners_of
from shared.datasets.register import has_bytes
from shared.model import copies
from shared.model.copies import OWN
from shared.model.dataset import FileRecord
from shared.model.identity import row_id
from shared.records.items import Dataset
from shared.records.where import Where
from shared.sessions.contents import find_dataset

if TYPE_CHECKING:
    from functions.api.call import Call


def file_rows(item: Dataset, session: Any) -> list[Body]:
    """Return the file records of a dataset, with or without a session."""
    folder = session.folder if session else ""
    return [
        {
            "id": record_id(item, record),
            "dataset": item.uuid,
            "data_repository": record.repository,
            "relative_path": relative_path(folder, item, record),
            "exists": bool(record.exists),
            "json": record.json,
            "name": None,
            "session": item.owner,
            "_item": item,
            "_place": place,
        }
        for place, record in enumerate(item.records)
    ]


class Files(Store):
    """The store of file records, which are part of their dataset."""

    def etag(self, resource: Resource, row: Row) -> str:
        """Return the ETag of a file record: the edition of its dataset."""
        return f'"{int(row["_item"].edition)}"'

    def narrow(self, resource: Resource, wheres: Sequence[Where], call: Call) -> list[Body]:
        """Return all file records that match the conditions."""
        tests = [(where.field, where.compiled()) for where in wheres]
        owners: Iterable[str] | None = None
        for where in wheres:
            if where.field in ("dataset", "id") and not where.negate:
                wanted = where.value if where.lookup == "in" else [where.value]
                owners = owners_of([str(identity).lower() for identity in wanted])
                break
        if owners is None:
            owners = sorted(catalog.table("dataset").select().values("session"))
        rows = []
        for owner in owners:
            session = brief(owner if "#" not in owner else None)
            for item in datasets_of(owner):
                rows += [
                    record
                    for record in file_rows(item, session)
                    if all(test(record.get(name)) for name, test in tests)
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
        records = self.narrow(resource, [Where("id", "exact", key.lower())], call)
        records = records or self._of_aggregates(key.lower())
        if not records:
            raise not_found("FileRecord")
        return records[0]

    def _of_aggregates(self, key: str) -> list[Body]:
        """Find a record whose id leads to no session: it begins like its aggregate's."""
        rows = catalog.table("dataset").select([Where("session", "contains", "#")]).all()
        prefix = key.replace("-", "")[:12]
        owners = {
            record["session"] for record in rows if row_id(record).replace("-", "")[:12] == prefix
        }
        return [
            record
            for owner in sorted(owners)
            for item in datasets_of(owner)
            for record in file_rows(item, None)
            if record["id"] == key
        ]

    def create(self, resource: Resource, data: Mapping[str, Any], call: Call) -> Body:
        """Add a file record to a dataset.

        Raises
        ------
        Invalid
            400, also if the dataset has one on that repository.
        """
        body = read_values.read_body(resource, data, call, partial=False)
        _, dataset = find_dataset(body["dataset"])
        permissions.check_lab(call.who, lab_of_owner(dataset.owner))
        added = FileRecord(
            body["data_repository"],
            bool(body["exists"]),
            body["relative_path"] or None,
            body["json"],
        )

        def edit(item: Dataset) -> None:
            _check_place(item.records, added.repository)
            item.records = [*item.records, added]

        item = update_dataset(dataset.owner, dataset.path, edit, who=call.who.username)
        return file_rows(item, brief(item.session))[-1]

    def update(self, resource: Resource, key: str, data: Mapping[str, Any], call: Call) -> Body:
        """Change a file record.

        Raises
        ------
        ApiError
            404, 403, 400.
        """
        row = self.get(resource, key, call)
        new = read_values.read_body(resource, data, call, partial=True)

        def change(record: FileRecord, others: Sequence[FileRecord]) -> FileRecord:
            repository = new.get("data_repository") or record.repository
            _check_place(others, repository)
            return FileRecord(
                repository,
                bool(new.get("exists", record.exists)),
                new.get("relative_path") or record.path,
                new.get("json", record.json),
                record.id or (None if repository == record.repository else row["id"]),
            )

        item = self._edit(row, call, change)
        files = file_rows(item, brief(item.session))
        return next((file for file in files if file["id"] == row["id"]), files[row["_place"]])

    def delete(self, resource: Resource, key: str, call: Call) -> None:
        """Delete a file record.

        Raises
        ------
        ApiError
            404, 403, 400.
        """
        self._edit(self.get(resource, key, call), call, lambda record, others: None)

    def _edit(
        self,
        row: Body,
        call: Call,
        change: Callable[[FileRecord, Sequence[FileRecord]], FileRecord | None],
    ) -> Dataset:
        """Change one of a dataset's records; the record of the own store keeps its bytes."""
        dataset: Dataset = row["_item"]
        permissions.check_lab(call.who, lab_of_owner(dataset.owner))

        def edit(item: Dataset) -> None:
            check_match(call, self.etag(KINDS["file"], {"_item": item}))
            records = []
            for record in item.records:
                if record_id(item, record) != row["id"]:
                    records.append(record)
                    continue
                changed = change(record, [other for other in item.records if other is not record])
                is_own = has_bytes(item) and record.repository == OWN and record.exists
                if is_own and (changed is None or not copies.in_own_store([changed])):
                    text = f"The bytes are in {OWN}; the record that says so stays."
                    raise Invalid({"non_field_errors": [text]})
                if changed is not None:
                    records.append(changed)
            item.records = records

        return update_dataset(dataset.owner, dataset.path, edit, who=call.who.username)


def _check_place(records: Sequence[FileRecord], repository: str) -> None:
    """Refuse a second record on the same repository."""
    if any(record.repository == repository for record in records):
        text = "The dataset has a file record on this repository."
        raise Invalid({"non_field_errors": [text]})


def _path_below(value: str) -> None:
    """Refuse an unsafe path below a repository's folder: it becomes part of an address."""
    parts = value.split("/")
    if not value.isprintable() or "\\" in value or ".." in parts or (not parts[0] and value):
        raise ValueError("Write a path below the repository's folder, without .. and controls.")


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


declare(
    Resource(
        path="files",
        kind="file",
        model="data.filerecord",
        access=Access(worker="read create change delete", rig="read create"),
        lab="dataset",
        public_by="session",
        store=Files(),
        fields={
            "dataset": ref("dataset", by="url", required=True, null=False, on_delete="cascade"),
            "data_repository": ref("data-repository", required=True, null=False),
            "relative_path": text(maximum=1000, check=_path_below),
            "exists": flag(),
            "json": json(),
            "name": text(null=True, maximum=255),
        },
        filters={
            "lab": "dataset__session__lab__iexact",
            "subject": "dataset__session__subject__iexact",
            "globus_is_personal": "data_repository__globus_is_personal",
        },
        show=_show_file,
        example={"dataset": "<dataset id>", "data_repository": "fornix"},
    ),
)
