"""Columns in memory: many rows, dictionary-coded, searched by whole-array operations.

A hundred thousand sessions with 150 datasets each are fifteen million rows. A Python dictionary
per row would need gigabytes; here a value is stored once and a row holds its code of one, two or
four bytes. A condition is tried once per distinct value and looked up for every row; a rare
value's rows come from a posting list that is made on first use.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shared.model.identity import dashed
from shared.records.where import Either, Places, Where

Array = np.ndarray[Any, Any]
Rows = Sequence[Mapping[str, Any]]

NUMBERS = frozenset({"file_size"})
"""Fields whose values are too many to code; kept as int64, -1 for None."""

UUIDS = frozenset({"foreign_id"})
"""Fields whose values are UUIDs of their own in each row; kept as 16 bytes, zeros for None."""


class Column(Protocol):
    """What every kind of column can do; ``rows`` is an array of row numbers or None for all."""

    def mask(self, where: Where, rows: Array | None) -> Array:
        """Return which of the rows fulfil a condition."""

    def pick(self, rows: Array) -> list[Any]:
        """Return the values of some rows."""

    def take(self, rows: Array) -> Column:
        """Return the column with only these rows, in this order."""

    def concat(self, other: Column) -> Column:
        """Return the column with another's rows after its own."""

    def arrow(self) -> pa.Array:
        """Return the column for a Parquet file."""

    def ranks(self) -> Array:
        """Return numbers that sort as the values do (None first)."""

    @property
    def nbytes(self) -> int:
        """Memory of the row-wise arrays, bytes."""


def _sort_key(value: Any) -> tuple[bool, str, Any]:
    return (value is not None, type(value).__name__ if not _number(value) else "", value)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _small(codes: Array, n_values: int) -> Array:
    """Return codes in the narrowest type that holds them."""
    wide = np.uint8 if n_values <= 256 else np.uint16 if n_values <= 65536 else np.uint32
    return np.ascontiguousarray(codes, dtype=wide)


def _freeze(value: Any) -> Any:
    """Return a hashable stand-in of a value (JSON text for lists and objects)."""
    if isinstance(value, (dict, list)):
        return _Json(json.dumps(value, separators=(",", ":"), sort_keys=True))
    return value


class _Json(str):
    """JSON text that stands for the value it encodes."""

    __slots__ = ()


def _thaw(value: Any) -> Any:
    return json.loads(value) if isinstance(value, _Json) else value


class Coded:
    """One value per row, as codes into a list of distinct values."""

    def __init__(self, codes: Array, values: list[Any]) -> None:
        self.codes = _small(codes, len(values))
        self.values = values
        self._postings: tuple[Array, Array] | None = None
        self._ranks: Array | None = None
        self._known: dict[Any, int] | None = None

    @classmethod
    def of(cls, values: Sequence[Any]) -> Coded:
        """Code a list of values."""
        known: dict[Any, int] = {}
        codes = np.empty(len(values), np.uint32)
        for i, value in enumerate(values):
            frozen = _freeze(value)
            # True == 1 in Python; the type keeps them apart.
            codes[i] = known.setdefault((frozen, type(frozen)), len(known))
        return cls(codes, [value for value, _ in known])

    def lut(self, where: Where) -> Array:
        """Return for each distinct value whether it fulfils a condition."""
        wanted = where.texts()
        if wanted is not None and self._all_texts():
            lut: Array = np.full(len(self.values), where.negate)
            known = self._known or {}
            lut[[known[text] for text in wanted if text in known]] = not where.negate
            return lut
        found = where.on_values(self.values, _thaw)
        return np.fromiter(found, bool, len(self.values))

    def _all_texts(self) -> bool:
        """Return whether all values are texts, looked up by `_known`; made on first use."""
        if self._known is None:
            texts = all(type(value) is str for value in self.values if value is not None)
            self._known = {value: code for code, value in enumerate(self.values)} if texts else {}
        return bool(self._known)

    def mask(self, where: Where, rows: Array | None) -> Array:
        """See `Column`."""
        return self.lut(where)[self.codes if rows is None else self.codes[rows]]

    def postings(self) -> tuple[Array, Array]:
        """Return row numbers grouped by code, and where each code's group starts."""
        if self._postings is None:
            order = np.argsort(self.codes, kind="stable").astype(np.uint32)
            counts = np.bincount(self.codes, minlength=len(self.values))
            self._postings = order, np.concatenate([[0], np.cumsum(counts)])
        return self._postings

    def candidates(self, where: Where, most: int) -> Array | None:
        """Return the sorted rows that fulfil a condition, or None if there are more than most."""
        codes = np.flatnonzero(self.lut(where))
        order, starts = self.postings()
        if int((starts[codes + 1] - starts[codes]).sum()) > most:
            return None
        parts = [order[starts[code] : starts[code + 1]] for code in codes]
        return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.uint32)

    def pick(self, rows: Array) -> list[Any]:
        """See `Column`."""
        return [_thaw(self.values[code]) for code in self.codes[rows].tolist()]

    def take(self, rows: Array) -> Coded:
        """See `Column`."""
        return Coded(self.codes[rows], self.values)

    def concat(self, other: Column) -> Coded:
        """See `Column`."""
        assert isinstance(other, Coded)  # noqa: S101 - same field, same kind of column
        known = {(value, type(value)): code for code, value in enumerate(self.values)}
        values = list(self.values)
        lut = np.empty(len(other.values), np.uint32)
        for code, value in enumerate(other.values):
            lut[code] = known.setdefault((value, type(value)), len(values))
            if lut[code] == len(values):
                values.append(value)
        codes = np.concatenate([self.codes.astype(np.uint32), lut[other.codes]])
        return Coded(codes, values)

    def ranks(self) -> Array:
        """See `Column`."""
        if self._ranks is None:
            order = sorted(range(len(self.values)), key=lambda i: _sort_key(self.values[i]))
            rank = np.empty(len(self.values), np.int64)
            rank[order] = np.arange(len(order))
            self._ranks = rank
        return self._ranks[self.codes]

    @property
    def is_json(self) -> bool:
        """Whether the values are of a kind that Parquet gets as JSON text."""
        kinds = {type(value) for value in self.values if value is not None}
        return not (kinds <= {str} or kinds == {bool} or kinds <= {int, float})

    def arrow(self) -> pa.Array:
        """See `Column`."""
        kinds = {type(value) for value in self.values if value is not None}
        codes = pa.array(self.codes.astype(np.int32))
        if kinds and not self.is_json and kinds != {str}:
            plain = (
                pa.bool_() if kinds == {bool} else pa.int64() if kinds == {int} else pa.float64()
            )
            return pa.array(self.values, plain).take(codes)
        texts = self.values
        if self.is_json:
            texts = [None if value is None else json.dumps(_thaw(value)) for value in self.values]
        # Parquet has None only among the codes, not among the values.
        missing = np.array([value is None for value in texts], bool)
        codes = pa.array(self.codes.astype(np.int32), mask=missing[self.codes])
        some = ["" if value is None else value for value in texts]
        return pa.DictionaryArray.from_arrays(codes, pa.array(some, pa.string()))

    @property
    def nbytes(self) -> int:
        """See `Column`."""
        lists = sum(array.nbytes for array in self._postings or ())
        return self.codes.nbytes + lists


class Many:
    """Several values per row."""

    def __init__(self, starts: Array, inner: Coded) -> None:
        self.starts = starts
        self.inner = inner

    @classmethod
    def of(cls, values: Sequence[Any]) -> Many:
        """Code a list of lists."""
        counts = [len(value or ()) for value in values]
        flat = [item for value in values for item in (value or ())]
        return cls(np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32), Coded.of(flat))

    def mask(self, where: Where, rows: Array | None) -> Array:
        """See `Column`; a row fulfils a condition if any of its values does."""
        plain = where.positive()
        if rows is not None:
            return self.take(rows).mask(where, None)
        hits = np.flatnonzero(self.inner.lut(plain)[self.inner.codes])
        found = np.zeros(len(self.starts) - 1, bool)
        found[np.searchsorted(self.starts, hits, side="right") - 1] = True
        if plain.on_value(None):
            found |= self.starts[:-1] == self.starts[1:]
        return ~found if where.negate else found

    def pick(self, rows: Array) -> list[Any]:
        """See `Column`."""
        values, codes = self.inner.values, self.inner.codes
        return [
            [
                _thaw(values[code])
                for code in codes[self.starts[row] : self.starts[row + 1]].tolist()
            ]
            for row in rows.tolist()
        ]

    def take(self, rows: Array) -> Many:
        """See `Column`."""
        counts = (self.starts[1:] - self.starts[:-1])[rows]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32)
        which = np.repeat(self.starts[:-1][rows].astype(np.int64) - starts[:-1], counts)
        return Many(starts, self.inner.take(which + np.arange(int(starts[-1]))))

    def concat(self, other: Column) -> Many:
        """See `Column`."""
        assert isinstance(other, Many)  # noqa: S101 - same field, same kind of column
        starts = np.concatenate([self.starts, other.starts[1:] + self.starts[-1]])
        return Many(starts, self.inner.concat(other.inner))

    def ranks(self) -> Array:
        """See `Column`; lists sort by their length."""
        return (self.starts[1:] - self.starts[:-1]).astype(np.int64)

    def arrow(self) -> pa.Array:
        """See `Column`."""
        inner = self.inner.arrow()
        if isinstance(inner, pa.DictionaryArray):
            inner = inner.dictionary_decode()
        return pa.ListArray.from_arrays(pa.array(self.starts.astype(np.int32)), inner)

    @property
    def nbytes(self) -> int:
        """See `Column`."""
        return self.starts.nbytes + self.inner.nbytes


class Numbers:
    """Whole numbers, too many different ones to code; -1 stands for None."""

    def __init__(self, values: Array) -> None:
        self.values = values

    @classmethod
    def of(cls, values: Sequence[Any]) -> Numbers:
        """Store a list of whole numbers."""
        return cls(np.array([-1 if value is None else value for value in values], np.int64))

    def mask(self, where: Where, rows: Array | None) -> Array:
        """See `Column`."""
        values = self.values if rows is None else self.values[rows]
        found = where.on_array(values, values == -1)
        if found is None:
            some = where.on_values([None if v == -1 else v for v in values.tolist()], _thaw)
            found = np.fromiter(some, bool, len(values))
        return found

    def pick(self, rows: Array) -> list[Any]:
        """See `Column`."""
        return [None if value == -1 else value for value in self.values[rows].tolist()]

    def take(self, rows: Array) -> Numbers:
        """See `Column`."""
        return Numbers(self.values[rows])

    def concat(self, other: Column) -> Numbers:
        """See `Column`."""
        assert isinstance(other, Numbers)  # noqa: S101 - same field, same kind of column
        return Numbers(np.concatenate([self.values, other.values]))

    def ranks(self) -> Array:
        """See `Column`."""
        return self.values

    def arrow(self) -> pa.Array:
        """See `Column`."""
        return pa.array(self.values, mask=self.values == -1)

    @property
    def nbytes(self) -> int:
        """See `Column`."""
        return self.values.nbytes


class Uuids:
    """UUIDs, a different one in each row; zeros stand for None."""

    def __init__(self, values: Array) -> None:
        self.values = values

    @classmethod
    def of(cls, values: Sequence[Any]) -> Uuids:
        """Store a list of UUIDs as text."""
        packed = b"".join(
            bytes(16) if value is None else bytes.fromhex(value.replace("-", ""))
            for value in values
        )
        return cls(np.frombuffer(packed, ">u8").reshape(-1, 2))

    def mask(self, where: Where, rows: Array | None) -> Array:
        """See `Column`."""
        every = np.arange(len(self.values)) if rows is None else rows
        return np.fromiter(where.on_values(self.pick(every), _thaw), bool, len(every))

    def pick(self, rows: Array) -> list[Any]:
        """See `Column`."""
        found = (f"{high:016x}{low:016x}" for high, low in self.values[rows].tolist())
        return [dashed(each) if each.strip("0") else None for each in found]

    def take(self, rows: Array) -> Uuids:
        """See `Column`."""
        return Uuids(self.values[rows])

    def concat(self, other: Column) -> Uuids:
        """See `Column`."""
        assert isinstance(other, Uuids)  # noqa: S101 - same field, same kind of column
        return Uuids(np.concatenate([self.values, other.values]))

    def ranks(self) -> Array:
        """See `Column`."""
        _, ranks = np.unique(self.values, axis=0, return_inverse=True)
        return ranks.reshape(-1)

    def arrow(self) -> pa.Array:
        """See `Column`."""
        packed = pa.py_buffer(np.ascontiguousarray(self.values, ">u8"))
        return pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(16), len(self.values), [None, packed]
        )

    @property
    def nbytes(self) -> int:
        """See `Column`."""
        return self.values.nbytes


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
        return Many.of(values)
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
    """

    def __init__(
        self,
        columns: dict[str, Column],
        n: int,
        order: tuple[str, ...],
        key: Callable[[Mapping[str, Any]], str],
        key_fields: tuple[str, ...],
    ) -> None:
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

    def sort(self, rows: Array, order: tuple[str, ...]) -> Array:
        """Return row numbers sorted by some fields."""
        keys = []
        for name in reversed(order):
            if column := self.columns.get(name.lstrip("-")):
                ranks = column.ranks()[rows]
                keys.append(-ranks if name.startswith("-") else ranks)
        return rows[np.lexsort(keys)] if keys else rows

    def replace(self, keep: Array, rows: Rows) -> Columns:
        """Return the kept rows and some new ones, sorted."""
        added = Columns.of(rows, self.order, self.key, self.key_fields)
        columns: dict[str, Column] = {}
        for name in dict.fromkeys([*self.columns, *added.columns]):
            old = self.columns.get(name)
            new = added.columns.get(name)
            old = old.take(keep) if old else column_of(name, [None] * len(keep))
            new = new or column_of(name, [None] * added.n)
            if type(old) is not type(new):  # None alone does not show what a column holds
                all_rows, more = np.arange(len(keep)), np.arange(added.n)
                columns[name] = column_of(name, [*old.pick(all_rows), *new.pick(more)])
            else:
                columns[name] = old.concat(new)
        whole = Columns(columns, len(keep) + added.n, self.order, self.key, self.key_fields)
        return whole.sorted()

    def to_parquet(self) -> bytes:
        """Return the rows as a Parquet file; JSON values are text, named in the metadata."""
        arrays = {name: column.arrow() for name, column in self.columns.items()}
        kinds = {name: type(column).__name__ for name, column in self.columns.items()}
        as_json = [
            name
            for name, column in self.columns.items()
            if isinstance(column, Coded) and column.is_json
        ]
        table = pa.table(arrays).replace_schema_metadata(
            {"fornix": json.dumps({"columns": kinds, "json": as_json, "order": self.order})}
        )
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", row_group_size=1 << 20)
        return sink.getvalue().to_pybytes()

    def find(self, key: str) -> int:
        """Return the row of a key, -1 if there is none."""
        if self.key_fields == ("session", "path"):  # too many rows for a dictionary of them
            eid, _, path = key.partition("|")
            column = self.columns.get("session")
            if not isinstance(column, Coded):
                return -1
            rows = column.candidates(Where("session", "exact", eid), self.n)
            mask = self.columns["path"].mask(Where("path", "exact", path), rows)
            found = rows[mask] if rows is not None else np.flatnonzero(mask)
            return int(found[0]) if len(found) else -1
        if self._places is None:
            self._places = {
                self.key(row): i
                for i, row in enumerate(self.pick(np.arange(self.n), self.key_fields))
            }
        return self._places.get(key, -1)

    def matching(self, wheres: Sequence[Where]) -> Array:
        """Return the row numbers that fulfil all conditions, in order."""
        rows = self._narrowest(wheres)
        for where in sorted(wheres, key=lambda each: each.cost):
            mask = self._mask(where, rows)
            rows = np.flatnonzero(mask) if rows is None else rows[mask]
            if not len(rows):
                break
        return np.arange(self.n) if rows is None else rows.astype(np.int64)

    def _mask(self, where: Where, rows: Array | None) -> Array:
        """Return which of the rows fulfil a condition."""
        if isinstance(where, Either):
            return np.logical_or.reduce([self._mask(each, rows) for each in where.value])
        if isinstance(where, Places):
            found = np.zeros(self.n if rows is None else len(rows), bool)
            for session, paths in where.by_session().items():
                found |= self._mask(Where("session", "exact", session), rows) & self._mask(
                    Where("path", "in", paths), rows
                )
            return found != where.negate
        column = self.columns.get(where.field)
        if column is None:
            return np.full(self.n if rows is None else len(rows), where.on_value(None))
        return column.mask(where, rows)

    def _narrowest(self, wheres: Sequence[Where]) -> Array | None:
        """Return rows from the first key or posting list that leaves few; None to try all."""
        for where in wheres:
            if where.negate or where.path or isinstance(where, (Either, Places)):
                continue
            if (where.field,) == self.key_fields and where.lookup in ("exact", "in"):
                wanted = [where.value] if where.lookup == "exact" else where.value
                if len(wanted) * 4 < self.n or self._places is not None:
                    found = (self.find(str(each)) for each in wanted)
                    return np.array(sorted(i for i in found if i >= 0), np.int64)
            column = self.columns.get(where.field)
            if isinstance(column, Coded) and self.n > max(50_000, 4 * len(column.values)):
                rows = column.candidates(where, self.n // 16)
                if rows is not None:
                    return rows
        return None

    def distinct(self, rows: Array, name: str) -> set[Any]:
        """Return the distinct values of a field among some rows."""
        column = self.columns.get(name)
        if isinstance(column, Coded):
            return {column.values[code] for code in np.unique(column.codes[rows]).tolist()}
        if column is None:
            return set()
        return {
            item
            for value in column.pick(rows)
            for item in (value if isinstance(value, list) else [value])
        }

    def pick(self, rows: Array, fields: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return some rows as dictionaries, of all or some fields."""
        names = [name for name in (fields or self.columns) if name in self.columns]
        values = [self.columns[name].pick(rows) for name in names]
        if not names:
            return [{} for _ in range(len(rows))]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]

    @property
    def nbytes(self) -> int:
        """Memory of the row-wise arrays, bytes."""
        return sum(column.nbytes for column in self.columns.values())


def read_parquet(
    source: Any,
    skip: frozenset[str],
    order: tuple[str, ...],
    key: Callable[[Mapping[str, Any]], str],
    key_fields: tuple[str, ...],
) -> Columns:
    """Return the rows that `Columns.to_parquet` wrote, without the fields in ``skip``."""
    file = pq.ParquetFile(source, read_dictionary=None)
    about = json.loads(file.schema_arrow.metadata[b"fornix"])
    columns: dict[str, Column] = {}
    for name, kind in about["columns"].items():
        if name in skip:
            continue
        array = file.read(columns=[name]).column(0).combine_chunks()
        columns[name] = _from_arrow(array, kind, name in about["json"])
    return Columns(columns, file.metadata.num_rows, order, key, key_fields)


def _from_arrow(array: Any, kind: str, as_json: bool) -> Column:
    """Return the column that an Arrow array holds."""
    if kind == "Numbers":
        return Numbers(array.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64))
    if kind == "Uuids":
        return Uuids(np.frombuffer(b"".join(array.to_pylist()), ">u8").reshape(-1, 2))
    if kind == "Many":
        inner = array.flatten()
        starts = array.offsets.to_numpy().astype(np.uint32)
        return Many(starts - starts[0], _coded(inner, False))
    return _coded(array, as_json)


def _coded(array: Any, as_json: bool) -> Coded:
    """Return a dictionary-coded column of an Arrow array."""
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode(null_encoding="encode")
    if array.null_count:
        array = array.dictionary_decode().dictionary_encode(null_encoding="encode")
    values = array.dictionary.to_pylist()
    if as_json:
        values = [None if value is None else _freeze(json.loads(value)) for value in values]
    return Coded(array.indices.to_numpy(zero_copy_only=False), values)
