"""Where the records of a resource are kept: documents by default, else a store of their own.

A store has ``get``, ``create``, ``create_many``, ``update``, ``delete``; ``fill`` completes the
rows of a page with what the index does not hold, and ``narrow`` answers look-ups by key straight
from the table.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from functions.api import permissions
from functions.api.engine import concurrency, read_values, references
from functions.api.engine.declarations import Body, Resource, Row
from functions.api.errors import ApiError, Invalid, not_found
from shared import catalog
from shared.records import documents
from shared.records.errors import Exists, NotFound
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call


class Store:
    """What a store does unless it says otherwise."""

    def fill(self, resource: Resource, rows: list[Body], call: Call) -> list[Body]:
        """Return the rows of a page, completed."""
        return rows

    def narrow(self, resource: Resource, wheres: Sequence[Where], call: Call) -> list[Body] | None:
        """Return all rows if the conditions name their keys, else None."""
        return None

    def etag(self, resource: Resource, row: Row) -> str:
        """Return the ETag of a stored record."""
        return concurrency.content_tag(resource, row)

    def create(self, resource: Resource, data: Mapping[str, Any], call: Call) -> Body:
        """Create a record."""
        raise NotImplementedError


class Documents(Store):
    """Records that are documents."""

    def get(self, resource: Resource, key: str, call: Call) -> Body:
        """Return a record by its key or its id.

        Raises
        ------
        ApiError
            404.
        """
        found = catalog.table(resource.kind).get(key)
        if found is None and resource.key != "id" and read_values.is_uuid(key):
            named = read_values.key_of(resource.kind, key)
            found = catalog.table(resource.kind).get(named) if named else None
        if found is None:
            raise not_found(resource.name)
        return found

    def create_many(self, resource: Resource, data: Sequence[Any], call: Call) -> list[Body]:
        """Create several records; none if any of them is not valid.

        Raises
        ------
        Invalid
            400 with messages per field of the first that is wrong.
        """
        if not all(isinstance(each, dict) for each in data):
            raise ApiError(400, "Every item of the list must be a JSON object.")
        return self._write(resource, [self._valid(resource, each, call) for each in data], call)

    def create(self, resource: Resource, data: Mapping[str, Any], call: Call) -> Body:
        """Create a record from what a client sent.

        Raises
        ------
        Invalid
            400 with messages per field, also if the record exists.
        """
        return self._write(resource, [self._valid(resource, data, call)], call)[0]

    def _valid(self, resource: Resource, data: Mapping[str, Any], call: Call) -> Body:
        """Return the body of a new record of the caller's lab."""
        body = read_values.read_body(resource, data, call, partial=False)
        if "id" not in resource.fields:  # ids of brain regions are numbers of the atlas
            body["id"] = data["id"] if read_values.is_uuid(data.get("id")) else str(uuid.uuid4())
        if resource.prepare:
            body = resource.prepare(body, None, call)
        lab = read_values.lab_of(resource, body)
        if call.rule.own_lab:
            permissions.check_lab(call.who, lab)
        permissions.check_holders(call, resource, None, body)
        permissions.check_fields(call, resource, None, body)
        return read_values.localise(resource, body, lab)

    def _write(self, resource: Resource, bodies: list[Body], call: Call) -> list[Body]:
        """Write new records, all or none."""
        news = [
            documents.New(
                resource.kind,
                str(body[resource.key]),
                body,
                unique_values(resource, body),
                resource.parent(body) if resource.parent else None,
                resource.place(body) if resource.place else None,
                owners(resource, body),
            )
            for body in bodies
        ]
        try:
            documents.create_all(news, who=call.who.username)
        except Exists as error:
            raise taken(resource, error) from None
        for body in bodies:
            if resource.after:
                resource.after(body, None, call)
        return bodies

    def update(self, resource: Resource, key: str, data: Mapping[str, Any], call: Call) -> Body:
        """Change a record; absent fields stay as they are.

        Raises
        ------
        ApiError
            404, 403 if it is not of the caller's lab, 400 with messages per field.
        """
        present = self.get(resource, key, call)
        key = str(present[resource.key])
        new = read_values.read_body(resource, data, call, partial=True)
        if resource.key != "id" and new.get(resource.key, key) != key:
            raise Invalid({resource.key: [f"A {resource.kind} cannot be renamed."]})
        before: Body = {}

        def edit(body: Body) -> Body:
            concurrency.check_match(call, self.etag(resource, body))
            before.update(body)
            changed = {**body, **concurrency.merge_json(resource, key, body, new, call)}
            if resource.prepare:
                changed = resource.prepare(changed, body, call)
            if call.rule.own_lab:
                permissions.check_lab(call.who, read_values.lab_of(resource, body))
            lab = read_values.lab_of(resource, changed)
            if call.rule.own_lab:
                permissions.check_lab(call.who, lab)
            permissions.check_holders(call, resource, body, new)
            permissions.check_fields(call, resource, body, new)
            return read_values.localise(resource, changed, lab)

        try:
            item = documents.update(
                resource.kind,
                key,
                edit,
                who=call.who.username,
                unique=lambda body: unique_values(resource, body),
                parent=resource.parent,
            )
        except NotFound:
            raise not_found(resource.name) from None
        except Exists as error:
            raise taken(resource, error) from None
        if resource.after:
            resource.after(item.body, before, call)
        return item.body

    def delete(self, resource: Resource, key: str, call: Call) -> None:
        """Delete a record.

        Raises
        ------
        ApiError
            404, 403.
        """
        body = self.get(resource, key, call)
        if call.rule.own_lab:
            permissions.check_lab(call.who, read_values.lab_of(resource, body))
        self.remove(
            resource,
            body,
            call,
            lambda old: concurrency.check_match(call, self.etag(resource, old)),
        )

    def remove(
        self, resource: Resource, body: Body, call: Call, check: Callable[[Body], None] | None
    ) -> None:
        """Delete a record with what belongs to it.

        Parameters
        ----------
        resource, body
            The record.
        call : Call
        check : callable, optional
            Takes the record as it is when it is deleted; raises to keep it.
        """
        if resource.allow_delete:
            resource.allow_delete(body, call)
        references.refuse_if_referred(resource, body)
        references.delete_belonging(resource, body, call, delete_if_there)
        try:
            documents.delete(
                resource.kind,
                str(body[resource.key]),
                who=call.who.username,
                unique=lambda old: unique_values(resource, old),
                check=check,
            )
        except NotFound:
            raise not_found(resource.name) from None
        if resource.deleted:
            resource.deleted(body, call)
        catalog.start_request()  # to see what came meanwhile; from now on nothing can
        references.delete_belonging(resource, body, call, delete_if_there)


def owners(resource: Resource, body: Row) -> list[tuple[str, str]]:
    """Return the (kind, key) of the records that one belongs to."""
    if resource.owners:
        return list(resource.owners(dict(body)))
    return [
        (spec.to, str(body[name]))
        for name, spec in resource.fields.items()
        if spec.type == "ref" and spec.on_delete == "cascade" and body.get(name)
    ]


def delete_if_there(resource: Resource, key: str, call: Call) -> None:
    """Delete a record that belongs to one that is deleted; others may have been faster."""
    store = store_of(resource)
    try:
        if isinstance(store, Documents):  # whose lab is known by what may be gone already
            store.remove(resource, store.get(resource, key, call), call, None)
        else:
            store.delete(resource, key, call)
    except ApiError as error:
        if error.status != 404:
            raise


LOOK = "look"
"""Stands for what a key looks like among the values that no two records share."""


def unique_values(resource: Resource, body: Row) -> list[tuple[str, str]]:
    """Return the (fields, values) that no other record of the kind may have."""
    found = []
    for names in resource.unique:
        parts = [body.get(name.rstrip("?")) for name in names]
        needed = (part for name, part in zip(names, parts, strict=True) if name[-1] != "?")
        if all(part not in (None, "") for part in needed):
            values = "\x1f".join("" if part is None else str(part) for part in parts)
            found.append(("+".join(name.rstrip("?") for name in names), values))
    if resource.look:
        found.append((LOOK, resource.look(str(body[resource.key]))))
    return found


def taken(resource: Resource, error: Exists) -> Invalid:
    """Return the answer to a record whose identity is taken."""
    if f"with this {LOOK} " in str(error):
        message = f"There is a {resource.kind} with a name that looks the same; choose another."
        return Invalid({resource.key: [message]})
    if resource.key != "id" and "already exists" in str(error) and "with this" not in str(error):
        message = f"{resource.kind} with this {resource.key} already exists."
        return Invalid({resource.key: [message]})
    return Invalid({"non_field_errors": [str(error)]})


DOCUMENTS = Documents()


def store_of(resource: Resource) -> Any:
    """Return the store of a resource."""
    return resource.store or DOCUMENTS
