"""Deleting a session with everything in its partition.

The session goes first, with what its id and its name lead to: from then on nothing can be added,
for every write within a session holds only while the session is there. What is left inside goes
next; a note says so until that is done, so that a crash in between is made good (`finish`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shared.records import leaving
from shared.records.items import Dataset, Document, Pointer, Session
from shared.records.optimistic import retried
from shared.records.table import Record
from shared.records.transactions import Transaction, transaction
from shared.sessions.store import GONE, get, guard_key
from shared.work.item import Task

AT_ONCE = 40
"""Items deleted by one transaction."""


def delete_session(eid: str, *, who: str, check: Callable[[], None] | None = None) -> None:
    """Delete a session with its datasets' records and the documents in it (bytes are kept).

    Parameters
    ----------
    eid, who : str
    check : callable, optional
        Raises to keep it; asked when nothing can name it any more.

    Raises
    ------
    NotFound, Leaving, Conflict
        If there is none; if somebody else is deleting it; if others kept changing it.
    """

    def step() -> None:
        item = get(eid)
        was = int(item.version)
        mark = leaving.new_mark(eid)
        leaving.mark(("session", eid), mark)
        try:
            if check:
                check()
        except Exception:
            leaving.unmark(("session", eid), mark)
            raise
        with transaction() as writes:
            writes.record(
                "session",
                eid,
                item.row(),
                None,
                who,
                item=item,
                version=was + 1,
                condition=(Session.version == was) & leaving.marked(mark),
            )
            guard = guard_key(item.subject, item.date, int(item.number))
            writes.delete(Pointer(pk=guard, sk="A"))
            writes.delete(Pointer(pk=f"EID#{eid.replace('-', '')[:12]}", sk="A"))
            writes.save(Pointer(pk=GONE, sk=eid, to=eid))

    retried(step, f"Session {eid} is being changed by others; try again.")
    finish(eid)


def unfinished_deletions() -> Iterator[str]:
    """Yield the sessions that are deleted, but not yet all that is in them."""
    for note in Pointer.query(GONE, consistent_read=True):
        yield note.sk


def finish(eid: str) -> None:
    """Delete what is left in the partition of a deleted session; again is no change."""
    rest = list(Record.query(f"SES#{eid}", consistent_read=True))
    for start in range(0, len(rest), AT_ONCE):
        with transaction() as writes:
            for part in rest[start : start + AT_ONCE]:
                writes.delete(part)
                for pointer in _pointers(part):
                    writes.delete(pointer)
                _unlist(writes, eid, part)
    with transaction() as writes:
        writes.delete(Pointer(pk=GONE, sk=eid))


def _pointers(part: Record) -> Iterator[Pointer]:
    """Yield what leads to an item from elsewhere."""
    if isinstance(part, Document):
        yield Pointer(pk=f"DOC#{part.what}#{part.id}", sk="A")
    elif isinstance(part, Dataset) and part.has_external_id:
        yield Pointer(pk=f"DSID#{part.uuid}", sk="A")


def _unlist(writes: Transaction, eid: str, part: Record) -> None:
    """Take an item out of the lists."""
    if isinstance(part, Dataset):
        writes.row("dataset", f"{eid}|{part.path}", int(part.edition) + 1, None)
    elif isinstance(part, Document):
        writes.row(part.what, part.id, int(part.version) + 1, None)
    elif isinstance(part, Task):
        writes.row("task", part.id, int(part.edition) + 1, None)
