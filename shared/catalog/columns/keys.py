"""Large sets of a column's values, stored as codes: for example, a hundred thousand sessions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.catalog.columns.column import Array

if TYPE_CHECKING:
    from shared.catalog.columns.coded import Coded

FEW = 1000
"""Most values for which a plain set is as good."""


class Keys(Set[Any]):
    """A set of values of a column of texts, and some others.

    Parameters
    ----------
    column : Coded
        Column of the values.
    codes : ndarray of int
        Codes of the values in the set, each once, in order.
    more : frozenset
        Values in the set that the column may lack.
    """

    def __init__(self, column: Coded, codes: Array, more: frozenset[Any] = frozenset()) -> None:
        self.column, self.codes = column, codes
        self.more = frozenset(each for each in more if not self._has(each))

    @classmethod
    def _from_iterable(cls, values: Iterable[Any]) -> Any:
        return set(values)

    def _has(self, value: Any) -> bool:
        code = self.column.code_of(value)
        if code is None:
            return False
        place = int(np.searchsorted(self.codes, code))
        return place < len(self.codes) and int(self.codes[place]) == code

    def __contains__(self, value: object) -> bool:
        return value in self.more or self._has(value)

    def __iter__(self) -> Iterator[Any]:
        values = self.column.values
        yield from (values[code] for code in self.codes.tolist())
        yield from self.more

    def __len__(self) -> int:
        return len(self.codes) + len(self.more)

    def __or__(self, other: Any) -> Any:
        if isinstance(other, Keys) and other.column is self.column:
            codes = np.union1d(self.codes, other.codes)
            return Keys(self.column, codes, self.more | other.more)
        return Keys(self.column, self.codes, self.more | frozenset(other))

    __ror__ = __or__

    def __sub__(self, other: Any) -> Any:
        gone = {self.column.code_of(each) for each in other} - {None}
        codes = self.codes[~np.isin(self.codes, sorted(gone))] if gone else self.codes
        return Keys(self.column, codes, self.more - frozenset(other))
