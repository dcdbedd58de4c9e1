"""Registering datasets: the only writer of new ones.

A small registration is one transaction. A large one is staged: its datasets are written in
batches under the name of their set, and one conditional flip of the session's `Book` makes the
whole set visible (see `shared.datasets.read`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from shared.datasets.read import mark_defaults, visible
from shared.model import moment
from shared.records.errors import Conflict, NotFound
from shared.records.feed import first_version
from shared.records.items import Book, Dataset, Pointer, Session
from shared.records.table import Record
from shared.records.transactions import Refused, transaction

ATTEMPTS = 8


AT_ONCE = 40
"""Datasets that go into one transaction (which costs double); more are staged."""


def register_datasets(
    owner: str,
    new: Sequence[Dataset],
    *,
    manifest: str,
    who: str | None = None,
    extra: Callable[[Any], None] | None = None,
) -> list[Dataset]:
    """Register datasets, all or none; the same again is no change.

    A dataset is found again by its place. If its content is the same its record is kept, else it
    is updated; one marked default becomes the default of its revisions.

    Parameters
    ----------
    owner : str
        The session's id, or ``content type#object id``.
    new : sequence of Dataset
        Made by `Dataset.of`.
    manifest : str
        Name of the set, the same when it is sent again (e.g. the SHA-256 of the manifest).
    who : str, optional
        User name, for the audit trail; by default who the datasets say made them.
    extra : callable, optional
        Adds writes to the transaction that makes the set visible.

    Returns
    -------
    list of Dataset
        As they are now, in the order of ``new``.

    Raises
    ------
    NotFound
        If there is no such session.
    Conflict
        If others kept registering to the same session.
    """
    head = "AGG" if "#" in owner else "SES"
    token = hashlib.sha256(manifest.encode()).hexdigest()[:10]
    for _ in range(ATTEMPTS):
        present = list(
            Record.query(f"{head}#{owner}", Record.sk.between("A", "D~"), consistent_read=True)
        )
        if head == "SES" and not any(isinstance(item, Session) for item in present):
            raise NotFound(f"There is no session {owner}.")
        book = next((item for item in present if isinstance(item, Book)), None)
        there = {item.sk: item for item in present if isinstance(item, Dataset)}
        seen = {item.sk: item for item in visible(book, list(there.values()))}
        added, edited = _compare(new, seen)
        if not added and not edited and not extra:
            return [seen[item.sk] for item in new]
        staged = len(added) + len(edited) > AT_ONCE
        if staged:
            stage(added, token)
        direct = edited if staged else [*edited, *added]
        final = {**seen, **{item.sk: item for item in [*edited, *added]}}
        mark_defaults(list(final.values()))
        touched = {(item.collection, item.name) for item in [*edited, *added]}
        rows = [
            (f"{owner}|{item.path}", int(item.edition), item.row())
            for item in final.values()
            if (item.collection, item.name) in touched
        ]
        try:
            # The flip: the first transaction shows the set, what is left over only edits records.
            for start in range(0, max(len(direct), 1), AT_ONCE):
                with transaction() as writes:
                    for item in direct[start : start + AT_ONCE]:
                        condition = (
                            Dataset.edition == item.edition - 1
                            if item.sk in seen
                            else (Record.pk.does_not_exist() | Dataset.batch.exists())
                        )
                        writes.save(item, condition=condition)
                        if item.sk not in seen and item.foreign:
                            writes.save(
                                Pointer(pk=f"DSID#{item.uuid}", sk="A", to=owner),
                                condition=Record.pk.does_not_exist() | (Pointer.to == owner),
                            )
                    if start:
                        continue
                    _flip(writes, f"{head}#{owner}", book, token if staged else None)
                    for row in rows:
                        writes.row("dataset", *row)
                    if staged:
                        writes.journal(_staged_items(added))
                    by = who or next((item.created_by for item in new if item.created_by), "?")
                    paths = {item.path: item.hash for item in [*edited, *added]}
                    writes.audit(by, "register", "session", owner, None, paths)
                    if extra:
                        extra(writes)
            return [final[item.sk] for item in new]
        except Refused:
            for item in edited:
                item.edition = int(item.edition) - 1
    raise Conflict(f"Others keep registering datasets to {owner}; try again.")


def _compare(
    new: Sequence[Dataset], seen: dict[str, Dataset]
) -> tuple[list[Dataset], list[Dataset]]:
    """Split datasets into those to add and those there to change; the same ones drop out."""
    added, edited = [], []
    for item in new:
        old = seen.get(item.sk)
        if old is None:
            added.append(item)
            continue
        same = (
            all(
                getattr(item, name) in (None, getattr(old, name))
                for name in ("hash", "sha256", "file_size", "version", "dataset_type", "rows")
            )
            and (item.records or []) == (old.records or [])
            and int(item.qc or 0) == int(old.qc or 0)
            and item.default == old.default
        )
        if same:
            continue
        item.id, item.created, item.created_by = old.id, old.created, old.created_by
        item.tags, item.json = item.tags or old.tags, item.json or old.json
        if item.hash is not None and item.hash == old.hash:  # what is known of the same bytes
            for name in ("sha256", "file_size", "rows", "provenance"):
                if getattr(item, name) is None:
                    setattr(item, name, getattr(old, name))
        if item.default and old.default:
            item.default_at = old.default_at
        item.edition = int(old.edition) + 1
        item.changed = moment.now().isoformat()
        edited.append(item)
    return added, edited


def stage(added: Sequence[Dataset], token: str) -> None:
    """Write datasets that nobody sees yet."""
    for item in added:
        item.batch = token
    with Record.batch_write() as batch:
        for record in _staged_items(added):
            batch.save(record)


def _staged_items(added: Sequence[Dataset]) -> Iterator[Record]:
    """Yield the items of staged datasets, with what finds them by ids from elsewhere."""
    for item in added:
        yield item
        if item.foreign:
            yield Pointer(pk=f"DSID#{item.uuid}", sk="A", to=item.owner)


def _flip(writes: Any, pk: str, book: Book | None, token: str | None) -> None:
    """Add the write to the book that makes a set visible; it also orders registrations."""
    version = int(book.version) if book else first_version()
    sets = set(book.sets or ()) if book else set()
    fresh = Book(
        pk=pk, sk="B", version=version + 1, sets=(sets | {token} if token else sets) or None
    )
    condition = (Book.version == version) if book else Record.pk.does_not_exist()
    writes.save(fresh, condition=condition)
