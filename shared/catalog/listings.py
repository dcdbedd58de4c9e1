"""Lists of each kind of record: their order, their keys, and the places of their fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from shared.model.identity import split_path
from shared.records import listed
from shared.records.where import Either, Places, Where

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
"""Sort order of a kind's rows; rows of other kinds are sorted by key."""

KEYS: Mapping[str, tuple[str, ...]] = {"dataset": ("session", "path")}
"""Fields that form the key of a row, for kinds without the field ``key``."""

SNAPSHOT_ONLY_FIELDS: Mapping[str, frozenset[str]] = {"dataset": frozenset({"hash"})}
"""Fields that the snapshot has, but that are not held in memory."""

SMALL = 1000
"""Most rows that are held as dictionaries; more become columns."""

IN_PATH: Mapping[str, int] = {"collection": 0, "revision": 1, "name": 2}
"""Fields of a dataset that its path contains, so that rows do not repeat them."""


class OnPart(msgspec.Struct, frozen=True):
    """The test of a dataset's path by a part of it.

    Attributes
    ----------
    where : Where
        The condition on the part, not negated.
    part : int
        See `IN_PATH`.
    """

    where: Where
    part: int

    def of(self, path: Any) -> Any:
        """Return the part of a path."""
        return split_path(path)[self.part]

    def __call__(self, path: Any) -> bool:
        """Return whether the part of a path fulfils the condition."""
        return self.where.on_value(self.of(path))


def on_stored(kind: str, wheres: Sequence[Where]) -> list[Where]:
    """Return conditions rewritten for the fields that rows hold."""
    if kind != "dataset":
        return list(wheres)

    def on_id(where: Where) -> Where:
        if where.lookup not in ("exact", "in"):
            return replace(where, field="path")
        wanted = [where.value] if where.lookup == "exact" else where.value
        places = listed.places([str(each).lower() for each in wanted])
        return Places(value=frozenset(places), negate=where.negate)

    def on_path(where: Where) -> Where:
        on = OnPart(where.positive(), IN_PATH[where.field])
        return Where("path", "test", on, where.negate)

    def stored(where: Where) -> Where:
        if isinstance(where, Either):
            return replace(where, value=[stored(each) for each in where.value])
        if where.field in IN_PATH:
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
