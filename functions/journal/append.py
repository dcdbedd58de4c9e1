"""Append the change feed to the journal, and make a snapshot of a long log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from shared.model import moment
from shared.records import feed, journal, leaving, staging
from shared.records.journal import Chunk, Image, Item, JournalEntry, Snapshot, State, StateSource
from shared.records.table import connection, table_name
from shared.records.transactions import NOT_JOURNALED

LARGEST_CHUNK = 32 * 2**20
"""Approximate bytes of images in one chunk; the rest goes into the next."""

HEARTBEAT = timedelta(days=1)
"""Interval of chunks without changes, so that the cursor stays within the feed."""

MARGIN = timedelta(hours=6)
"""Safety margin before the end of the feed's memory."""

LONG_LOG_BYTES = 8 * 2**20
LONG_LOG_SHARE = 4
LONG_LOG_CHUNKS = 3000
"""A snapshot is made when the log since the last one has this many bytes and a quarter of the
snapshot's, or this many chunks. All snapshots together are then about five times the log."""

PART_BYTES = 8 * 2**20
"""Compressed bytes of a snapshot's part above which it is halved."""


def append(kinds: set[str] | None = None) -> int:
    """Append the new entries of the feed to the journal; return the number of transactions.

    Parameters
    ----------
    kinds : set of str, optional
        Set to which the kinds of the changed records are added.
    """
    done = 0
    while True:
        last = _last_chunk() or _begin()
        if moment.of_stamp(last.cursor) < moment.now() - feed.KEPT + MARGIN:
            last = _begin(last.number + 1)  # idle for days: the feed has expired
        chunk, more = _next(last)
        idle = moment.now() - moment.of_stamp(last.cursor) < HEARTBEAT
        if not chunk.entries and idle:
            return done
        if journal.write_chunk(chunk):
            done += len(chunk.entries)
            if kinds is not None:
                kinds.update(_kind(image) for e in chunk.entries for image in e.images)
            if not more:
                return done


def _kind(image: Image) -> str:
    """Return the kind of an image: of its document (``tag``), else of its item."""
    first, _, rest = image.pk.partition("#")
    if first == "DOC":
        return rest.partition("#")[0]
    if first in ("SES", "AGG"):
        return {"A": "session", "B": "dataset", "D": "dataset"}.get(image.sk[:1], "inside")
    return first


def _last_chunk() -> Chunk | None:
    """Return the last chunk, or an empty one if a snapshot is newer."""
    snapshots = journal.snapshots()
    if not snapshots:
        return None
    numbers = journal.chunks_after(snapshots[-1].number - 1)
    if numbers:
        return journal.read_chunk(max(numbers))
    return Chunk(snapshots[-1].number, snapshots[-1].cursor, [], [])


def _begin(number: int = 0) -> Chunk:
    """Start from the table itself; return a chunk that stands for its snapshot."""
    return Chunk(number, snapshot_of_table(number).cursor, [], [])


def _next(last: Chunk) -> tuple[Chunk, bool]:
    """Return the chunk after another one, and whether the feed has more entries."""
    cursor, more = moment.stamp(), False
    start = moment.stamp(moment.of_stamp(last.cursor) - feed.OVERLAP)
    seen = set(last.seen)
    entries: list[JournalEntry] = []
    size = 0
    for entry in journal.entries_since(start, seen):
        if size > LARGEST_CHUNK:
            cursor, more = entries[-1].name.partition("#")[0], True
            break
        entries.append(entry)
        size += sum(len(str(image.item)) for image in entry.images)
    earliest = moment.stamp(moment.of_stamp(cursor) - feed.OVERLAP)
    names = sorted(name for name in (*seen, *(e.name for e in entries)) if name >= earliest)
    return Chunk(last.number + 1, cursor, names, entries), more


def search_late(back: timedelta = timedelta(days=1)) -> int:
    """Journal entries that were committed too late for `append`; return their number.

    A writer that paused between taking the time and committing (a frozen process, a request with
    many retries) leaves such an entry.
    """
    last = _last_chunk()
    if last is None:
        return 0
    since = moment.stamp(moment.now() - back)
    journaled = _known_since(since)
    late = [
        entry
        for entry in journal.entries_since(since)
        if entry.name not in journaled and entry.name < last.cursor
    ]
    if late and journal.write_chunk(Chunk(last.number + 1, last.cursor, last.seen, late)):
        return len(late)
    return 0


def _known_since(since: str) -> set[str]:
    """Return the names of journaled entries, including all since a moment."""
    early = moment.stamp(moment.of_stamp(since) - feed.OVERLAP)
    names: set[str] = set()
    for number in sorted(journal.chunks_after(0), reverse=True):
        chunk = journal.read_chunk(number)
        names.update(chunk.seen, (entry.name for entry in chunk.entries))
        if chunk.cursor < early:
            break
    return names


def compact(*, always: bool = False) -> Snapshot | None:
    """Make a snapshot if the log since the last one is long; repeating it changes nothing."""
    try:
        source = StateSource.find()
    except LookupError:
        return None
    size, before = sum(source.chunks.values()), source.snapshot
    is_long = size > max(LONG_LOG_BYTES, before.size // LONG_LOG_SHARE)
    if not source.chunks or not (always or is_long or len(source.chunks) > LONG_LOG_CHUNKS):
        return None
    parts = before.parts * (2 if before.size // before.parts > PART_BYTES else 1)
    until = max((line.name.partition("#")[0] for line in source.changes()), default=before.until)
    until = max(until, before.until)
    return journal.write_snapshot(source.last, until, until, parts, source.states(parts))


def snapshot_of_table(number: int) -> Snapshot:
    """Make a snapshot of the present table, after a chunk."""
    start = moment.stamp()
    state: State = {}
    for item in items_of_table():
        line = journal.line_of(item, start)
        state[line.pk, line.sk] = line
    parts = 1
    while sum(1 for _ in state) // parts > 100_000:
        parts *= 2
    divided: dict[int, State] = {part: {} for part in range(parts)}
    for key, line in state.items():
        divided[journal.part_of(key[0], parts)][key] = line
    return journal.write_snapshot(number, moment.stamp(), start, parts, divided.items())


def items_of_table() -> Iterator[Item]:
    """Yield every journaled item of the table, raw, by strongly consistent reads."""
    others = {f":k{i}": {"S": kind} for i, kind in enumerate(NOT_JOURNALED)}
    arguments: dict[str, Any] = {
        "TableName": table_name(),
        "ConsistentRead": True,
        "FilterExpression": f"attribute_exists(#k) AND NOT #k IN ({','.join(others)})",
        "ExpressionAttributeNames": {"#k": "_k"},
        "ExpressionAttributeValues": others,
    }
    client: Any = connection().client
    whole_lists: set[str] = set()
    while True:
        page = client.scan(**arguments)
        for item in page["Items"]:
            if (journaled := as_journaled(item, whole_lists)) is not None:
                yield journaled
        if "LastEvaluatedKey" not in page:
            return
        arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def as_journaled(item: Item, shown: set[str]) -> Item | None:
    """Return an item of the table in its journaled form; None if it is not (yet) journaled.

    Deletion marks are not journaled, and neither are lists in progress: the writer that makes a
    list visible journals it then.

    Parameters
    ----------
    item : dict
    shown : set of str
        Lists known to be complete; newly found ones are added.
    """
    token = item.get("b", {}).get("S", "")
    if token and item["_k"]["S"] in ("Doc", "Pointer") and token not in shown:
        if staging.is_under_way(token) or item_at(item["pk"]["S"], item["sk"]["S"]) is None:
            return None  # discarded items are deleted before their note
        shown.add(token)
    return {name: value for name, value in item.items() if name != leaving.ATTRIBUTE}


def item_at(pk: str, sk: str) -> Item | None:
    """Return an item of the table, raw, by a strongly consistent read; None if there is none."""
    client: Any = connection().client
    key = {"pk": {"S": pk}, "sk": {"S": sk}}
    answer = client.get_item(TableName=table_name(), Key=key, ConsistentRead=True)
    item: Item | None = answer.get("Item")
    return item
