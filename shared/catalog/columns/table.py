"""Many rows as columns, in memory or in a file: searched, sorted, changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from shared.catalog.columns.blocks import BlockFile
from shared.catalog.columns.coded import Coded, Lists
from shared.catalog.columns.column import Array, Column, Rows
from shared.catalog.columns.found import Every, Found, Marked
from shared.catalog.columns.keys import FEW
from shared.catalog.columns.numbers import Numbers
from shared.catalog.columns.uuids import Uuids
from shared.records.where import Either, Places, Where

NUMBERS = frozenset({"file_size"})
"""Fields with too many distinct values to code; stored as int64, -1 for None."""

UUIDS = frozenset({"foreign_id"})
"""Fields with a different UUID in each row; stored as 16 bytes, zeros for None."""


def column_of(name: str, values: Sequence[Any]) -> Column:
    """Return the fitting column for the values of a field."""
    if name in UUIDS:
        return Uuids.of(values)
    if name in NUMBERS:
        return Numbers.of(values)
    if any(isinstance(value, list) for value in values) and all(
        value is None
        or (isinstance(value, list) and not any(isinstance(item, (list, dict)) for item in value))
        for value in values
    ):
        return Lists.of(values)
    return Coded.of(values)


class Columns:
    """Some rows as columns, in a fixed order.

    Parameters
    ----------
    columns : dict
        By field name; all of one length.
    n : int
        Number of rows.
    order : tuple of str
        Fields the rows are sorted by, ``-`` for descending.
    key : callable
        Takes a row, returns its key.
    key_fields : tuple of str
        Fields that `key` needs.
    file : BlockFile, optional
        File of the columns, if they are not in memory.
    """

    def __init__(
        self,
        columns: dict[str, Column],
        n: int,
        order: tuple[str, ...],
        key: Callable[[Mapping[str, Any]], str],
        key_fields: tuple[str, ...],
        *,
        file: BlockFile | None = None,
    ) -> None:
        self.file = file
        self.columns = columns
        self.n = n
        self.order = order
        self.key = key
        self.key_fields = key_fields
        self._places: dict[str, int] | None = None

    @classmethod
    def of(
        cls,
        rows: Rows,
        order: tuple[str, ...],
        key: Callable[[Mapping[str, Any]], str],
        key_fields: tuple[str, ...],
    ) -> Columns:
        """Build columns from rows and sort them."""
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: column_of(name, [row.get(name) for row in rows]) for name in names}
        return cls(columns, len(rows), order, key, key_fields).sorted()

    def sorted(self) -> Columns:
        """Return the rows in their order."""
        place = self.sort(np.arange(self.n), self.order)
        columns = {name: column.take(place) for name, column in self.columns.items()}
        return Columns(columns, self.n, self.order, self.key, self.key_fields)

    def sort(self, rows: Found, order: tuple[str, ...]) -> Array:
        """Return row numbers sorted by some fields."""
        rows, keys = np.asarray(rows), []
        for name in reversed(order):
            if column := self.columns.get(name.lstrip("-")):
                ranks = column.ranks()[rows]
                keys.append(-ranks if name.startswith("-") else ranks)
        return rows[np.lexsort(keys)] if keys else rows

    def replace(self, keep: Found, rows: Rows) -> Columns:
        """Return the kept rows and some new ones, sorted."""
        keep = np.asarray(keep)
        added = Columns.of(rows, self.order, self.key, self.key_fields)
        columns: dict[str, Column] = {}
        for name in dict.fromkeys([*self.columns, *added.columns]):
            old = self.columns.get(name)
            new = added.columns.get(name)
            old = old.take(keep) if old else column_of(name, [None] * len(keep))
            new = new or column_of(name, [None] * added.n)
            if type(old) is not type(new):  # a column of only None may have another type
                all_rows, more = np.arange(len(keep)), np.arange(added.n)
                columns[name] = column_of(name, [*old.pick(all_rows), *new.pick(more)])
            else:
                columns[name] = old.concat(new)
        whole = Columns(columns, len(keep) + added.n, self.order, self.key, self.key_fields)
        return whole.sorted()

    def find(self, key: str) -> int:
        """Return the row number of a key; -1 if there is none."""
        if self.key_fields == ("session", "path"):  # too many rows for a dictionary
            owner, _, path = key.partition("|")
            rows = self._rows_of("session", owner)
            column = self.columns.get("path")
            code = column.code_of(path) if isinstance(column, Coded) else None
            if code is None or rows is None or not isinstance(column, Coded):
                return -1
            matches = rows[column.codes[rows] == code]
            return int(matches[0]) if len(matches) else -1
        if self.file is not None:
            rows = self._rows_of(self.key_fields[0], key)
            return int(rows[0]) if rows is not None and len(rows) else -1
        if self._places is None:
            self._places = {
                self.key(row): i
                for i, row in enumerate(self.pick(np.arange(self.n), self.key_fields))
            }
        return self._places.get(key, -1)

    def _rows_of(self, name: str, text: str) -> Array | None:
        """Return the rows with a text in a field, by its posting list; None without one."""
        column = self.columns.get(name)
        code = column.code_of(text) if isinstance(column, Coded) else None
        if code is None or not isinstance(column, Coded):
            return None
        return column.rows_of(np.array([code]), self.n)

    def matching(self, wheres: Sequence[Where]) -> Found:
        """Return the row numbers that fulfil all conditions, in order."""
        self._read([where.field for where in wheres], None)
        found: Array | Marked | None = self._narrowest(wheres)
        for where in sorted(wheres, key=lambda each: each.cost):
            if found is None:
                found = Marked(self._mask(where, None))
            elif isinstance(found, Marked):
                found = Marked(found.mask & self._mask(where, None))
            else:
                found = found[self._mask(where, found)]
            if isinstance(found, Marked) and not found.many:
                found = found.rows
            if not len(found):
                break
        if found is None:
            return Every(self.n)
        return found if isinstance(found, Marked) else found.astype(np.int64, copy=False)

    def _read(self, names: Iterable[str], rows: Array | None) -> None:
        """Read the blocks that some columns need, all at once."""
        if self.file is not None:
            columns = (self.columns[name] for name in names if name in self.columns)
            if needs := [need for column in columns for need in column.needs(rows)]:
                self.file.blocks(needs)

    def _mask(self, where: Where, rows: Array | None) -> Array:
        """Return the mask of the rows that fulfil a condition."""
        if isinstance(where, Either):
            return np.logical_or.reduce([self._mask(each, rows) for each in where.value])
        if isinstance(where, Places):
            mask = np.zeros(self.n if rows is None else len(rows), bool)
            for session, paths in where.by_session().items():
                mask |= self._mask(Where("session", "exact", session), rows) & self._mask(
                    Where("path", "in", paths), rows
                )
            return mask != where.negate
        column = self.columns.get(where.field)
        if column is None:
            return np.full(self.n if rows is None else len(rows), where.on_value(None))
        return column.mask(where, rows)

    def _narrowest(self, wheres: Sequence[Where]) -> Array | None:
        """Return the rows of the first key or posting list with few rows; None for all rows."""
        for where in wheres:
            if where.negate or where.path or isinstance(where, (Either, Places)):
                continue
            if (where.field,) == self.key_fields and where.lookup in ("exact", "in"):
                wanted = [where.value] if where.lookup == "exact" else where.value
                if len(wanted) <= FEW or self._places is not None:
                    places = (self.find(str(each)) for each in wanted)
                    return np.array(sorted(i for i in places if i >= 0), np.int64)
            column = self.columns.get(where.field)
            if isinstance(column, Coded) and not isinstance(column, Lists) and self.n > 50_000:
                rows = column.candidates(where, self.n // 16)
                if rows is not None:
                    return rows
        return None

    def distinct(self, rows: Found, name: str) -> Any:
        """Return the set of distinct values of a field among some rows, given in order."""
        column = self.columns.get(name)
        if column is None:
            return set()
        if not isinstance(column, Coded):
            rows = np.asarray(rows)
            self._read([name], rows)
            return set(column.pick(rows))
        some = None if isinstance(rows, Every) or len(rows) == self.n else rows
        self._read([name], None if isinstance(some, Marked) else some)
        return column.distinct(some)

    def pick(self, rows: Found, fields: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return some rows as dictionaries with all or some fields."""
        rows = np.asarray(rows)
        names = [name for name in (fields or self.columns) if name in self.columns]
        self._read(names, rows)
        values = [self.columns[name].pick(rows) for name in names]
        if not names:
            return [{} for _ in range(len(rows))]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]

    @property
    def nbytes(self) -> int:
        """Memory of the row-wise arrays, bytes."""
        return sum(column.nbytes for column in self.columns.values())
