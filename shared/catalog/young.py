"""The rows of a kind that are newer than the snapshot, indexed by their texts."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from shared.catalog.listings import OnPart, Row
from shared.records.where import Either, Places, Where

FEW = 256
"""Most texts of a condition that uses the index; others are tested on each row."""

Having = dict[str, dict[str, None]]
"""Text → keys of the rows that have it."""


class Young:
    """Rows that replace or join those of the snapshot, by key; updated by changes."""

    def __init__(self, shown: Mapping[str, Row | None]) -> None:
        self.rows: dict[str, Row] = {key: row for key, row in shown.items() if row is not None}
        self._having: dict[tuple[str, int | None], Having] = {}

    def put(self, key: str, row: Row | None) -> None:
        """Set the row of a key; None removes it."""
        if (old := self.rows.pop(key, None)) is not None:
            for (name, part), having in self._having.items():
                for text in _texts(old, name, part):
                    having.get(text, {}).pop(key, None)
        if row is not None:
            self.rows[key] = row
            for (name, part), having in self._having.items():
                for text in _texts(row, name, part):
                    having.setdefault(text, {})[key] = None

    def matching(self, wheres: Sequence[Where], without: Container[str] = ()) -> list[Row]:
        """Return the rows that fulfil all conditions, except those of some keys."""
        tests = [where.on_rows() for where in wheres]
        rows = []
        for key in self._narrowest(wheres):
            row = self.rows.get(key)
            if row is not None and key not in without and all(test(row) for test in tests):
                rows.append(row)
        return rows

    def _narrowest(self, wheres: Sequence[Where]) -> list[str]:
        """Return the keys of rows with a text of the most selective condition; else all keys."""
        best: list[str] | None = None
        for where in wheres:
            if (sought := _sought(where)) is None:
                continue
            name, part, texts = sought
            if (name, part) not in self._having:
                having: Having = {}
                for key, row in list(self.rows.items()):
                    for text in _texts(row, name, part):
                        having.setdefault(text, {})[key] = None
                self._having[name, part] = having
            having = self._having[name, part]
            keys = {key for text in texts for key in list(having.get(text, ()))}
            if best is None or len(keys) < len(best):
                best = list(keys)
        return list(self.rows) if best is None else best


def _sought(where: Where) -> tuple[str, int | None, Iterable[str]] | None:
    """Return the field, the part of a path and the texts of a condition; None if it has none."""
    if where.negate or isinstance(where, (Either, Places)):
        return None
    if isinstance(where.value, OnPart):
        inner = _sought(where.value.where)
        return inner and (where.field, where.value.part, inner[2])
    if where.lookup == "in" and len(where.value) > FEW:
        return None
    texts = where.texts()
    return None if texts is None else (where.field, None, texts)


def _texts(row: Row, name: str, part: int | None) -> list[str]:
    """Return the texts of a field's value or values, or of a part of the path."""
    value: Any = row.get(name)
    if part is not None:
        value = OnPart(Where(name, "exact"), part).of(value)
    values = value if isinstance(value, list) else [value]
    return [str(v) for v in values if v is not None and not isinstance(v, (list, dict))]
