"""Records that are neither sessions nor datasets nor tasks: one JSON document each.

The API's resources declare the fields of a document; here they are JSON values. This module reads
and writes single documents without the rules of their resources. The API writes by plans
(`functions.api.engine.plan`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from shared.records import keys, listed, staging
from shared.records.errors import NotFound
from shared.records.items import Document, Pointer
from shared.records.optimistic import retried
from shared.records.table import Record
from shared.records.writing import Write, write_all

Body = dict[str, Any]

TRIES = 8
"""Most tries of a write while others write the same record."""


def get(kind: str, key: str, *, strong: bool = True) -> Document:
    """Return a document.

    Parameters
    ----------
    kind : str
        E.g. ``"subject"``.
    key : str
        Its key: a name for named records (``subject`` by nickname), else its id.
    strong : bool
        Whether to read with strong consistency.

    Raises
    ------
    NotFound
        If it does not exist.
    """
    try:
        item: Record = Record.get(keys.document(kind, key), "A", consistent_read=strong)
        if isinstance(item, Pointer):
            item = Record.get(item.to, item.to_sk, consistent_read=strong)
    except Record.DoesNotExist:
        raise NotFound(f"There is no {kind} {key!r}.") from None
    assert isinstance(item, Document)  # noqa: S101 - the key says so
    if staging.is_hidden(item):
        raise NotFound(f"There is no {kind} {key!r}.")
    return item


def find(kind: str, key: str) -> Document | None:
    """Return a document or None."""
    try:
        return get(kind, key)
    except NotFound:
        return None


def children(parent: str, prefix: str = "") -> Iterator[Document]:
    """Yield the documents filed under a parent, e.g. ``SUBJ#KS001`` and ``weighing#``."""
    condition = Record.g1sk.startswith(prefix) if prefix else None
    items = Record.gsi1.query(parent, condition)
    return (item for item in items if not staging.is_hidden(item))


def create(
    kind: str,
    key: str,
    body: Mapping[str, Any],
    *,
    who: str,
    unique: Sequence[tuple[str, str]] = (),
    parent: tuple[str, str] | None = None,
    place: tuple[str, str] | None = None,
    needs: Sequence[tuple[str, str]] = (),
) -> Document:
    """Write a new document.

    Parameters
    ----------
    kind, key : str
        Kind and key of the document.
    body : mapping
        Its fields; ``id`` is added if absent.
    who : str
        User name, for the audit trail.
    unique, parent, place, needs : optional
        See `shared.records.writing.Write`.

    Raises
    ------
    Exists, Missing, Leaving
        If the key or a unique value is taken; if a record that it needs does not exist, or is
        being deleted.
    """
    whole = {"id": str(uuid.uuid4()), **body}

    def step() -> Document:
        new = Write(
            kind=kind, key=key, body=whole, unique=unique, parent=parent, place=place, needs=needs
        )
        return _only(write_all([new], who=who))

    return retried(step, f"{kind} {key!r} could not be written; try again.", tries=TRIES)


def update(
    kind: str,
    key: str,
    edit: Callable[[Body], Body],
    *,
    who: str,
    action: str = "update",
    needs: Sequence[tuple[str, str]] = (),
) -> Document:
    """Change a document; try again if another writer was faster.

    Parameters
    ----------
    kind, key : str
        Kind and key of the document.
    edit : callable
        Takes the present body, returns the new one; may raise to refuse. It must not change
        unique values or the parent.
    who : str
        User name, for the audit trail.
    action : str
        Word for the audit trail.
    needs : optional
        See `shared.records.writing.Write`.

    Raises
    ------
    NotFound, Missing, Leaving, Conflict
        If it does not exist; if a record that it needs does not exist, or is being deleted; if
        others kept writing it.
    """

    def step() -> Document:
        item = get(kind, key)
        new = edit(dict(item.body))
        if new == item.body:
            return item
        write = Write(kind=kind, key=key, before=item, body=new, action=action, needs=needs)
        return _only(write_all([write], who=who))

    return retried(step, f"{kind} {key!r} is being changed by others; try again.", tries=TRIES)


def delete(kind: str, key: str, *, who: str) -> None:
    """Delete a document without unique values; its audit trail stays.

    Raises
    ------
    NotFound, Conflict
        If it does not exist; if others kept writing it.
    """

    def step() -> None:
        write_all([Write(kind=kind, key=key, before=get(kind, key))], who=who)

    retried(step, f"{kind} {key!r} is being changed by others; try again.", tries=TRIES)


def _only(items: Sequence[Document | None]) -> Document:
    (item,) = items
    assert item is not None  # noqa: S101 - it was not deleted
    return item


def _rows(items: Sequence[Document]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in staging.visible(items):
        key = keys.document_of(item.pk) if keys.is_document(item.pk) else item.id
        yield item.what, {**item.body, "key": key, "_version": int(item.version)}


listed.register(Document, to_rows=_rows)
