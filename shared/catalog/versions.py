"""The rows of one kind: a base of many rows, and the versions that came after it.

Changes are kept as versions in time on top of the snapshot, so that a page asked for with the
token of the first page shows the state of that moment while writers write.

One file, because a version is read and written by the same rules of time.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from shared.catalog import planned
from shared.catalog.listings import KEYS, ORDER, SMALL, Row, on_stored, row_key
from shared.catalog.rows import Rows, sort_key
from shared.catalog.young import Young
from shared.model import moment
from shared.model.change import Change
from shared.records import feed
from shared.records.where import Where

Base = Any  # Rows | Columns; numpy is imported only when there is something to hold in columns


FOLDED_HERE = 200_000
"""Rows of a base that a process that answers requests still folds changes into."""

MOST = 20_000
"""Changes that are kept beside a base, however large it is."""


class _Version(msgspec.Struct):
    at: str
    version: int
    row: Row | None


class _Generation(msgspec.Struct):
    """A base and the versions that came after it."""

    base: Base
    at: str
    overlay: dict[str, list[_Version]] = msgspec.field(default_factory=dict)
    replaced: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Place and version of what the base has of a key; -1 for nothing."""
    young: Young | None = None
    """What came after the base as of now, found as fast as what is in it; made on first use."""
    hidden: dict[str, int] = msgspec.field(default_factory=dict)
    """The base rows that are replaced as of now, by key."""
    touched: set[str] = msgspec.field(default_factory=set)
    """Keys of which versions came since `young` was last looked at."""

    def current(self, as_of: str | None) -> tuple[dict[str, Row | None], list[int]]:
        """Return the rows that replace base rows at a moment, and the base rows replaced."""
        shown: dict[str, Row | None] = {}
        hidden: list[int] = []
        now = as_of is None or as_of >= self.at
        for key, versions in list(self.overlay.items()):
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

    def settle(self) -> Young:
        """Return what came after the base, after a look at what was touched since the last one."""
        if self.young is None:
            self.touched.clear()
            shown, _ = self.current(None)
            self.hidden = {key: place for key in shown if (place := self._in_base(key)[0]) >= 0}
            self.young = Young(shown)
        for key in list(self.touched):
            best = max(self.overlay[key], key=lambda each: each.version)
            place, version = self._in_base(key)
            if best.version > version:
                self.young.put(key, best.row)
                if place >= 0:
                    self.hidden[key] = place
            self.touched.discard(key)
        return self.young

    def _in_base(self, key: str) -> tuple[int, int]:
        if (known := self.replaced.get(key)) is None:
            place, version = self.base.find(key), None
            if place >= 0:
                version = self.base.pick(_one(self.base, place), ("_version",))[0].get("_version")
            known = self.replaced[key] = (place, -1 if version is None else version)
        return known


class Selection(msgspec.Struct, frozen=True):
    """The rows that fulfil some conditions, in order; taken page by page."""

    base: Base
    base_rows: Any
    extra: list[tuple[int, Row]]
    """Rows not in the base, each with the number of base rows before it."""
    by_order: bool = True
    """Whether the base rows are in the order of the base."""

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

    def values(self, name: str) -> Any:
        """Return the set of distinct values of a field; those of lists one by one."""
        rows = self.base_rows if self.by_order else sorted(self.base_rows)
        found = self.base.distinct(rows, name)
        more: set[Any] = set()
        for _, row in self.extra:
            value = row.get(name)
            more.update(value if isinstance(value, list) else [value])
        return found | more if more else found


class Table:
    """All rows of one kind.

    Parameters
    ----------
    kind : str
    load : callable
        Returns the rows of the snapshot; called on first use.
    at : str
        The moment of the snapshot.
    newer : callable, optional
        Returns the rows of a snapshot newer than a moment and its own moment, if there is one.
    """

    def __init__(
        self,
        kind: str,
        load: Callable[[], Base],
        at: str,
        newer: Callable[[str], tuple[Base, str] | None] = lambda at: None,
    ) -> None:
        self._newer = newer
        self._lock = threading.Lock()
        self.kind = kind
        self.order = ORDER.get(kind, ("key", "id"))
        self._load = load
        self._now = _Generation(None, at)
        self._before: _Generation | None = None
        self._compacted_until = ""
        self.told_from = ""
        self._of_session: dict[str, set[str]] = {}

    @property
    def base(self) -> Base:
        """The rows of the snapshot."""
        if self._now.base is None:
            self._now.base = self._load()
        return self._now.base

    def apply(self, change: Change) -> None:
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
        self._now.touched.add(change.key)

    def get(self, key: str) -> Row | None:
        """Return the row of a key as of now, or None."""
        if key in (coming := planned.of_kind(self.kind)):
            return coming[key]
        base = self.base
        versions = self._now.overlay.get(key)
        if versions:
            return max(versions, key=lambda each: each.version).row
        place = base.find(key)
        return base.pick(_one(base, place))[0] if place >= 0 else None

    def changed_since(self, at: str) -> list[Change]:
        """Return the last version of each record that was changed at or after a moment.

        It is all of them if the moment is not before `told_from`, nor the index's beginning.
        """
        found = []
        for key, versions in self._now.overlay.items():
            last = max(versions, key=lambda each: each.version)
            when = max(each.at for each in versions)
            if when >= at:
                found.append(Change(when, self.kind, key, last.version, last.row))
        return found

    def was(self, key: str, at: str) -> Row | None:
        """Return the row that a key had before a moment, as far as `changed_since` reaches."""
        before = [each for each in self._now.overlay.get(key, ()) if each.at < at]
        if before:
            return max(before, key=lambda each: each.version).row
        place = self.base.find(key)
        return self.base.pick(_one(self.base, place))[0] if place >= 0 else None

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
        if as_of is None:
            fresh, hidden = self._young(generation, wheres)
        else:
            shown, hidden = generation.current(as_of)
            fresh = Young(shown).matching(wheres)
        found = base.matching(wheres)
        if hidden:
            found = _without(found, hidden)
        by_order = not order or order == self.order
        if order and not by_order:
            found = base.sort(found, order)
        order = order or self.order
        extra = []
        if fresh:
            names = [name.lstrip("-") for name in order]
            ranked = _SortKeys(base, found, names, order)
            fresh.sort(key=lambda row: sort_key(row, order))
            extra = [(bisect.bisect_left(ranked, sort_key(row, order)), row) for row in fresh]
        return Selection(base, found, extra, by_order)

    def _young(
        self, generation: _Generation, wheres: Sequence[Where]
    ) -> tuple[list[Row], list[int]]:
        """Return the rows that came after the base, and the base rows that are replaced."""
        with self._lock:
            young = generation.settle()
            hidden = list(generation.hidden.values())
        coming = planned.of_kind(self.kind)
        fresh = young.matching(wheres, without=coming)
        if coming:
            fresh += Young(coming).matching(wheres)
            places = {generation.base.find(key) for key in coming} - {-1}
            hidden = list({*hidden, *places})
        return fresh, hidden

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

    def merge_versions(self) -> None:
        """Take all versions into the base, for writing it out."""
        rows = self.select()
        shown, hidden = self._now.current(None)
        fresh = [row for row in shown.values() if row is not None]
        if isinstance(self.base, Rows):
            base = base_of(self.kind, rows.all(), self.order)
        else:
            base = self.base.replace(_without(self.base.matching(()), hidden), fresh)
        self._now = _Generation(base, moment.stamp())

    def rows(self) -> list[Row]:
        """Return all rows as of now."""
        return self.select().all()

    def _compact(self) -> None:
        """Fold the versions into the base when there are many, keeping the old one for tokens.

        What changed within the overlap stays apart: it will be read again from the feed.
        """
        now, at = self._now, moment.stamp()
        if now.base is None or len(now.overlay) <= min(max(2 * SMALL, now.base.n // 50), MOST):
            return
        if at < self._compacted_until:
            return
        self._compacted_until = moment.stamp(moment.now() + timedelta(seconds=10))
        if now.base.n > FOLDED_HERE:
            self._take_newer()
            return
        self.told_from = moment.stamp()
        recent = moment.stamp(moment.now() - 2 * feed.OVERLAP)
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
            base = base_of(self.kind, [*now.base.pick(kept), *fresh], self.order)
        else:
            base = now.base.replace(kept, fresh)
        rest = {key: versions for key, versions in now.overlay.items() if key not in old}
        self._keep_owners(rest)
        self._before, self._now = now, _Generation(base, at, rest)

    def _take_newer(self) -> None:
        """Go on from a newer snapshot, if there is one: to fold here would read all of it."""
        now = self._now
        if (found := self._newer(now.at)) is None:
            return
        base, at = found
        self.told_from = max(self.told_from, at)
        recent = moment.stamp(moment.of_stamp(at) - 2 * feed.OVERLAP)
        rest = {
            key: versions
            for key, versions in now.overlay.items()
            if any(each.at >= recent for each in versions)
        }
        self._keep_owners(rest)
        self._before, self._now = now, _Generation(base, at, rest)

    def _keep_owners(self, rest: Mapping[str, Any]) -> None:
        """Forget of which session the records are that are in the base now."""
        self._of_session = {
            owner: left for owner, keys in self._of_session.items() if (left := keys & rest.keys())
        }


def _one(base: Base, place: int) -> Any:
    if isinstance(base, Rows):
        return [place]
    import numpy as np

    return np.array([place])


def _without(found: Any, hidden: list[int]) -> Any:
    """Return row numbers, which are in order, without some."""
    if isinstance(found, list):
        gone = set(hidden)
        return [i for i in found if i not in gone]
    import numpy as np

    wanted = np.unique(np.array(hidden, np.int64))
    places = np.searchsorted(found, wanted)
    places = places[places < len(found)]
    kept = np.ones(len(found), bool)
    kept[places[np.isin(found[places], wanted)]] = False
    return found[kept]


def base_of(kind: str, rows: list[Row], order: tuple[str, ...]) -> Base:
    """Return rows in the form that suits their number."""
    if len(rows) <= SMALL:
        return Rows(kind, rows, order)
    from shared.catalog.columns.table import Columns

    return Columns.of(rows, order, lambda row: row_key(kind, row), KEYS.get(kind, ("key",)))


class _SortKeys(Sequence[Any]):
    """Sort keys of found base rows, worked out where a binary search looks."""

    def __init__(self, base: Base, found: Any, names: list[str], order: Sequence[str]) -> None:
        self.base, self.found, self.names, self.order = base, found, names, order
        self._known: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, i: Any) -> Any:
        if i not in self._known:  # all searches begin in the middle
            row = self.base.pick(self.found[i : i + 1], self.names)[0]
            self._known[i] = sort_key(row, self.order)
        return self._known[i]
