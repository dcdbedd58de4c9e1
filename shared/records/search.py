"""The search index: every kind of record in memory, as of now or as of a page token.

DynamoDB is the ledger; this is its read model. A snapshot in S3 holds one row per record (columns
in Parquet, small kinds as JSON lines). A process loads the kinds it needs, once, and before it
answers reads the change feed by one strongly consistent query: so a caller reads what was written
before, whoever wrote it. Changes are kept as versions in time on top of the snapshot, so that a
page asked for with the token of the first page shows the state of that moment while writers write.

Without a snapshot, or with one older than the feed reaches back, the table itself is scanned.
"""

from __future__ import annotations

import bisect
import gzip
import io
import json
import logging
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.datasets.read import places_of
from shared.records import aws, changes, times
from shared.records.changes import Changed
from shared.records.where import Either, Places, Where

if TYPE_CHECKING:
    pass

Row = dict[str, Any]

ORDER: Mapping[str, tuple[str, ...]] = {
    "session": ("-start_time", "id"),
    "dataset": ("session", "path"),
    "insertion": ("-session_start", "name", "id"),
    "task": ("level", "-priority", "-session_start", "id"),
    "subject": ("nickname",),
    "water-restriction": ("-end_time", "-start_time", "id"),
    "surgery": ("-start_time", "id"),
    "field-of-view": ("-session_start", "name", "id"),
}
"""What the rows of a kind are sorted by; others by their key."""

KEYS: Mapping[str, tuple[str, ...]] = {"dataset": ("session", "path")}
"""Fields that make the key of a row where it is not in the field ``key``."""

AT_REST: Mapping[str, frozenset[str]] = {"dataset": frozenset({"hash"})}
"""Fields that the snapshot has for its readers but that are not held in memory."""

SMALL = 1000
"""Up to this many rows are held as they are; more become columns."""

TOKEN_LIFE = timedelta(minutes=15)
"""How long a page token keeps its moment."""

_log = logging.getLogger(__name__)


_IN_PATH: Mapping[str, int] = {"collection": 0, "revision": 1, "name": 2}
"""Fields of a dataset that its path holds, so that they are not stored beside it."""


def on_stored(kind: str, wheres: Sequence[Where]) -> list[Where]:
    """Return conditions in terms of the fields that rows hold."""
    if kind != "dataset":
        return list(wheres)
    from shared.model.identity import split_path

    def on_id(where: Where) -> Where:
        if where.lookup not in ("exact", "in"):
            return replace(where, field="path")
        wanted = [where.value] if where.lookup == "exact" else where.value
        places = places_of([str(each).lower() for each in wanted])
        return Places(value=frozenset(places), negate=where.negate)

    def on_path(where: Where) -> Where:
        test, part = where.test(), _IN_PATH[where.field]
        return Where("path", "test", lambda path: test(split_path(path)[part]), where.negate)

    def stored(where: Where) -> Where:
        if isinstance(where, Either):
            return replace(where, value=[stored(each) for each in where.value])
        if where.field in _IN_PATH:
            return on_path(where)
        if where.field == "id":
            return on_id(where)
        if where.field == "session" and where.lookup == "isnull":  # aggregates have an owner#id
            wanted = bool(where.value)
            return Where("session", "test", lambda x: ("#" in x) == wanted, where.negate)
        return where

    return [stored(where) for where in wheres]


def row_key(kind: str, row: Mapping[str, Any]) -> str:
    """Return the key of a row: ``session|path`` for datasets, else its ``key`` or ``id``."""
    if kind == "dataset":
        return f"{row['session']}|{row['path']}"
    return row.get("key") or row["id"]


class _Descending:
    """Sorts the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Descending) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and self.value == other.value


def _part(value: Any) -> tuple[bool, str, Any]:
    number = isinstance(value, (int, float))
    if isinstance(value, (list, dict)):
        value = len(value)
        number = True
    return (value is not None, "" if number else type(value).__name__, value)


def sort_key(row: Mapping[str, Any], order: Sequence[str]) -> tuple[Any, ...]:
    """Return what a row sorts by; None sorts first, ``-`` means descending."""
    return tuple(
        _Descending(_part(row.get(name[1:]))) if name[0] == "-" else _part(row.get(name))
        for name in order
    )


class Rows:
    """A few rows, held as they are; what `columns.Columns` is for many."""

    def __init__(self, kind: str, rows: Iterable[Row], order: tuple[str, ...]) -> None:
        self.rows = sorted(rows, key=lambda row: sort_key(row, order))
        self.places = {row_key(kind, row): i for i, row in enumerate(self.rows)}
        self.n = len(self.rows)
        self._having: dict[str, dict[str, list[int]]] = {}

    def find(self, key: str) -> int:
        """Return the row of a key, -1 if there is none."""
        return self.places.get(key, -1)

    def _narrowest(self, wheres: Sequence[Where]) -> Sequence[int]:
        """Return the rows that have a text some condition looks for; else all of them."""
        best: Sequence[int] = range(self.n)
        for where in wheres:
            wanted = None if where.negate or isinstance(where, (Either, Places)) else where.texts()
            if wanted is None or len(wanted) > 8:
                continue
            if where.field not in self._having:
                having = self._having[where.field] = defaultdict(list)
                for i, row in enumerate(self.rows):
                    value = row.get(where.field)
                    for each in value if isinstance(value, list) else [value]:
                        if each is not None and not isinstance(each, (list, dict)):
                            having[str(each)].append(i)
            found = {i for text in wanted for i in self._having[where.field].get(text, ())}
            if len(found) < len(best):
                best = sorted(found)
        return best

    def matching(self, wheres: Sequence[Where]) -> list[int]:
        """Return the row numbers that fulfil all conditions, in order."""
        tests = [where.on_rows() for where in wheres]
        rows = self._narrowest(wheres)
        return [i for i in rows if all(test(self.rows[i]) for test in tests)]

    def pick(self, rows: Sequence[int], fields: Sequence[str] | None = None) -> list[Row]:
        """Return some rows."""
        return [self.rows[i] for i in rows]

    def sort(self, rows: Sequence[int], order: tuple[str, ...]) -> list[int]:
        """Return row numbers sorted by some fields."""
        return sorted(rows, key=lambda i: sort_key(self.rows[i], order))

    def distinct(self, rows: Sequence[int], name: str) -> set[Any]:
        """Return the distinct values of a field among some rows."""
        values: set[Any] = set()
        for i in rows:
            value = self.rows[i].get(name)
            values.update(value if isinstance(value, list) else [value])
        return values


Base = Any  # Rows | Columns; numpy is imported only when there is something to hold in columns


@dataclass
class _Version:
    at: str
    version: int
    row: Row | None


@dataclass
class _Generation:
    """A base and the versions that came after it."""

    base: Base
    at: str
    overlay: dict[str, list[_Version]] = field(default_factory=dict)
    replaced: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Place and version of what the base has of a key; -1 for nothing."""

    def current(self, as_of: str | None) -> tuple[dict[str, Row | None], list[int]]:
        """Return the rows that replace base rows at a moment, and the base rows replaced."""
        shown: dict[str, Row | None] = {}
        hidden: list[int] = []
        now = as_of is None or as_of >= self.at
        for key, versions in self.overlay.items():
            best: _Version | None = None
            for each in versions:
                if (as_of is None or each.at <= as_of) and (
                    best is None or each.version >= best.version
                ):
                    best = each
            if best is None:
                continue
            place, version = self._in_base(key)
            if best.version <= version and now:  # the feed is read from before the snapshot on
                continue
            shown[key] = best.row
            if place >= 0:
                hidden.append(place)
        return shown, hidden

    def _in_base(self, key: str) -> tuple[int, int]:
        if (known := self.replaced.get(key)) is None:
            place, version = self.base.find(key), None
            if place >= 0:
                version = self.base.pick(_one(self.base, place), ("_version",))[0].get("_version")
            known = self.replaced[key] = (place, -1 if version is None else version)
        return known


@dataclass(frozen=True)
class Selection:
    """The rows that fulfil some conditions, in order; taken page by page."""

    base: Base
    base_rows: Any
    extra: list[tuple[int, Row]]
    """Rows not in the base, each with the number of base rows before it."""

    def __len__(self) -> int:
        return len(self.base_rows) + len(self.extra)

    def page(self, offset: int, limit: int, fields: Sequence[str] | None = None) -> list[Row]:
        """Return the rows from a rank on.

        Parameters
        ----------
        offset, limit : int
            Rank of the first row, and how many at most.
        fields : sequence of str, optional
            Only these fields.
        """
        ranks = [before + i for i, (before, _) in enumerate(self.extra)]
        first = bisect.bisect_left(ranks, offset)
        last = bisect.bisect_left(ranks, offset + limit)
        rows = self.base_rows[offset - first : offset + limit - last]
        found = list(self.base.pick(rows, fields))
        for (_, row), rank in zip(self.extra[first:last], ranks[first:last], strict=True):
            found.insert(rank - offset, row)
        return found

    def all(self, fields: Sequence[str] | None = None) -> list[Row]:
        """Return all the rows."""
        return self.page(0, len(self), fields)

    def values(self, name: str) -> set[Any]:
        """Return the distinct values of a field; those of lists one by one."""
        found = self.base.distinct(self.base_rows, name)
        for _, row in self.extra:
            value = row.get(name)
            found.update(value if isinstance(value, list) else [value])
        return found


class Table:
    """All rows of one kind.

    Parameters
    ----------
    kind : str
    load : callable
        Returns the rows of the snapshot; called on first use.
    at : str
        The moment of the snapshot.
    """

    def __init__(self, kind: str, load: Callable[[], Base], at: str) -> None:
        self.kind = kind
        self.order = ORDER.get(kind, ("key", "id"))
        self._load = load
        self._now = _Generation(None, at)
        self._before: _Generation | None = None
        self._compacted_until = ""
        self._of_session: dict[str, set[str]] = {}

    @property
    def base(self) -> Base:
        """The rows of the snapshot."""
        if self._now.base is None:
            self._now.base = self._load()
        return self._now.base

    def apply(self, change: Changed) -> None:
        """Take in a change; an older or known version changes nothing."""
        versions = self._now.overlay.setdefault(change.key, [])
        if any(each.version == change.version for each in versions):
            return
        row = change.row
        owner = change.key.partition("|")[0] if self.kind == "dataset" else None
        owner = owner or (change.key if self.kind == "session" else (row or {}).get("session"))
        if owner:
            self._of_session.setdefault(owner, set()).add(change.key)
        if row is not None and self.kind != "dataset":
            row = {**row, "key": change.key, "_version": change.version}
        versions.append(_Version(change.at, change.version, row))

    def get(self, key: str) -> Row | None:
        """Return the row of a key as of now, or None."""
        base = self.base
        versions = self._now.overlay.get(key)
        if versions:
            return max(versions, key=lambda each: each.version).row
        place = base.find(key)
        return base.pick(_one(base, place))[0] if place >= 0 else None

    def newest(self, session: str) -> dict[str, tuple[int, Row | None]]:
        """Return the last version and row of what the feed lately said of a session's records."""
        found = {}
        for key in self._of_session.get(session, ()):
            if versions := self._now.overlay.get(key):
                last = max(versions, key=lambda each: each.version)
                found[key] = (last.version, last.row)
        return found

    def select(
        self,
        wheres: Sequence[Where] = (),
        *,
        order: tuple[str, ...] | None = None,
        as_of: str | None = None,
    ) -> Selection:
        """Return the rows that fulfil all conditions.

        Parameters
        ----------
        wheres : sequence of Where
        order : tuple of str, optional
            Fields to sort by instead of the kind's own order.
        as_of : str, optional
            A moment (a page token); now by default, and when it is too long ago.
        """
        self._compact()
        wheres = on_stored(self.kind, wheres)
        generation = self._now
        self.base  # noqa: B018 - loads it
        if as_of is not None and as_of < generation.at:
            generation = self._before if self._before else generation
        base = generation.base
        shown, hidden = generation.current(as_of)
        found = base.matching(wheres)
        if hidden:
            found = _without(found, hidden)
        if order and order != self.order:
            found = base.sort(found, order)
        order = order or self.order
        tests = [where.on_rows() for where in wheres]
        fresh = [
            row for row in shown.values() if row is not None and all(test(row) for test in tests)
        ]
        extra = []
        if fresh:
            names = [name.lstrip("-") for name in order]
            ranked = _SortKeys(base, found, names, order)
            fresh.sort(key=lambda row: sort_key(row, order))
            extra = [(bisect.bisect_left(ranked, sort_key(row, order)), row) for row in fresh]
        return Selection(base, found, extra)

    @property
    def changed(self) -> bool:
        """Whether any row is not as in the snapshot; the overlap brings some that are."""
        base = self.base
        for key, row in self._now.current(None)[0].items():
            place = base.find(key)
            there = base.pick(_one(base, place))[0] if place >= 0 else None
            if row != ({k: v for k, v in there.items() if k in row} if there and row else there):
                return True
        return False

    def fold(self) -> None:
        """Take all versions into the base, for writing it out."""
        rows = self.select()
        shown, hidden = self._now.current(None)
        fresh = [row for row in shown.values() if row is not None]
        if isinstance(self.base, Rows):
            base = _base(self.kind, rows.all(), self.order)
        else:
            base = self.base.replace(_without(self.base.matching(()), hidden), fresh)
        self._now = _Generation(base, changes.stamp())

    def rows(self) -> list[Row]:
        """Return all rows as of now."""
        return self.select().all()

    def _compact(self) -> None:
        """Fold the versions into the base when there are many, keeping the old one for tokens.

        What changed within the overlap stays apart: it will be read again from the feed.
        """
        now, at = self._now, changes.stamp()
        if now.base is None or len(now.overlay) <= max(2 * SMALL, now.base.n // 50):
            return
        if at < self._compacted_until:
            return
        self._compacted_until = changes.stamp(times.now() + timedelta(seconds=10))
        recent = changes.stamp(times.now() - 2 * changes.OVERLAP)
        old = {
            key: versions
            for key, versions in now.overlay.items()
            if all(each.at < recent for each in versions)
        }
        folded = _Generation(now.base, now.at, old)
        shown, hidden = folded.current(None)
        fresh = [row for row in shown.values() if row is not None]
        kept = _without(now.base.matching(()), hidden)
        if isinstance(now.base, Rows):
            base = _base(self.kind, [*now.base.pick(kept), *fresh], self.order)
        else:
            base = now.base.replace(kept, fresh)
        rest = {key: versions for key, versions in now.overlay.items() if key not in old}
        self._of_session = {
            owner: left for owner, keys in self._of_session.items() if (left := keys & rest.keys())
        }
        self._before, self._now = now, _Generation(base, at, rest)


def _one(base: Base, place: int) -> Any:
    if isinstance(base, Rows):
        return [place]
    import numpy as np

    return np.array([place])


def _without(found: Any, hidden: list[int]) -> Any:
    """Return row numbers without some."""
    if isinstance(found, list):
        gone = set(hidden)
        return [i for i in found if i not in gone]
    import numpy as np

    return found[~np.isin(found, hidden)]


def _base(kind: str, rows: list[Row], order: tuple[str, ...]) -> Base:
    """Return rows in the form that suits their number."""
    if len(rows) <= SMALL:
        return Rows(kind, rows, order)
    from shared.records.columns import Columns

    return Columns.of(rows, order, lambda row: row_key(kind, row), KEYS.get(kind, ("key",)))


class _SortKeys(Sequence[Any]):
    """Sort keys of found base rows, worked out where a binary search looks."""

    def __init__(self, base: Base, found: Any, names: list[str], order: Sequence[str]) -> None:
        self.base, self.found, self.names, self.order = base, found, names, order

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, i: Any) -> Any:
        return sort_key(self.base.pick(self.found[i : i + 1], self.names)[0], self.order)


class Index:
    """The tables of one process and how far they have read the change feed.

    Parameters
    ----------
    full : bool
        Whether to hold the fields `AT_REST` too (the writer of snapshots does).
    """

    def __init__(self, full: bool = False) -> None:
        self.full = full
        self.tables: dict[str, Table] = {}
        self._seen: set[str] = set()
        self._at: str | None = None
        self._cursor = ""
        self._far_again = datetime.min.replace(tzinfo=UTC)
        self._files: dict[str, Any] = {}
        self._scanned: dict[str, list[Row]] | None = None
        self._lock = threading.RLock()

    def table(self, kind: str) -> Table:
        """Return the table of a kind, as of the last `catch_up`."""
        with self._lock:
            if self._at is None:
                self.catch_up()
            if kind not in self.tables:
                self.tables[kind] = Table(kind, lambda: self._load(kind), self._at or "")
            return self.tables[kind]

    def catch_up(self) -> str:
        """Read what changed since the last time; return the moment the index now shows."""
        with self._lock:
            now = changes.stamp()
            if self._at is None or self._behind():
                self._open(now)
            # The cursor is where the last read began; some of what was written then came later.
            far = changes.moment(now) >= self._far_again
            if far:
                self._far_again = changes.moment(now) + changes.FAR_EVERY
            back = changes.OVERLAP if far else min(changes.NEAR, changes.OVERLAP)
            start = changes.stamp(changes.moment(self._cursor) - back)
            for change in changes.since(start, self._seen):
                self.table(change.kind).apply(change)
            self._cursor = max(self._cursor, now)
            if far:
                self._seen = {each for each in self._seen if each >= start}
            return now

    def kinds(self) -> list[str]:
        """Return the kinds that there are any rows of."""
        return sorted({*self.tables, *self._files, *(self._scanned or {})})

    def _behind(self) -> bool:
        """Whether the feed no longer reaches back to where this index stands."""
        return changes.moment(self._cursor) < times.now() - changes.KEPT + timedelta(hours=6)

    def _open(self, now: str) -> None:
        """Find the snapshot to start from; without one, scan the table."""
        self.tables.clear()
        self._seen.clear()
        self._files, self._scanned = {}, None
        latest = _latest()
        if latest and changes.moment(latest["at"]) > times.now() - changes.KEPT / 2:
            self._at, self._files = latest["at"], latest["kinds"]
        else:
            self._at, self._scanned = now, scan()
        self._cursor = self._at

    def _load(self, kind: str) -> Base:
        order = ORDER.get(kind, ("key", "id"))
        if self._scanned is not None:
            return _base(kind, self._scanned.pop(kind, []), order)
        if kind not in self._files:
            return Rows(kind, [], order)
        try:
            return _read(kind, self._files[kind]["key"], order, self.full)
        except aws.client("s3").exceptions.NoSuchKey:
            _log.warning("the snapshot of %s is gone; scanning the table", kind)
            self._files, self._scanned = {}, scan()
            return _base(kind, self._scanned.pop(kind, []), order)


_index: Index | None = None
_fresh = False
_moment = ""
_guard = threading.RLock()


def index() -> Index:
    """Return this process's index."""
    global _index
    with _guard:
        if _index is None:
            _index = Index()
        return _index


def begin() -> None:
    """Say that a new request begins: the next look into the index catches up first."""
    global _fresh
    _fresh = False


def table(kind: str) -> Table:
    """Return the table of a kind, caught up once since `begin`."""
    global _fresh, _moment
    if not _fresh:
        _moment = index().catch_up()
        _fresh = True
    return index().table(kind)


def moment() -> str:
    """Return the moment that the index shows since `begin`."""
    table("session")
    return _moment


def forget() -> None:
    """Drop the index of this process, e.g. when the table was replaced (for tests)."""
    global _index, _fresh
    _index, _fresh = None, False


def scan() -> dict[str, list[Row]]:
    """Return the rows of all kinds by reading the whole table (slow; for a new or lost index)."""
    from shared.datasets.read import visible
    from shared.records.items import Book, Dataset, Document, Session
    from shared.records.table import connection, table_name

    known = {"Session": Session, "Book": Book, "Dataset": Dataset, "Doc": Document, **_tasks()}
    rows: dict[str, list[Row]] = defaultdict(list)
    books: dict[str, Book] = {}
    files: dict[str, list[Dataset]] = defaultdict(list)
    # By name, for whoever is not to see credentials may not read whole items of the whole table.
    names = sorted({a.attr_name for m in known.values() for a in m.get_attributes().values()})
    arguments: dict[str, Any] = {
        "TableName": table_name(),
        "ConsistentRead": True,
        "ProjectionExpression": ",".join(f"#{n}" for n in range(len(names))),
        "ExpressionAttributeNames": {f"#{n}": name for n, name in enumerate(names)},
    }
    client: Any = connection().client
    while True:
        page = client.scan(**arguments)
        for raw in page["Items"]:
            model = known.get(raw.get("_k", {}).get("S", ""))
            if model is None:
                continue
            item: Any = model.from_raw_data(raw)
            if isinstance(item, Book):
                books[item.pk] = item
            elif isinstance(item, Dataset):
                files[item.pk].append(item)
            elif isinstance(item, Document):
                key = item.pk.split("#", 2)[2] if item.pk.startswith("DOC#") else item.id
                rows[item.what].append({**item.body, "key": key, "_version": int(item.version)})
            elif isinstance(item, Session):
                rows["session"].append(
                    {**item.row(), "key": item.id, "_version": int(item.version)}
                )
            else:
                from shared.work.item import task_row

                row = task_row(item)
                rows["task"].append({**row, "key": item.id, "_version": row["edition"]})
        if "LastEvaluatedKey" not in page:
            break
        arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]
    for pk, group in files.items():
        rows["dataset"] += [item.row() for item in visible(books.get(pk), group)]
    return dict(rows)


def _tasks() -> dict[str, Any]:
    try:
        from shared.work.item import Task
    except ImportError:
        return {}
    return {"Task": Task}


def bucket() -> str | None:
    """Return the name of the data bucket, set for every function by its environment."""
    return os.environ.get("FORNIX_DATA_BUCKET")


def _latest() -> dict[str, Any] | None:
    """Return what the latest snapshot holds, None if there is none."""
    if not bucket():
        return None
    client = aws.client("s3")
    try:
        body = client.get_object(Bucket=bucket(), Key="snapshots/latest.json")["Body"].read()
    except (client.exceptions.NoSuchKey, client.exceptions.NoSuchBucket):
        return None
    try:
        latest = json.loads(body)
        changes.moment(latest["at"])
        return latest if isinstance(latest["kinds"], dict) else None
    except (ValueError, KeyError, TypeError):
        _log.warning("the snapshot's description cannot be read; scanning the table")
        return None


def _read(kind: str, key: str, order: tuple[str, ...], full: bool) -> Base:
    body = aws.client("s3").get_object(Bucket=bucket(), Key=key)["Body"].read()
    if key.endswith(".jsonl.gz"):
        rows = [json.loads(line) for line in gzip.decompress(body).splitlines()]
        return Rows(kind, rows, order)
    from shared.records import columns

    skip = frozenset() if full else AT_REST.get(kind, frozenset())
    return columns.read_parquet(
        io.BytesIO(body), skip, order, lambda row: row_key(kind, row), KEYS.get(kind, ("key",))
    )


def write_snapshot() -> dict[str, Any]:
    """Write the index as of now to ``snapshots/`` of the data bucket; unchanged kinds are kept.

    Returns
    -------
    dict
        ``at`` (moment), ``kinds`` ({kind: {key, n, bytes}}), ``written`` (kinds written now).
    """
    whole = Index(full=True)
    at = whole.catch_up()
    before: dict[str, Any] = _latest() or {"kinds": {}}
    kinds: dict[str, Any] = {}
    written = []
    client = aws.client("s3")
    for kind in whole.kinds():
        held = whole.table(kind)
        if kind in whole._files and not held.changed:
            kinds[kind] = whole._files[kind]
            continue
        held.fold()
        if isinstance(held.base, Rows):
            lines = (json.dumps(row, separators=(",", ":")) for row in held.base.rows)
            body, suffix = gzip.compress("\n".join(lines).encode(), mtime=0), "jsonl.gz"
        else:
            body, suffix = held.base.to_parquet(), "parquet"
        key = f"snapshots/{at.replace(':', '')}/{kind}.{suffix}"
        client.put_object(Bucket=bucket(), Key=key, Body=body)
        kinds[kind] = {"key": key, "n": held.base.n, "bytes": len(body)}
        written.append(kind)
    latest: dict[str, Any] = {"at": at, "kinds": kinds}

    def keys(snapshot: dict[str, Any]) -> set[str]:
        return {each["key"] for each in snapshot["kinds"].values()}

    client.put_object(
        Bucket=bucket(), Key="snapshots/latest.json", Body=json.dumps(latest).encode()
    )
    _tidy(keys(before) | keys(latest))
    return {**latest, "written": written}


def _tidy(wanted: set[str]) -> None:
    """Delete files of snapshots that neither this nor the one before names."""
    client = aws.client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(
        Bucket=bucket(), Prefix="snapshots/2"
    ):
        for item in page.get("Contents", []):
            if item["Key"] not in wanted:
                client.delete_object(Bucket=bucket(), Key=item["Key"])
