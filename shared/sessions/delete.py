"""Deleting a session with everything in its partition."""

from __future__ import annotations

from collections.abc import Iterator

from shared.records.items import Dataset, Document, Pointer
from shared.records.table import Record
from shared.records.transactions import Transaction, transaction
from shared.sessions.store import get, guard_key
from shared.work.item import Task

AT_ONCE = 40
"""Items deleted by one transaction."""


def delete_session(eid: str, *, who: str) -> None:
    """Delete a session with its datasets' records and the documents in it (bytes are kept).

    The session itself goes last, so that what a killed process leaves is deleted by trying again.

    Raises
    ------
    NotFound
        If there is none.
    """
    item = get(eid)
    rest = [part for part in Record.query(f"SES#{eid}", consistent_read=True) if part.sk != "A"]
    for start in range(0, len(rest), AT_ONCE):
        with transaction() as writes:
            for part in rest[start : start + AT_ONCE]:
                writes.delete(part)
                for pointer in _pointers(part):
                    writes.delete(pointer)
                _unlist(writes, eid, part)
    with transaction() as writes:
        version = int(item.version) + 1
        writes.record("session", eid, item.row(), None, who, item=item, version=version)
        guard = guard_key(item.subject, item.date, int(item.number))
        writes.delete(Pointer(pk=guard, sk="A"))
        writes.delete(Pointer(pk=f"EID#{eid.replace('-', '')[:12]}", sk="A"))


def _pointers(part: Record) -> Iterator[Pointer]:
    """Yield what leads to an item from elsewhere."""
    if isinstance(part, Document):
        yield Pointer(pk=f"DOC#{part.what}#{part.id}", sk="A")
    elif isinstance(part, Dataset) and part.foreign:
        yield Pointer(pk=f"DSID#{part.uuid}", sk="A")


def _unlist(writes: Transaction, eid: str, part: Record) -> None:
    """Take an item out of the lists."""
    if isinstance(part, Dataset):
        writes.row("dataset", f"{eid}|{part.path}", int(part.edition) + 1, None)
    elif isinstance(part, Document):
        writes.row(part.what, part.id, int(part.version) + 1, None)
    elif isinstance(part, Task):
        writes.row("task", part.id, int(part.edition) + 1, None)
