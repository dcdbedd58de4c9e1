"""A few rows, held as dictionaries, their sort keys, and what a search selects."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from operator import itemgetter
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


class Selection:
    """The rows that fulfil some conditions, in order, read page by page.

    The newer rows get their places among the others when a page is asked for: who asks for the
    number of rows, or for the values of a field, does not pay for an order.

    Parameters
    ----------
    base : Rows or Columns
        The base of many rows.
    found : list, ndarray or `shared.catalog.columns.found.Found`
        Row numbers found in the base, in its order.
    fresh : sequence of dict
        Rows found outside the base.
    order : tuple of str
        Fields to sort by, ``-`` for descending.
    in_order : bool
        Whether the base is in this order.
    """

    def __init__(
        self,
        base: Any,
        found: Any,
        fresh: Sequence[Row] = (),
        order: tuple[str, ...] = (),
        *,
        in_order: bool = True,
    ) -> None:
        self._base = base
        self._found = found
        self.fresh = fresh
        self._order = order
        self._in_order = in_order

    def __len__(self) -> int:
        return len(self._found) + len(self.fresh)

    def page(self, offset: int, limit: int, fields: Sequence[str] | None = None) -> list[Row]:
        """Return the rows from a rank on.

        Parameters
        ----------
        offset, limit : int
            Rank of the first row, and the most rows.
        fields : sequence of str, optional
            Only these fields.
        """
        ranks = [before + i for i, (before, _) in enumerate(self._placed)]
        first = bisect.bisect_left(ranks, offset)
        last = bisect.bisect_left(ranks, offset + limit)
        rows = self._ordered[offset - first : offset + limit - last]
        page_rows = list(self._base.pick(rows, fields))
        for (_, row), rank in zip(self._placed[first:last], ranks[first:last], strict=True):
            page_rows.insert(rank - offset, row)
        return page_rows

    def all(self, fields: Sequence[str] | None = None) -> list[Row]:
        """Return all the rows."""
        return self.page(0, len(self), fields)

    def values(self, name: str) -> Any:
        """Return the set of distinct values of a field; items of lists count one by one."""
        in_base = self._base.distinct(self._found, name)
        outside: set[Any] = set()
        for row in self.fresh:
            value = row.get(name)
            outside.update(value if isinstance(value, list) else [value])
        return in_base | outside if outside else in_base

    @cached_property
    def _ordered(self) -> Any:
        """The row numbers in the order that was asked for."""
        return self._found if self._in_order else self._base.sort(self._found, self._order)

    @cached_property
    def _placed(self) -> list[tuple[int, Row]]:
        """The fresh rows in order, each with the number of base rows before it."""
        if not self.fresh:
            return []
        ranked = sorted(
            ((sort_key(row, self._order), row) for row in self.fresh), key=itemgetter(0)
        )
        places = _places(self._base, self._ordered, [key for key, _ in ranked], self._order)
        return [(place, row) for place, (_, row) in zip(places, ranked, strict=True)]


def _places(base: Any, found: Any, keys: Sequence[Any], order: Sequence[str]) -> list[int]:
    """Return where sort keys belong among sorted base rows, before equal ones.

    The binary searches of all keys go on together, because reading many rows of a base takes
    hardly longer than reading one.
    """
    names = [name.lstrip("-") for name in order]
    lows, highs = [0] * len(keys), [len(found)] * len(keys)
    while open_ends := [k for k in range(len(keys)) if lows[k] < highs[k]]:
        middles = {k: (lows[k] + highs[k]) // 2 for k in open_ends}
        asked = sorted(set(middles.values()))
        rows = base.pick(
            [found[i] for i in asked] if isinstance(found, list) else found[asked], names
        )
        known = dict(zip(asked, (sort_key(row, order) for row in rows), strict=True))
        for k, middle in middles.items():
            if known[middle] < keys[k]:
                lows[k] = middle + 1
            else:
                highs[k] = middle
    return lows
