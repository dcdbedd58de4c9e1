"""Stores of resources: documents by default, else a store of their own.

A store has ``get``, ``create``, ``create_many``, ``update``, ``delete``; ``fill`` adds to the rows
of a page the values that are not in the index, and ``narrow`` reads look-ups by key directly from
the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from functions.api.engine.declarations import Body, Resource, Row
from functions.api.engine.identities import PlannedRecord
from functions.api.engine.plan import planned
from functions.api.engine.writes import find, tag_of, write
from functions.api.errors import ApiError
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call


class Store:
    """Default behaviour of a store."""

    of_documents = False

    def fill(self, resource: Resource, rows: list[Body], call: Call) -> list[Body]:
        """Return the completed rows of a page."""
        return rows

    def narrow(self, resource: Resource, wheres: Sequence[Where], call: Call) -> list[Body] | None:
        """Return all matching rows if the conditions name keys, else None."""
        return None

    def etag(self, resource: Resource, row: Row) -> str:
        """Return the ETag of a stored record."""
        return tag_of(resource, row)

    def create(self, resource: Resource, data: Mapping[str, Any], call: Call) -> Body:
        """Create a record."""
        raise NotImplementedError


class Documents(Store):
    """The store of documents."""

    of_documents = True

    def get(self, resource: Resource, key: str, call: Call) -> Body:
        """Return a record by its key or its id.

        Raises
        ------
        ApiError
            404.
        """
        return find(resource, key)

    def create_many(self, resource: Resource, data: Sequence[Any], call: Call) -> list[Body]:
        """Create several records; none if any of them is not valid.

        Raises
        ------
        Invalid
            400 with messages per field of the first invalid one.
        """
        records = planned(
            call, lambda plan: [write(plan, "create", resource, None, record) for record in data]
        )
        call.is_repeated = all(record is not None and record.is_repeated for record in records)
        return [_body(record) for record in records]

    def create(self, resource: Resource, data: Mapping[str, Any], call: Call) -> Body:
        """Create a record from what a client sent.

        Raises
        ------
        Invalid
            400 with messages per field, also if the record exists.
        """
        return self.create_many(resource, [data], call)[0]

    def update(self, resource: Resource, key: str, data: Mapping[str, Any], call: Call) -> Body:
        """Change a record; absent fields stay as they are.

        Raises
        ------
        ApiError
            404, 403 if it is not of the caller's lab, 400 with messages per field.
        """
        self.get(resource, key, call)
        return _body(planned(call, lambda plan: write(plan, "update", resource, key, data)))

    def delete(self, resource: Resource, key: str, call: Call) -> None:
        """Delete a record and the records that belong to it.

        Raises
        ------
        ApiError
            404, 403; 409 if others name it.
        """
        planned(call, lambda plan: write(plan, "delete", resource, key))


def _body(record: PlannedRecord | None) -> Body:
    """Return the written body."""
    if record is None or record.body is None:
        raise ApiError(409, "The record was deleted by what follows from writing it.")
    return record.body


DOCUMENTS = Documents()


def store_of(resource: Resource) -> Any:
    """Return the store of a resource."""
    return resource.store or DOCUMENTS
