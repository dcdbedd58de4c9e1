"""Columns of few distinct values: one code a row, or several."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from shared.catalog.columns.column import (
    Array,
    Column,
    decode_json,
    encode_json,
    narrowest,
    value_key,
)
from shared.records.where import Where


class Coded:
    """One value per row, as codes into a list of distinct values."""

    def __init__(self, codes: Array, values: list[Any]) -> None:
        self.codes = narrowest(codes, len(values))
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
            frozen = encode_json(value)
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
        found = where.on_values(self.values, decode_json)
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
        return [decode_json(self.values[code]) for code in self.codes[rows].tolist()]

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
            order = sorted(range(len(self.values)), key=lambda i: value_key(self.values[i]))
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
            texts = [v if v is None else json.dumps(decode_json(v)) for v in self.values]
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
                decode_json(values[code])
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
