"""Columns with few distinct values: one code per row."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np

from shared.catalog.columns.blocks import Blocks, Need, Runs, through
from shared.catalog.columns.column import (
    Array,
    Column,
    JsonText,
    decode_json,
    encode_json,
    narrowest,
    value_key,
)
from shared.catalog.columns.found import Marked
from shared.catalog.columns.keys import FEW, Keys
from shared.catalog.listings import OnPart
from shared.records.where import Where

Postings = tuple[Any, Array]
"""Row numbers grouped by code (an array or `Blocks`), and the start of each code's group."""


class Coded:
    """One value per row, as codes into a list of distinct values.

    Parameters
    ----------
    codes : ndarray, Blocks or Runs
    values : list, or a function that reads it
        Distinct values, coded by `encode_json`.
    postings : callable, optional
        Reads the posting list; without it, the list is made on demand.
    ascending : bool
        Whether the values are in order (`value_key`), as in a file.
    """

    def __init__(
        self,
        codes: Any,
        values: list[Any] | Callable[[], list[Any]],
        *,
        postings: Callable[[], Postings] | None = None,
        ascending: bool = False,
    ) -> None:
        self._values = values
        self.is_mapped = not isinstance(codes, np.ndarray)
        self.codes = codes if self.is_mapped else narrowest(codes, len(self.values))
        self.ascending = ascending
        self._read_postings = postings
        self._postings: Postings | None = None
        self._ranks: Array | None = None
        self._known: dict[Any, int] | None = None
        self._texts: bool | None = None
        self._aligned: WeakKeyDictionary[Coded, Array] = WeakKeyDictionary()
        self._parts: dict[int, Coded] = {}

    @classmethod
    def of(cls, values: Sequence[Any]) -> Self:
        """Code a list of values."""
        return cls.of_coded([encode_json(value) for value in values])

    @classmethod
    def of_coded(cls, values: Iterable[Any]) -> Self:
        """Make a column of values that `encode_json` has coded."""
        code_by_value: dict[Any, int] = {}
        # True == 1 in Python; the type keeps them apart.
        codes = [
            code_by_value.setdefault((value, cls.kind(value)), len(code_by_value))
            for value in values
        ]
        return cls(np.array(codes, np.uint32), [value for value, _ in code_by_value])

    @staticmethod
    def kind(value: Any) -> Any:
        """Return the kind of a value; equal values of different kinds have different codes."""
        return type(value)

    @property
    def values(self) -> list[Any]:
        """The distinct values."""
        if callable(self._values):
            self._values = self._values()
        return self._values

    def lut(self, where: Where) -> Array:
        """Return for each distinct value whether it fulfils a condition."""
        by_text = self._lut_of_texts(where)
        if by_text is not None:
            return by_text != where.negate
        if isinstance(where.value, OnPart):
            part = self._part(where.value)
            return part.lut(where.value.where)[part.codes] != where.negate
        tried = where.on_values(self.values, decode_json)
        return np.fromiter(tried, bool, len(self.values))

    def _lut_of_texts(self, where: Where) -> Array | None:
        """Return the lookup table of a condition, not negated, if no value needs a test."""
        if where.path or not self.all_texts():
            return None
        lut: Array = np.zeros(len(self.values), bool)
        if isinstance(where.value, Keys) and where.lookup == "in":
            own_codes = self._alignment(where.value.column)[where.value.codes]
            lut[own_codes[own_codes >= 0]] = True
            wanted: Iterable[Any] | None = where.value.more
        else:
            wanted = where.texts()
        if wanted is not None:
            codes = (self.code_of(each) for each in wanted)
            lut[[code for code in codes if code is not None]] = True
        elif where.lookup in _BETWEEN and self.ascending and (ends := self._between(where)):
            lut[slice(*ends)] = True
        else:
            return None
        return lut

    def _between(self, where: Where) -> tuple[int, int] | None:
        """Return the first code and the end of the codes that a comparison of texts selects."""
        value, values = where.value, self.values
        low = 1 if values and values[0] is None else 0
        if where.lookup == "range":
            if not all(isinstance(each, str) for each in value):
                return None
            first, last = value
            return bisect_left(values, first, low), bisect_right(values, last, low)
        if not isinstance(value, str):
            return None
        return {
            "lt": lambda: (low, bisect_left(values, value, low)),
            "lte": lambda: (low, bisect_right(values, value, low)),
            "gt": lambda: (bisect_right(values, value, low), len(values)),
            "gte": lambda: (bisect_left(values, value, low), len(values)),
        }[where.lookup]()

    def all_texts(self) -> bool:
        """Return whether all values are texts or None."""
        if self._texts is None:
            self._texts = all(type(value) is str for value in self.values if value is not None)
        return self._texts

    def code_of(self, value: Any) -> int | None:
        """Return the code of a text or None in a column of texts; None if no row has it."""
        if self.ascending:
            values = self.values
            some = 1 if values and values[0] is None else 0
            if type(value) is not str:
                return 0 if value is None and some else None
            place = bisect_left(values, value, some)
            return place if place < len(values) and values[place] == value else None
        return self._by_value().get(value)

    def _by_value(self) -> dict[Any, int]:
        if self._known is None:
            self._known = {value: code for code, value in enumerate(self.values)}
        return self._known

    def _alignment(self, other: Coded) -> Array:
        """Return the own code of each value of another column, -1 for none."""
        if other is self:
            return np.arange(len(self.values))
        if (alignment := self._aligned.get(other)) is None:
            by_value = self._by_value()
            alignment = np.array([by_value.get(value, -1) for value in other.values], np.int64)
            self._aligned[other] = alignment
            if self.ascending:
                self._known = None  # a binary search finds single values
        return alignment

    def _part(self, on: OnPart) -> Coded:
        """Return a part of the values (see `OnPart`) as a separate column."""
        if on.part not in self._parts:
            self._parts[on.part] = Coded.of([on.of(value) for value in self.values])
        return self._parts[on.part]

    def mask(self, where: Where, rows: Array | None) -> Array:
        """See `Column`."""
        lut = self.lut(where)
        return through(self.codes, lut) if rows is None else lut[self.codes[rows]]

    @property
    def has_postings(self) -> bool:
        """Whether the rows of a value are found without a scan of all rows."""
        return not self.is_mapped or bool(self._read_postings) or isinstance(self.codes, Runs)

    def postings(self) -> Postings:
        """Return row numbers grouped by code, and the start of each code's group."""
        if self._postings is None:
            self._postings = (
                self._read_postings()
                if self._read_postings
                else grouped(self.codes, len(self.values))
            )
        return self._postings

    def candidates(self, where: Where, most: int) -> Array | None:
        """Return the sorted rows that fulfil a condition, or None if there are more than most."""
        return self.rows_of(np.flatnonzero(self.lut(where)), most) if self.has_postings else None

    def rows_of(self, codes: Array, most: int) -> Array | None:
        """Return the sorted rows of some codes, or None if there are more than most."""
        if isinstance(self.codes, Runs):
            starts = self.codes.starts
            few = int((starts[codes + 1].astype(np.int64) - starts[codes]).sum()) <= most
            return self.codes.rows_of(codes) if few else None
        order, starts = self.postings()
        if int((starts[codes + 1].astype(np.int64) - starts[codes]).sum()) > most:
            return None
        if len(codes) == 1:
            return np.asarray(order[int(starts[codes[0]]) : int(starts[codes[0] + 1])])
        return np.sort(order[Runs(starts).rows_of(codes)])

    def pick(self, rows: Array) -> list[Any]:
        """See `Column`."""
        values = self.values
        return [
            decode_json(value) if type(value) is JsonText else value
            for value in map(values.__getitem__, self.codes[rows].tolist())
        ]

    def distinct(self, rows: Array | Marked | None) -> Any:
        """Return the set of the values of some rows, given in order, or of all."""
        if rows is None:
            present: Array = np.arange(len(self.values))
        elif not isinstance(self.codes, Runs):
            codes = self.codes[np.asarray(rows)]
            present = np.flatnonzero(np.bincount(codes, minlength=len(self.values)))
        elif isinstance(rows, Marked):
            present = self.codes.marked(rows.mask)
        else:
            present = self.codes.present(rows)
        if len(present) > FEW and self.all_texts():
            return Keys(self, present)
        values = self.values
        return {values[code] for code in present.tolist()}

    def needs(self, rows: Array | None) -> list[Need]:
        """See `Column`."""
        values = self._values.needs() if hasattr(self._values, "needs") else []
        codes: Any = self.codes
        of_rows = isinstance(codes, Blocks) and rows is not None
        return [*values, *(codes.needs(rows) if of_rows else [])]

    def take(self, rows: Array) -> Self:
        """See `Column`."""
        return type(self)(self.codes[rows], self.values, ascending=self.ascending)

    def concat(self, other: Column) -> Self:
        """See `Column`."""
        assert isinstance(other, type(self))  # noqa: S101 - same field, same kind of column
        code_by_value = {(value, self.kind(value)): code for code, value in enumerate(self.values)}
        values = list(self.values)
        lut = np.empty(len(other.values), np.uint32)
        for code, value in enumerate(other.values):
            lut[code] = code_by_value.setdefault((value, self.kind(value)), len(values))
            if lut[code] == len(values):
                values.append(value)
        codes = np.concatenate([np.asarray(self.codes).astype(np.uint32), lut[other.codes]])
        return type(self)(codes, values)

    def ranks(self) -> Array:
        """See `Column`."""
        if self._ranks is None:
            rank = np.empty(len(self.values), np.int64)
            rank[self.ranked()] = np.arange(len(self.values))
            self._ranks = rank
        return through(self.codes, self._ranks)

    def ranked(self) -> list[int]:
        """Return the codes in the order of their values."""
        if self.ascending:
            return list(range(len(self.values)))
        values = self.values
        return sorted(range(len(values)), key=lambda i: value_key(values[i]))

    @property
    def nbytes(self) -> int:
        """See `Column`."""
        lists = sum(array.nbytes for array in self._postings or ())
        return int(self.codes.nbytes) + lists


_BETWEEN = ("lt", "lte", "gt", "gte", "range")


def grouped(codes: Any, n_values: int) -> tuple[Array, Array]:
    """Return the row numbers grouped by code, and the start of each group."""
    whole = np.asarray(codes)
    order = np.argsort(whole, kind="stable").astype(np.uint32)
    counts = np.bincount(whole, minlength=n_values)
    return order, np.concatenate([[0], np.cumsum(counts)])


class Lists(Coded):
    """Several values per row: each distinct list has one code."""

    @classmethod
    def of(cls, values: Sequence[Any]) -> Self:
        """Code a list of lists; None is an empty one."""
        return cls.of_coded([tuple(value or ()) for value in values])

    @staticmethod
    def kind(value: Any) -> Any:
        """See `Coded.kind`."""
        return tuple(type(each) for each in value)

    def lut(self, where: Where) -> Array:
        """Return for each distinct list whether any of its values fulfils a condition."""
        passes = where.compiled()
        tried = (passes(list(value)) for value in self.values)
        return np.fromiter(tried, bool, len(self.values))

    def pick(self, rows: Array) -> list[Any]:
        """See `Column`."""
        values = self.values
        return [list(values[code]) for code in self.codes[rows].tolist()]

    def distinct(self, rows: Array | Marked | None) -> set[Any]:
        """Return the set of the values of some rows, or of all, one by one."""
        values = self.values
        if rows is None:
            return {item for value in values for item in value}
        used = set(self.codes[np.asarray(rows)].tolist())
        return {item for code in used for item in values[code]}

    def ranks(self) -> Array:
        """See `Column`; lists sort by their length."""
        return through(self.codes, np.array([len(value) for value in self.values], np.int64))

    def ranked(self) -> list[int]:
        """Return the codes as they are."""
        return list(range(len(self.values)))
