"""The search index of a process: every kind of record, as of now or as of a page token.

DynamoDB is the ledger; this is its read model. A snapshot in S3 holds one row per record (columns
in Parquet, small kinds as JSON lines). A process loads the kinds it needs once. Before it answers,
it reads the change feed by one strongly consistent query, so callers see all earlier writes of
anybody. If there is no snapshot, or only one older than the feed, the table is scanned.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from shared.catalog import snapshot
from shared.catalog.damaged import Damaged
from shared.catalog.listings import ORDER, Row
from shared.catalog.rows import Rows
from shared.catalog.scan import scan
from shared.catalog.versions import Base, Table, base_of
from shared.model import moment
from shared.model.change import Change
from shared.records import feed, transactions

log = logging.getLogger(__name__)


class Index:
    """The tables of one process, and their position in the change feed.

    Parameters
    ----------
    full : bool
        Whether to hold the fields `SNAPSHOT_ONLY_FIELDS` too (the writer of snapshots does).
    """

    def __init__(self, full: bool = False) -> None:
        self.full = full
        self.tables: dict[str, Table] = {}
        self._seen: set[str] = set()
        self._at: str | None = None
        self._cursor = ""
        self._valid_from = ""
        self._far_again = datetime.min.replace(tzinfo=UTC)
        self._files: dict[str, Any] = {}
        self._scanned: dict[str, list[Row]] | None = None
        self._unusable: set[str] = set()
        self._lock = threading.RLock()

    def table(self, kind: str) -> Table:
        """Return the table of a kind, as of the last `catch_up`."""
        with self._lock:
            if self._at is None:
                self.catch_up()
            if kind not in self.tables:
                at = self._at or ""
                self.tables[kind] = Table(
                    kind, lambda: self._load(kind), at, lambda at: self._newer(kind, at)
                )
            return self.tables[kind]

    def catch_up(self) -> str:
        """Read the changes since the last call; return the moment that the index now shows."""
        with self._lock:
            now = moment.stamp()
            if self._at is None or self._behind():
                self._open(now)
            # The cursor is the start of the last read; writes of that time may appear later.
            far = moment.of_stamp(now) >= self._far_again
            if far:
                self._far_again = moment.of_stamp(now) + feed.FAR_EVERY
            back = feed.OVERLAP if far else min(feed.NEAR, feed.OVERLAP)
            start = moment.stamp(moment.of_stamp(self._cursor) - back)
            new = list(feed.since(start, self._seen))
            self._reset(max((each.at for each in new if each.kind == feed.RESET), default=""))
            for change in new:
                if change.kind != feed.RESET and change.at > self._valid_from:
                    self.table(change.kind).apply(change)
            self._cursor = max(self._cursor, now)
            if far:
                self._seen = {each for each in self._seen if each >= start}
            return now

    def take_own(self, changes: list[Change]) -> None:
        """Apply changes that this process has just committed, so that it reads its own writes."""
        with self._lock:
            if self._at is not None:
                for change in changes:
                    self.table(change.kind).apply(change)

    def _reset(self, at: str) -> None:
        """Forget all earlier rows if the table was replaced at a moment."""
        if at <= self._valid_from:
            return
        self._valid_from = at
        if at > (self._at or ""):
            seen = self._seen.copy()
            self._open(moment.stamp())
            self._seen = seen

    def changed_since(self, at: str, kinds: Collection[str]) -> list[Change] | None:
        """Return the changes at or after a moment in order of time, only last versions.

        None if the moment is earlier than this index remembers; then read the feed.
        """
        with self._lock:
            tables = [table for kind, table in self.tables.items() if kind in kinds]
            if (
                self._at is None
                or at < self._at
                or any(at < kind_table.told_from for kind_table in tables)
            ):
                return None
            changes = [change for kind_table in tables for change in kind_table.changed_since(at)]
            return sorted(changes, key=lambda change: change.at)

    @property
    def valid_from(self) -> str:
        """Moment at which the whole table was last replaced; empty if never."""
        return self._valid_from

    def kinds(self) -> list[str]:
        """Return the kinds that have rows."""
        return sorted({*self.tables, *self._files, *(self._scanned or {})})

    def file_of(self, kind: str) -> dict[str, Any] | None:
        """Return the snapshot's description of a kind's file; None if there is none."""
        return self._files.get(kind)

    def _behind(self) -> bool:
        """Return whether the feed no longer reaches back to this index's cursor."""
        return moment.of_stamp(self._cursor) < moment.now() - feed.KEPT + timedelta(hours=6)

    def _open(self, now: str) -> None:
        """Find the snapshot to start from; without one, scan the table."""
        self.tables.clear()
        self._seen.clear()
        self._files, self._scanned = {}, None
        latest = snapshot.latest()
        usable = latest and latest["at"] not in self._unusable
        if latest and usable and moment.of_stamp(latest["at"]) > moment.now() - feed.KEPT / 2:
            self._at, self._files = latest["at"], latest["kinds"]
        else:
            self._at, self._scanned = now, scan()
        self._cursor = self._at

    def _load(self, kind: str) -> Base:
        order = ORDER.get(kind, ("key", "id"))
        if self._scanned is not None:
            return base_of(kind, self._scanned.pop(kind, []), order)
        if kind not in self._files:
            return Rows(kind, [], order)
        try:
            return snapshot.read(kind, self._files[kind], order, self.full)
        except Damaged as error:
            log.warning("%s Scanning the table.", error)
            self._files, self._scanned = {}, scan()
            return base_of(kind, self._scanned.pop(kind, []), order)

    def _newer(self, kind: str, at: str) -> tuple[Base, str] | None:
        """Return the rows of a kind in a snapshot newer than a moment; None if there is none."""
        latest = snapshot.latest()
        if latest is None or latest["at"] <= at or kind not in latest["kinds"]:
            return None
        order = ORDER.get(kind, ("key", "id"))
        return snapshot.read(kind, latest["kinds"][kind], order, self.full), latest["at"]

    def leave_snapshot(self) -> None:
        """Start again from a newer snapshot or from the table, because a file is unusable.

        The files may have been deleted: a process idle for hours holds an old snapshot.
        """
        with self._lock:
            latest = snapshot.latest()
            if latest and latest["at"] == self._at:
                self._unusable.add(latest["at"])
            self._at = None
            self.catch_up()


_index: Index | None = None
_fresh = False
_as_of = ""
_guard = threading.RLock()


def current() -> Index:
    """Return this process's index."""
    global _index
    with _guard:
        if _index is None:
            _index = Index()
        return _index


def _take_own(changes: list[Change]) -> None:
    """Apply changes that this process has just committed to its index."""
    if _index is not None:
        rows = json.dumps([change.row for change in changes])  # a copy, which nobody else changes
        _index.take_own(
            [replace(old, row=row) for old, row in zip(changes, json.loads(rows), strict=True)]
        )


transactions.committed.append(_take_own)


def start_request() -> None:
    """Begin a new request: the next access to the index catches up first."""
    global _fresh
    _fresh = False


def table(kind: str) -> Table:
    """Return the table of a kind, caught up once since `start_request`."""
    global _fresh, _as_of
    if not _fresh:
        _as_of = current().catch_up()
        _fresh = True
    return current().table(kind)


def leave_snapshot() -> None:
    """Continue without a snapshot that is `Damaged`."""
    global _fresh
    _fresh = False
    current().leave_snapshot()


def as_of() -> str:
    """Return the moment that the index shows since `start_request`."""
    table("session")
    return _as_of


def reset_for_tests() -> None:
    """Drop the index of this process, e.g. when the table was replaced (for tests)."""
    global _index, _fresh
    _index, _fresh = None, False


MANY_YOUNG = 5_000
"""Changed rows after which a new snapshot is due, mostly after an import."""


def snapshot_is_due(index: Index) -> bool:
    """Return whether changes since the latest snapshot make a new one due.

    Parameters
    ----------
    index : Index
        An index that has caught up.
    """
    if (latest := snapshot.latest()) is None:
        return False  # the schedule makes the first one
    changed = index.changed_since(latest["at"], [*index.tables])
    return changed is None or len(changed) > MANY_YOUNG


def write_snapshot() -> dict[str, Any]:
    """Write the index as of now to ``snapshots/`` of the data bucket.

    Files of unchanged kinds are reused.

    Returns
    -------
    dict
        ``at`` (moment), ``kinds`` ({kind: {key, n, bytes}}), ``written`` (kinds written now).
    """
    full_index = Index(full=True)
    at = full_index.catch_up()
    kinds: dict[str, Any] = {}
    written = []
    for kind in full_index.kinds():
        kind_table = full_index.table(kind)
        if (file := full_index.file_of(kind)) and not kind_table.changed:
            kinds[kind] = file
            continue
        kind_table.merge_versions()
        kinds[kind] = snapshot.write_kind(kind, kind_table.base, at)
        written.append(kind)
    snapshot.write(kinds, at)
    return {"at": at, "kinds": kinds, "written": written}
