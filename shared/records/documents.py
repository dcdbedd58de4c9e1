"""Records that are neither sessions nor datasets nor tasks: one JSON document each.

A document is written in one transaction with its unique values, its place in the change feed and
its audit entry. What its fields are is declared by the API's resources; here they are JSON values.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from shared.records import listed
from shared.records.errors import Conflict, Exists, Missing, NotFound
from shared.records.feed import first_version
from shared.records.items import Document, Pointer
from shared.records.table import Record
from shared.records.transactions import ConditionFailed, transaction

Body = dict[str, Any]
Extra = Callable[[Any], None]
"""Adds writes to a transaction."""

ATTEMPTS = 8
"""Times an update is tried again when others write the same record."""

MOST_WRITES = 80
"""Writes of documents in one transaction; with the feed's there are less than 100."""


def get(kind: str, key: str, *, strong: bool = True) -> Document:
    """Return a document.

    Parameters
    ----------
    kind : str
        E.g. ``"subject"``.
    key : str
        Its key: a name for named records (``subject`` by nickname), else its id.
    strong : bool
        Whether to read what was written a moment ago.

    Raises
    ------
    NotFound
        If there is none.
    """
    try:
        item: Record = Record.get(f"DOC#{kind}#{key}", "A", consistent_read=strong)
        if isinstance(item, Pointer):
            item = Record.get(item.to, item.to_sk, consistent_read=strong)
    except Record.DoesNotExist:
        raise NotFound(f"There is no {kind} {key!r}.") from None
    assert isinstance(item, Document)  # noqa: S101 - the key says so
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
    return iter(Record.gsi1.query(parent, condition))


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
    extra: Extra | None = None,
) -> Document:
    """Write a new document.

    Parameters
    ----------
    kind, key : str
        What it is, and its key.
    body : mapping
        Its fields; ``id`` is added if absent.
    who : str
        User name, for the audit trail.
    unique : sequence of (field, value)
        Values no other document of the kind may have.
    parent : (str, str), optional
        Index entry under a parent: (``"SUBJ#KS001"``, ``"weighing#2024-…"``).
    place : (str, str), optional
        Primary key within another record's partition: (``"SES#<eid>"``, ``"E#<id>"``).
    needs : sequence of (kind, key)
        Records that must be there when it is written.
    extra : callable, optional
        Adds further writes to the transaction.

    Raises
    ------
    Exists, Missing
        If the key or a unique value is taken; if one of what it needs is not there.
    """
    new = New(kind, key, body, unique, parent, place, needs)
    return create_all([new], who=who, extra=extra)[0]


class New(NamedTuple):
    """A document to be written; see `create`."""

    kind: str
    key: str
    body: Mapping[str, Any]
    unique: Sequence[tuple[str, str]] = ()
    parent: tuple[str, str] | None = None
    place: tuple[str, str] | None = None
    needs: Sequence[tuple[str, str]] = ()

    def item(self) -> Document:
        """Return the item that is stored."""
        body = {"id": str(uuid.uuid4()), **self.body}
        made = Document(what=self.kind, id=str(body["id"]), body=body, version=first_version())
        made.pk, made.sk = self.place or (f"DOC#{self.kind}#{self.key}", "A")
        if self.parent:
            made.g1pk, made.g1sk = self.parent
        return made

    @property
    def guards(self) -> list[Pointer]:
        """The items beside it."""
        return _guards(self.kind, self.key, self.place, self.unique)


def create_all(news: Sequence[New], *, who: str, extra: Extra | None = None) -> list[Document]:
    """Write new documents, all or none.

    What does not fit into one transaction is written by several; if one of them is refused, what
    the former wrote is deleted again.

    Raises
    ------
    Exists, Missing
        As `create`.
    """
    _check_apart(news)
    made: list[tuple[New, Document]] = []
    try:
        for batch in _batches(news):
            items = _create_batch(batch, who, extra)
            made += zip(batch, items, strict=True)
    except Exception:
        for new, item in reversed(made):
            _undo(new, item, who)
        raise
    return [item for _, item in made]


def _check_apart(news: Sequence[New]) -> None:
    """Refuse a list of which two have the same key or the same unique value."""
    seen: set[tuple[str, str]] = set()
    for new in news:
        for field, value in [("key", new.key), *new.unique]:
            if (field, value) in seen:
                raise Exists(f"Two {new.kind}s of the list have the same {field}.", new.key)
            seen.add((field, value))


def _batches(news: Sequence[New]) -> Iterator[list[New]]:
    batch: list[New] = []
    writes = 0
    for new in news:
        own = 2 + len(new.guards) + len(new.needs)
        if batch and writes + own > MOST_WRITES:
            yield batch
            batch, writes = [], 0
        batch.append(new)
        writes += own
    if batch:
        yield batch


def _create_batch(batch: Sequence[New], who: str, extra: Extra | None) -> list[Document]:
    items = [new.item() for new in batch]
    needs = {need for new in batch for need in new.needs}
    for attempt in range(ATTEMPTS):
        try:
            with transaction() as writes:
                for new, item in zip(batch, items, strict=True):
                    writes.record(
                        new.kind,
                        new.key,
                        None,
                        item.body,
                        who,
                        item=item,
                        version=int(item.version),
                        condition=Record.pk.does_not_exist(),
                    )
                    for guard in new.guards:
                        writes.save(guard, condition=Record.pk.does_not_exist())
                for kind, key in sorted(needs):
                    writes.check(Record, *_place_of(kind, key), Record.pk.exists())
                if extra:
                    extra(writes)
            return items
        except ConditionFailed:
            for kind, key in sorted(needs):
                _check_there(kind, key)
            found = (_taken(new.kind, new.key, new.place, new.unique) for new in batch)
            taken = next((each for each in found if each), None)
            if taken or attempt == ATTEMPTS - 1:
                key = batch[0].key
                raise Exists(taken or f"{batch[0].kind} {key!r} already exists.", key) from None
    raise Conflict(f"{batch[0].kind} {batch[0].key!r} could not be written.")


def _undo(new: New, item: Document, who: str) -> None:
    with suppress(ConditionFailed), transaction() as writes:
        writes.record(
            new.kind,
            new.key,
            item.body,
            None,
            who,
            item=item,
            version=int(item.version) + 1,
            condition=Document.version == int(item.version),
        )
        for guard in new.guards:
            writes.delete(guard)


def _place_of(kind: str, key: str) -> tuple[str, str]:
    """Return the key of the item that says that a record is there."""
    return (f"SES#{key}", "A") if kind == "session" else (f"DOC#{kind}#{key}", "A")


def _check_there(kind: str, key: str) -> None:
    try:
        Record.get(*_place_of(kind, key), consistent_read=True)
    except Record.DoesNotExist:
        raise Missing(f"There is no {kind} {key!r} any more.", kind) from None


def update(
    kind: str,
    key: str,
    edit: Callable[[Body], Body],
    *,
    who: str,
    unique: Callable[[Body], Sequence[tuple[str, str]]] | None = None,
    parent: Callable[[Body], tuple[str, str] | None] | None = None,
    action: str = "update",
    extra: Extra | None = None,
) -> Document:
    """Change a document; tried again when somebody else was faster.

    Parameters
    ----------
    kind, key : str
        Which.
    edit : callable
        Takes the present body, returns the new one; may raise to refuse.
    who : str
        User name, for the audit trail.
    unique, parent : callable, optional
        As in `create`, computed from a body.
    action : str
        Word for the audit trail.
    extra : callable, optional
        Adds further writes to the transaction.

    Raises
    ------
    NotFound, Exists, Conflict
        If it is not there; if a new unique value is taken; if others kept writing it.
    """
    for _ in range(ATTEMPTS):
        item = get(kind, key)
        old = item.body
        new = edit(dict(old))
        if new == old:
            return item
        before, after = (
            set(unique(old)) if unique else set(),
            set(unique(new)) if unique else set(),
        )
        version = int(item.version)
        item.body, item.version = new, version + 1
        if parent and (filed := parent(new)):
            item.g1pk, item.g1sk = filed
        try:
            with transaction() as writes:
                writes.record(
                    kind,
                    key,
                    old,
                    new,
                    who,
                    action=action,
                    item=item,
                    version=version + 1,
                    condition=Document.version == version,
                )
                for guard in _guards(kind, key, None, sorted(after - before)):
                    writes.save(guard, condition=Record.pk.does_not_exist())
                for guard in _guards(kind, key, None, sorted(before - after)):
                    writes.delete(guard)
                if extra:
                    extra(writes)
            return item
        except ConditionFailed:
            if taken := _taken(kind, None, None, sorted(after - before)):
                raise Exists(taken, key) from None
    raise Conflict(f"{kind} {key!r} is being changed by others; try again.")


def delete(
    kind: str,
    key: str,
    *,
    who: str,
    unique: Callable[[Body], Sequence[tuple[str, str]]] | None = None,
    check: Callable[[Body], None] | None = None,
    extra: Extra | None = None,
) -> None:
    """Delete a document, leaving its audit trail; ``check`` may raise to keep it as it is.

    Raises
    ------
    NotFound, Conflict
        If it is not there; if others kept writing it.
    """
    for _ in range(ATTEMPTS):
        item = get(kind, key)
        version = int(item.version)
        if check:
            check(item.body)
        placed = not item.pk.startswith("DOC#")
        try:
            with transaction() as writes:
                writes.record(
                    kind,
                    key,
                    item.body,
                    None,
                    who,
                    item=item,
                    version=version + 1,
                    condition=Document.version == version,
                )
                for guard in _guards(
                    kind, key, ("", "") if placed else None, unique(item.body) if unique else ()
                ):
                    writes.delete(guard)
                if extra:
                    extra(writes)
            return
        except ConditionFailed:
            continue
    raise Conflict(f"{kind} {key!r} is being changed by others; try again.")


def _guards(
    kind: str,
    key: str,
    place: tuple[str, str] | None,
    unique: Sequence[tuple[str, str]],
) -> list[Pointer]:
    """Return the items beside a document: its alias if it is placed elsewhere, unique values."""
    guards = [
        Pointer(pk=f"UNIQ#{kind}#{field}#{value}", sk="A", to=key) for field, value in unique
    ]
    if place:
        guards.append(Pointer(pk=f"DOC#{kind}#{key}", sk="A", to=place[0], to_sk=place[1]))
    return guards


def _taken(
    kind: str,
    key: str | None,
    place: tuple[str, str] | None,
    unique: Sequence[tuple[str, str]],
) -> str | None:
    """Say which identity of a refused document is taken, None if none is."""
    if key is not None and find(kind, key):
        return f"{kind} {key!r} already exists."
    for field, value in unique:
        try:
            Record.get(f"UNIQ#{kind}#{field}#{value}", "A", consistent_read=True)
        except Record.DoesNotExist:
            continue
        return f"{kind} with this {field} already exists."
    return None


def _rows(items: Sequence[Document]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in items:
        key = item.pk.split("#", 2)[2] if item.pk.startswith("DOC#") else item.id
        yield item.what, {**item.body, "key": key, "_version": int(item.version)}


listed.register(Document, to_rows=_rows)
