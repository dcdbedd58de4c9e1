"""A few rows, held as dictionaries, and their sort keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.catalog.listings import Row, row_key
from shared.records.where import Either, Places, Where


class _Descending:
    """Sort key in descending order."""

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
    """Return a row's sort key; None sorts first, ``-`` means descending."""
    return tuple(
        _Descending(_part(row.get(name[1:]))) if name[0] == "-" else _part(row.get(name))
        for name in order
    )


class Rows:
    """A few rows, held as dictionaries; `columns.Columns` holds many."""

    def __init__(self, kind: str, rows: Iterable[Row], order: tuple[str, ...]) -> None:
        self.rows = sorted(rows, key=lambda row: sort_key(row, order))
        self.places = {row_key(kind, row): i for i, row in enumerate(self.rows)}
        self.n = len(self.rows)
        self._having: dict[str, dict[str, list[int]]] = {}

    def find(self, key: str) -> int:
        """Return the row number of a key; -1 if there is none."""
        return self.places.get(key, -1)

    def _narrowest(self, wheres: Sequence[Where]) -> Sequence[int]:
        """Return the rows that have a text of the most selective condition; else all rows."""
        best: Sequence[int] = range(self.n)
        for where in wheres:
            if where.negate or isinstance(where, (Either, Places)):
                continue
            if where.lookup == "in" and len(where.value) > 8:
                continue
            if (wanted := where.texts()) is None:
                continue
            if where.field not in self._having:
                having = self._having[where.field] = defaultdict(list)
                for i, row in enumerate(self.rows):
                    value = row.get(where.field)
                    for each in value if isinstance(value, list) else [value]:
                        if each is not None and not isinstance(each, (list, dict)):
                            having[str(each)].append(i)
            candidates = {i for text in wanted for i in self._having[where.field].get(text, ())}
            if len(candidates) < len(best):
                best = sorted(candidates)
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
