"""Deleting a session with everything in its partition.

The session goes first, with every pointer to its id and its name: from then on nothing can be
added, because every write within a session requires that the session exists. The rest of its
partition goes next. A note stays until then, so that `finish` can complete it after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shared.records import keys, leaving
from shared.records.errors import Conflict
from shared.records.items import Dataset, Document, Pointer, Session
from shared.records.optimistic import retried
from shared.records.table import Record
from shared.records.transactions import Transaction, transaction
from shared.sessions.store import GONE, get
from shared.work.item import Task

AT_ONCE = 40
"""Items deleted by one transaction."""


def delete_session(
    eid: str,
    *,
    who: str,
    check: Callable[[Session], None] | None = None,
    first: Callable[[], None] | None = None,
) -> None:
    """Delete a session with its datasets' records and the documents in it (bytes are kept).

    The session is marked as ``check`` saw it: from then on nobody can change it, add to it or
    name it.

    Parameters
    ----------
    eid, who : str
    check : callable, optional
        Takes the session; raises to keep it.
    first : callable, optional
        Deletes what must go before the session, once it is marked; raises to keep the session.

    Raises
    ------
    NotFound, Leaving, Conflict
        If there is no such session; if somebody else is deleting it; if others kept changing it.
    """
    message = f"Session {eid} is being changed by others; try again."
    item, mark = retried(lambda: _mark(eid, check), message)
    try:
        if first:
            first()
        if not leaving.in_time(mark):
            raise Conflict(f"Deleting session {eid} took too long; try again.")
        retried(lambda: _delete(item, mark, who), message)
    except BaseException:
        leaving.unmark(("session", eid), mark)
        raise
    finish(eid)


def _mark(eid: str, check: Callable[[Session], None] | None) -> tuple[Session, str]:
    """Mark a session that may be deleted as it is; return it with its mark."""
    item = get(eid)
    if check:
        check(item)
    mark = leaving.new_mark(eid)
    leaving.mark(("session", eid), mark, version=int(item.version))
    return item, mark


def _delete(item: Session, mark: str, who: str) -> None:
    """Delete a marked session with the pointers to its id and its name."""
    with transaction() as writes:
        writes.record(
            "session",
            item.id,
            item.row(),
            None,
            who,
            item=item,
            version=int(item.version) + 1,
            condition=(Session.version == int(item.version)) & leaving.marked(mark),
        )
        guard = keys.unique_session(item.subject, item.date, int(item.number))
        writes.delete(Pointer(pk=guard, sk="A"))
        writes.delete(Pointer(pk=keys.prefix(item.id), sk="A"))
        writes.save(Pointer(pk=GONE, sk=item.id, to=item.id))


def unfinished_deletions() -> Iterator[str]:
    """Yield the deleted sessions whose contents are not deleted completely."""
    for note in Pointer.query(GONE, consistent_read=True):
        yield note.sk


def finish(eid: str) -> None:
    """Delete the rest of a deleted session's partition; repeating it changes nothing."""
    rest = list(Record.query(keys.session(eid), consistent_read=True))
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
    """Yield the pointers from elsewhere to an item."""
    if isinstance(part, Document):
        yield Pointer(pk=keys.document(part.what, part.id), sk="A")
    elif isinstance(part, Dataset) and part.has_external_id:
        yield Pointer(pk=keys.external(part.uuid), sk="A")


def _unlist(writes: Transaction, eid: str, part: Record) -> None:
    """Take an item out of the lists."""
    if isinstance(part, Dataset):
        writes.row("dataset", f"{eid}|{part.path}", int(part.edition) + 1, None)
    elif isinstance(part, Document):
        writes.row(part.what, part.id, int(part.version) + 1, None)
    elif isinstance(part, Task):
        writes.row("task", part.id, int(part.edition) + 1, None)
