"""The journal: every committed change of every record, in S3, for restoring the table.

``journal/log/000000000042.json.gz`` is one `Chunk`: the items that some transactions wrote, and
the position in the feed. A chunk is written once, under the number after the last one
(``If-None-Match``). It holds both the changes and the position to continue from. So a writer may
be killed at any point, or run twice at once, and the journal has each change once.

``journal/snapshots/000000000042/…`` is the table after chunk 42, in parts by partition key. It is
valid once its description ``journal/snapshots/000000000042.json`` exists. Nothing below
``journal/`` is ever changed or deleted.
"""

from __future__ import annotations

import base64
import gzip
import heapq
import io
import zlib
from collections.abc import Collection, Iterable, Iterator
from datetime import timedelta
from typing import Any

import msgspec

from shared.model import moment
from shared.model.prefixes import JOURNAL
from shared.records import feed, objects
from shared.records.table import connection, table_name
from shared.records.transactions import ORDERED_BY

LOG = f"{JOURNAL}log/"
SNAPSHOTS = f"{JOURNAL}snapshots/"

TOMBSTONES = timedelta(days=4)
"""Time for which snapshots remember deleted items: the feed may still bring older versions."""

TOGETHER = 50
"""Entries of the feed whose named items are read by one request: most name one or two."""

PASS_BYTES = 64 * 2**20
"""Compressed bytes of log whose changes are in memory at a time."""

Item = dict[str, Any]


class Image(msgspec.Struct, array_like=True, frozen=True):
    """An item as one transaction left it; ``item`` is None if it was deleted.

    ``order`` is the item's version if it has one; the image with the higher version is later.
    """

    pk: str
    sk: str
    order: int | None
    item: Item | None


class JournalEntry(msgspec.Struct, array_like=True, frozen=True):
    """The writes of one transaction; ``name`` is a `moment.stamp` and a random tail."""

    name: str
    images: list[Image]


class Chunk(msgspec.Struct, frozen=True):
    """Some entries, oldest first, and the position at which the next chunk continues.

    Attributes
    ----------
    number : int
        1, 2, 3, …
    cursor : str
        A `stamp`: the feed was read up to here.
    seen : list of str
        Names of journaled entries near the cursor; any other entry there is a late one.
    entries : list of JournalEntry
    """

    number: int
    cursor: str
    seen: list[str]
    entries: list[JournalEntry]


class Line(msgspec.Struct, array_like=True, frozen=True):
    """An item in a snapshot and the name of the entry that wrote it; None if deleted."""

    name: str
    order: int | None
    pk: str
    sk: str
    item: Item | None


class Snapshot(msgspec.Struct, frozen=True):
    """Description of a snapshot.

    Attributes
    ----------
    number : int
        Number of the last chunk in it; 0 if nothing was journaled yet.
    until : str
        A `stamp`: the snapshot cannot restore earlier moments.
    cursor : str
        A `stamp`: it contains all earlier writes; the feed must be read from here on.
    parts : int
        Number of its files.
    items, size : int
        Items that exist, and compressed bytes.
    """

    number: int
    until: str
    cursor: str
    parts: int
    items: int
    size: int


State = dict[tuple[str, str], Line]
"""The last image of each item, deleted ones as well."""


def part_of(pk: str, parts: int) -> int:
    """Return the part of a snapshot that has a partition."""
    return zlib.crc32(pk.encode()) % parts


def chunk_key(number: int) -> str:
    """Return the key of a chunk."""
    return f"{LOG}{number:012d}.json.gz"


def part_key(number: int, part: int, parts: int) -> str:
    """Return the key of a part of a snapshot."""
    return f"{SNAPSHOTS}{number:012d}/{part:05d}-of-{parts:05d}.json.gz"


def write_chunk(chunk: Chunk) -> bool:
    """Write a chunk; return False if its number is already taken."""
    return objects.write_new(chunk_key(chunk.number), _packed(msgspec.json.encode(chunk)))


def read_chunk(number: int) -> Chunk:
    """Return a chunk."""
    return msgspec.json.decode(gzip.decompress(objects.read(chunk_key(number))), type=Chunk)


def chunks_after(number: int) -> dict[int, int]:
    """Return the numbers of the chunks after one, in order, each with its compressed bytes."""
    listed = objects.sizes(LOG, after=chunk_key(number))
    return {int(key.removeprefix(LOG).partition(".")[0]): size for key, size in listed.items()}


def snapshots() -> list[Snapshot]:
    """Return the snapshots, oldest first."""
    keys = objects.sizes(SNAPSHOTS, delimiter="/")
    return [msgspec.json.decode(objects.read(key), type=Snapshot) for key in sorted(keys)]


def write_snapshot(
    number: int, until: str, cursor: str, parts: int, states: Iterable[tuple[int, State]]
) -> Snapshot:
    """Write a snapshot part by part, then its description, which makes it valid.

    Parts that a killed writer left are overwritten.

    Parameters
    ----------
    number, until, cursor, parts : int, str, str, int
        See `Snapshot`.
    states : iterable of (int, State)
        The parts.
    """
    items = size = 0
    old = moment.stamp(moment.now() - TOMBSTONES)
    for part, state in states:
        lines = [line for line in state.values() if line.item is not None or line.name >= old]
        body = _packed(b"\n".join(map(msgspec.json.encode, lines)))
        objects.write(part_key(number, part, parts), body)
        items += sum(line.item is not None for line in lines)
        size += len(body)
    snapshot = Snapshot(number, until, cursor, parts, items, size)
    objects.write_new(f"{SNAPSHOTS}{number:012d}.json", msgspec.json.encode(snapshot))
    return snapshot


def _packed(body: bytes) -> bytes:
    return gzip.compress(body, 6, mtime=0)


def read_part(snapshot: Snapshot, part: int) -> Iterator[Line]:
    """Yield the lines of a part of a snapshot."""
    body = objects.read(part_key(snapshot.number, part, snapshot.parts))
    with gzip.open(io.BytesIO(body)) as lines:
        for line in lines:
            yield msgspec.json.decode(line, type=Line)


def is_later(line: Line, known: Line) -> bool:
    """Return whether a line is later than another line of the same item."""
    if line.order is not None and known.order is not None and line.order != known.order:
        return line.order > known.order
    return line.name > known.name


def take_in(state: State, line: Line) -> None:
    """Put a line into a state, unless the state has a later one of the item."""
    existing = state.get((line.pk, line.sk))
    if existing is None or is_later(line, existing):
        state[line.pk, line.sk] = line


class StateSource(msgspec.Struct, frozen=True):
    """The sources of a state: a snapshot, the chunks after it, and the moment to stop at."""

    snapshot: Snapshot
    chunks: dict[int, int]
    to: str | None = None

    @classmethod
    def find(cls, to: str | None = None, last: int | None = None) -> StateSource:
        """Return the sources of the state at a moment (by default now).

        Parameters
        ----------
        to : str, optional
            A `stamp`.
        last : int, optional
            Number of the last chunk to read; by default the newest.

        Raises
        ------
        LookupError
            If the journal does not reach back to the moment.
        """
        usable = [
            each
            for each in snapshots()
            if (to is None or each.until <= to) and (last is None or each.number <= last)
        ]
        if not usable:
            raise LookupError("The journal does not reach back so far." if to else NO_JOURNAL)
        chunks = chunks_after(usable[-1].number)
        return cls(usable[-1], {n: c for n, c in chunks.items() if last is None or n <= last}, to)

    @property
    def last(self) -> int:
        """Number of the last chunk."""
        return max(self.chunks, default=self.snapshot.number)

    def states(self, parts: int | None = None) -> Iterator[tuple[int, State]]:
        """Yield the state part by part; one pass over the log makes as many as memory holds.

        Parameters
        ----------
        parts : int, optional
            Number of parts: that of the snapshot (default), or a multiple of it.
        """
        parts = parts or self.snapshot.parts
        passes = min(parts, 1 + sum(self.chunks.values()) // PASS_BYTES)
        for first in range(passes):
            states: dict[int, State] = {part: {} for part in range(first, parts, passes)}
            for part in {part % self.snapshot.parts for part in states}:
                for line in read_part(self.snapshot, part):
                    if (state := states.get(part_of(line.pk, parts))) is not None:
                        take_in(state, line)
            for line in self.changes():
                if (state := states.get(part_of(line.pk, parts))) is not None:
                    take_in(state, line)
            yield from states.items()

    def changes(self) -> Iterator[Line]:
        """Yield the lines of the log, up to the moment."""
        for number in sorted(self.chunks):
            for entry in read_chunk(number).entries:
                if self.to is None or entry.name <= self.to + "~":
                    for each in entry.images:
                        yield Line(entry.name, each.order, each.pk, each.sk, each.item)


NO_JOURNAL = "There is no journal yet: its function writes the first part within a minute."


def line_of(item: Item, name: str) -> Line:
    """Return the line of an item of the table (binary values as bytes)."""
    counter = ORDERED_BY.get(item["_k"]["S"])
    order = int(item[counter]["N"]) if counter and counter in item else None
    return Line(name, order, item["pk"]["S"], item["sk"]["S"], item)


def stored(value: Any) -> Any:
    """Return an item of the journal in DynamoDB's form: with binary values as bytes."""
    if not isinstance(value, dict):
        return value
    return {name: _with_bytes(each) for name, each in value.items()}


def _with_bytes(value: dict[str, Any]) -> dict[str, Any]:
    ((kind, held),) = value.items()
    match kind:
        case "B":
            return {kind: held if isinstance(held, bytes) else base64.b64decode(held)}
        case "BS":
            return {kind: [_with_bytes({"B": each})["B"] for each in held]}
        case "L":
            return {kind: [_with_bytes(each) for each in held]}
        case "M":
            return {kind: stored(held)}
    return value


def entries_since(cursor: str, seen: Collection[str] = frozenset()) -> Iterator[JournalEntry]:
    """Yield the feed's entries for the journal since a moment, oldest first.

    Those whose names were ``seen`` are neither unpacked nor completed from the table.
    """
    plain = feed.packed_since(cursor, "i", feed.IMAGES)
    sealed = feed.packed_since(cursor, "sealed", feed.SECRETS)
    waiting: list[JournalEntry] = []
    for name, packed in heapq.merge(plain, sealed, key=lambda each: each[0]):
        if name in seen:
            continue
        images = msgspec.json.decode(zlib.decompress(packed), type=list[Image])
        waiting.append(JournalEntry(name, images))
        if len(waiting) == TOGETHER:
            yield from _completed(waiting)
            waiting = []
    yield from _completed(waiting)


def _completed(entries: list[JournalEntry]) -> Iterator[JournalEntry]:
    """Yield entries with those items that the feed only names, read together."""
    named = [
        (image.pk, image.sk)
        for entry in entries
        for image in entry.images
        if image.item == feed.IN_TABLE
    ]
    items = _read_items(sorted(set(named)))
    for entry in entries:
        images = [
            Image(each.pk, each.sk, each.order, items.get((each.pk, each.sk)))
            if each.item == feed.IN_TABLE
            else each
            for each in entry.images
        ]
        yield JournalEntry(entry.name, images)


def _read_items(keys: list[tuple[str, str]]) -> dict[tuple[str, str], Item]:
    """Return items of the table by their keys."""
    client: Any = connection().client
    items: dict[tuple[str, str], Item] = {}
    for start in range(0, len(keys), 100):
        wanted = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in keys[start : start + 100]]
        left: Any = {table_name(): {"Keys": wanted, "ConsistentRead": True}}
        while left:
            answer = client.batch_get_item(RequestItems=left)
            for item in answer["Responses"].get(table_name(), ()):
                items[item["pk"]["S"], item["sk"]["S"]] = item
            left = answer.get("UnprocessedKeys")
    return items
