"""Deleting a session with everything in its partition."""

from __future__ import annotations

from collections import defaultdict

from shared.records.audit import entry
from shared.records.feed import change, changes
from shared.records.items import Dataset, Document, Pointer
from shared.records.table import Record
from shared.records.transactions import transaction
from shared.sessions.store import get, guard_key
from shared.work.item import Task


def delete_session(eid: str, *, who: str) -> None:
    """Delete a session with its datasets' records and the documents in it (bytes are kept).

    Raises
    ------
    NotFound
        If there is none.
    """
    item = get(eid)
    rest = [part for part in Record.query(f"SES#{eid}", consistent_read=True) if part.sk != "A"]
    gone: dict[str, list[tuple[str, int, None]]] = defaultdict(list)
    with Record.batch_write() as batch:
        for part in rest:
            if isinstance(part, Dataset):
                gone["dataset"].append((f"{eid}|{part.path}", int(part.edition) + 1, None))
            elif isinstance(part, Document):
                gone[part.what].append((part.id, int(part.version) + 1, None))
                batch.delete(Pointer(pk=f"DOC#{part.what}#{part.id}", sk="A"))
            elif isinstance(part, Task):
                gone["task"].append((part.id, int(part.edition) + 1, None))
            batch.delete(part)
    for kind, rows in gone.items():
        changes(kind, rows).save()
    with transaction() as writes:
        writes.delete(item)
        guard = guard_key(item.subject, item.date, int(item.number))
        writes.delete(Pointer(pk=guard, sk="A"))
        writes.delete(Pointer(pk=f"EID#{eid.replace('-', '')[:12]}", sk="A"))
        writes.save(change("session", eid, int(item.version) + 1, None))
        writes.save(entry(who, "delete", "session", eid, item.row(), None))
