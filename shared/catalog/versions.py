"""The rows of one kind: a base of many rows, and newer versions.

Changes are kept as versions in time on top of the snapshot. So a later page, requested with the
first page's token, shows the state of the first page's moment while others write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from shared.catalog import planned
from shared.catalog.listings import KEYS, ORDER, SMALL, Row, on_stored, row_key
from shared.catalog.rows import Rows, Selection
from shared.catalog.young import Young
from shared.model import moment
from shared.model.change import Change
from shared.records import feed
from shared.records.where import Where

Base = Any  # Rows | Columns; numpy is imported only when there is something to hold in columns


FOLDED_HERE = 200_000
"""Most rows of a base into which a process that answers requests folds changes."""

MOST = 20_000
"""Most changes that are kept beside a base of any size."""


class _Version(msgspec.Struct):
    at: str
    version: int
    row: Row | None


class _Generation(msgspec.Struct):
    """A base and the versions after it."""

    base: Base
    at: str
    overlay: dict[str, list[_Version]] = msgspec.field(default_factory=dict)
    replaced: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Row number and version of a key in the base; -1 if it has none."""
    young: Young | None = None
    """The rows newer than the base, with fast lookup; made on first use."""
    hidden: dict[str, int] = msgspec.field(default_factory=dict)
    """The base rows that are replaced now, by key."""
    touched: set[str] = msgspec.field(default_factory=set)
    """Keys with new versions since the last `settle`."""

    def current(self, as_of: str | None) -> tuple[dict[str, Row | None], list[int]]:
        """Return the newer rows at a moment, and the base rows that they replace."""
        newer: dict[str, Row | None] = {}
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
            if best.version <= version and now:  # the feed overlaps with the snapshot
                continue
            newer[key] = best.row
            if place >= 0:
                hidden.append(place)
        return newer, hidden

    def settle(self) -> Young:
        """Return the rows newer than the base, updated by the touched keys."""
        if self.young is None:
            self.touched.clear()
            newer, _ = self.current(None)
            self.hidden = {key: place for key in newer if (place := self._in_base(key)[0]) >= 0}
            self.young = Young(newer)
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
        if (replaced := self.replaced.get(key)) is None:
            place, version = self.base.find(key), None
            if place >= 0:
                version = self.base.pick(_one(self.base, place), ("_version",))[0].get("_version")
            replaced = self.replaced[key] = (place, -1 if version is None else version)
        return replaced


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
        Returns the rows and the moment of a snapshot newer than a moment, if there is one.
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
        """Apply a change; an older or known version has no effect."""
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

        The list is complete unless the moment is before `told_from` or the index's beginning.
        """
        changes = []
        for key, versions in self._now.overlay.items():
            last = max(versions, key=lambda each: each.version)
            when = max(each.at for each in versions)
            if when >= at:
                changes.append(Change(when, self.kind, key, last.version, last.row))
        return changes

    def was(self, key: str, at: str) -> Row | None:
        """Return a key's row before a moment that `changed_since` reaches."""
        before = [each for each in self._now.overlay.get(key, ()) if each.at < at]
        if before:
            return max(before, key=lambda each: each.version).row
        place = self.base.find(key)
        return self.base.pick(_one(self.base, place))[0] if place >= 0 else None

    def newest(self, session: str) -> dict[str, tuple[int, Row | None]]:
        """Return the last version and row of a session's records that the feed recently had."""
        newest_versions = {}
        for key in self._of_session.get(session, ()):
            if versions := self._now.overlay.get(key):
                last = max(versions, key=lambda each: each.version)
                newest_versions[key] = (last.version, last.row)
        return newest_versions

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
            A moment (a page token); by default, and if it is too long ago, now.
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
            newer, hidden = generation.current(as_of)
            fresh = Young(newer).matching(wheres)
        base_rows = base.matching(wheres)
        if hidden:
            base_rows = _without(base_rows, hidden)
        order = order or self.order
        return Selection(base, base_rows, fresh, order, in_order=order == self.order)

    def _young(
        self, generation: _Generation, wheres: Sequence[Where]
    ) -> tuple[list[Row], list[int]]:
        """Return the matching rows newer than the base, and the base rows that are replaced."""
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
        """Whether any row differs from the snapshot; the feed's overlap repeats equal rows."""
        base = self.base
        for key, row in self._now.current(None)[0].items():
            place = base.find(key)
            existing = base.pick(_one(base, place))[0] if place >= 0 else None
            if row != (
                {k: v for k, v in existing.items() if k in row} if existing and row else existing
            ):
                return True
        return False

    def merge_versions(self) -> None:
        """Merge all versions into the base, for a snapshot."""
        rows = self.select()
        newer, hidden = self._now.current(None)
        fresh = [row for row in newer.values() if row is not None]
        if isinstance(self.base, Rows):
            base = base_of(self.kind, rows.all(), self.order)
        else:
            base = self.base.replace(_without(self.base.matching(()), hidden), fresh)
        self._now = _Generation(base, moment.stamp())

    def rows(self) -> list[Row]:
        """Return all rows as of now."""
        return self.select().all()

    def _compact(self) -> None:
        """Merge the versions into the base if there are many; keep the old base for page tokens.

        Changes within the overlap stay apart, because the feed repeats them.
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
        newer, hidden = folded.current(None)
        fresh = [row for row in newer.values() if row is not None]
        remaining = _without(now.base.matching(()), hidden)
        if isinstance(now.base, Rows):
            base = base_of(self.kind, [*now.base.pick(remaining), *fresh], self.order)
        else:
            base = now.base.replace(remaining, fresh)
        recent_versions = {
            key: versions for key, versions in now.overlay.items() if key not in old
        }
        self._keep_owners(recent_versions)
        self._before, self._now = now, _Generation(base, at, recent_versions)

    def _take_newer(self) -> None:
        """Continue from a newer snapshot if there is one; merging here would read all rows."""
        now = self._now
        if (newer_base := self._newer(now.at)) is None:
            return
        base, at = newer_base
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
        """Keep the owners of the given keys only; the base now has the other records."""
        self._of_session = {
            owner: left for owner, keys in self._of_session.items() if (left := keys & rest.keys())
        }


def _one(base: Base, place: int) -> Any:
    if isinstance(base, Rows):
        return [place]
    import numpy as np

    return np.array([place])


def _without(found: Any, hidden: list[int]) -> Any:
    """Return sorted row numbers without the hidden ones."""
    if isinstance(found, list):
        gone = set(hidden)
        return [i for i in found if i not in gone]
    if hasattr(found, "without"):  # most rows or all, not held as an array
        return found.without(hidden)
    import numpy as np

    wanted = np.unique(np.array(hidden, np.int64))
    places = np.searchsorted(found, wanted)
    places = places[places < len(found)]
    mask = np.ones(len(found), bool)
    mask[places[np.isin(found[places], wanted)]] = False
    return found[mask]


def base_of(kind: str, rows: list[Row], order: tuple[str, ...]) -> Base:
    """Return rows in the form that suits their number."""
    if len(rows) <= SMALL:
        return Rows(kind, rows, order)
    from shared.catalog.columns.table import Columns

    return Columns.of(rows, order, lambda row: row_key(kind, row), KEYS.get(kind, ("key",)))
