"""Restore the table from the journal: as of now or of a moment, in an empty table or in place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from functions.journal.append import append, items_of_table
from shared.datasets.freed import COPY, RAW, freed
from shared.model import moment
from shared.model.identity import data_key, dataset_id
from shared.model.prefixes import DATA, SNAPSHOT
from shared.records import env, feed, journal, objects
from shared.records.items import Dataset
from shared.records.journal import Chunk, Line, StateSource
from shared.records.table import Record, connection, table_name

WRITERS = 8
"""Parallel batches of items."""

BATCH = 25
"""Most items of one request (DynamoDB)."""


class NotEmpty(Exception):
    """The table has records, and `replace` was not given."""


class OtherRestore(Exception):
    """A restore to another moment is unfinished."""


class Mark(Record, discriminator="Restore"):
    """A restore in progress: ``RESTORE`` / A; with the moment, and the part of the journal."""

    to = UnicodeAttribute()
    last = NumberAttribute()
    undoes = NumberAttribute(default=0)


class RestoreReport(msgspec.Struct, frozen=True):
    """Outcome of a restore.

    Attributes
    ----------
    to : str
        The moment, a `stamp`.
    items : dict
        Kind → number of items written (in a dry run: to write).
    deleted : int
        Items deleted because the journal does not have them.
    missing : list of str
        Keys of objects of restored datasets that are missing in the bucket.
    kept : list of str
        Keys of objects that were marked as freed after the moment, and stay now (in a dry run:
        would stay).
    expired : dict
        Key of a raw recording that was freed after the moment and has expired → key of the
        compressed copy that has its content. They are not among the missing ones.
    """

    to: str
    items: dict[str, int]
    deleted: int
    missing: list[str]
    kept: list[str] = []
    expired: dict[str, str] = {}


def restore(
    to: str | None = None,
    *,
    replace: bool = False,
    dry_run: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> RestoreReport:
    """Restore the table.

    A killed restore continues when it is started again; repeating an ended one changes nothing.

    Parameters
    ----------
    to : str, optional
        A `stamp`; now by default.
    replace : bool
        Whether a table with records may be restored; later records are deleted.
    dry_run : bool
        Whether only to report what would be done.
    say : callable
        Gets a line of progress.

    Raises
    ------
    NotEmpty, OtherRestore
        If the table must not be changed.
    LookupError
        If the journal does not reach back to the moment.
    """
    mark = _mark()
    if mark is None:
        empty = next(items_of_table(), None) is None
        if not empty:
            if not (replace or dry_run):
                raise NotEmpty(
                    "The table has records. Restore into an empty table, or say --replace to make "
                    "it what it was: what was written later is then deleted from it."
                )
            append()  # so that the present state is not lost
        source = StateSource.find(to)
        mark = Mark(
            pk="RESTORE", sk="A", to=to or moment.stamp(), last=source.last,
            undoes=int(not empty or to is not None),
        )  # fmt: skip
        if not dry_run:
            mark.save()
    elif to is not None and to != mark.to:
        raise OtherRestore(
            f"A restore to {mark.to} has not ended; say --to {mark.to} to go on with it."
        )
    source = StateSource.find(mark.to, int(mark.last))
    kinds: Counter[str] = Counter()
    restored: set[int] = set()
    wanted: dict[str, str] = {}
    for part, state in source.states():
        present = [line for line in state.values() if line.item is not None]
        kinds.update(line.item["_k"]["S"] for line in present if line.item)
        restored.update(hash((line.pk, line.sk)) for line in present)
        wanted.update(_objects_of(present))
        if not dry_run:
            _write(_puts(present))
            say(f"part {part + 1} of {source.snapshot.parts}: {len(present)} items")
    deleted = 0 if dry_run else _delete_others(restored)
    there = objects.keys(DATA) if wanted else set()
    copies = {key: copy for key, copy in wanted.items() if copy}
    expired = {k: copy for k, copy in copies.items() if k not in there and copy in there}
    missing = sorted(wanted.keys() - there - expired.keys())
    marked = (key for key in sorted(copies) if key in there and objects.is_marked_freed(key))
    kept = list(marked)
    if not dry_run:
        for key in kept:  # a rule of the bucket would delete what the table has again
            objects.unmark_freed(key)
        _finish(mark, source)
    return RestoreReport(mark.to, dict(sorted(kinds.items())), deleted, missing, kept, expired)


def _mark() -> Mark | None:
    try:
        return Mark.get("RESTORE", "A", consistent_read=True)
    except Mark.DoesNotExist:
        return None


def _puts(lines: Iterable[Line]) -> Iterator[dict[str, Any]]:
    for line in lines:
        yield {"PutRequest": {"Item": journal.stored(line.item)}}


def _write(requests: Iterable[dict[str, Any]]) -> None:
    """Write items in parallel batches; unprocessed items are sent again."""
    client: Any = connection().client
    name = table_name()

    def send(batch: list[dict[str, Any]]) -> None:
        left: dict[str, Any] = {name: batch}
        while left:
            left = client.batch_write_item(RequestItems=left).get("UnprocessedItems") or {}

    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in pool.map(send, _batches(requests)):
            pass


def _batches(requests: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for request in requests:
        batch.append(request)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _delete_others(kept: set[int]) -> int:
    """Delete the items that were not restored; return their number."""
    others = [
        {"DeleteRequest": {"Key": {"pk": item["pk"], "sk": item["sk"]}}}
        for item in items_of_table()
        if hash((item["pk"]["S"], item["sk"]["S"])) not in kept
    ]
    _write(others)
    return len(others)


def _objects_of(lines: Iterable[Line]) -> Iterator[tuple[str, str]]:
    """Yield the keys of the objects that datasets have in the own bucket.

    With each comes, for a raw recording, the key of its compressed copy; else nothing. A dataset
    that was freed needs no object.
    """
    for line in lines:
        if line.item and line.item["_k"]["S"] == Dataset.stored_kind():
            item = Dataset.from_raw_data(journal.stored(line.item))
            if item.stored_key and not freed(item):
                yield item.stored_key, _copy_of(item)


def _copy_of(item: Dataset) -> str:
    """Return the key under which a raw recording's compressed copy is; else an empty text."""
    if not (item.stored_in and item.name.endswith(RAW)):
        return ""
    path = f"{item.path.removesuffix(RAW)}{COPY}"
    return data_key(item.stored_in, path, dataset_id(item.owner, path))


def _finish(mark: Mark, source: StateSource) -> None:
    """Make journal, index and running processes start from the restored table."""
    if mark.undoes:  # later entries of the log are no longer valid
        now = moment.stamp()
        number = max(journal.chunks_after(source.last), default=source.last) + 1
        since = moment.stamp(moment.of_stamp(now) - feed.OVERLAP)
        undone = [later.name for later in journal.entries_since(since)]
        journal.write_snapshot(number, now, now, source.snapshot.parts, source.states())
        journal.write_chunk(Chunk(number, now, undone, []))
    if env.has_data_bucket():
        objects.delete([SNAPSHOT])
    for entry in feed.entries([(feed.RESET, feed.RESET, 0, None)], []):
        entry.save()
    mark.delete()
