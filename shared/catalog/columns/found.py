"""Row numbers that a search found, when they are most rows or all: as a mask, or as nothing.

An array of the numbers of nearly 15 million rows takes longer to make than to use: what is asked
of them is mostly their count, a page, or the distinct values of a column.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from shared.catalog.columns.column import Array

MANY = 4
"""A mask is kept if it has at least this part of all rows: a quarter."""


class Marked:
    """Row numbers, in order, as the mask of all rows.

    Parameters
    ----------
    mask : ndarray of bool
        For each row whether it is among them.
    """

    def __init__(self, mask: Array) -> None:
        self.mask = mask

    @cached_property
    def rows(self) -> Array:
        """The row numbers."""
        return np.flatnonzero(self.mask)

    @cached_property
    def _count(self) -> int:
        return int(np.count_nonzero(self.mask))

    def __len__(self) -> int:
        return self._count

    @property
    def many(self) -> bool:
        """Whether the mask is worth keeping."""
        return MANY * len(self) >= len(self.mask) > 0

    def __getitem__(self, which: Any) -> Array:
        """Return some of the row numbers, by their ranks."""
        found: Array = self.rows[which]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.rows.astype(dtype or self.rows.dtype, copy=False)

    def without(self, hidden: list[int]) -> Marked:
        """Return the rows without some."""
        mask = self.mask.copy()
        mask[np.array(hidden, np.int64)] = False
        return Marked(mask)


class Every:
    """The numbers of all rows.

    Parameters
    ----------
    n : int
        Number of rows.
    """

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, which: Any) -> Array:
        """Return some of the row numbers, by their ranks."""
        if isinstance(which, slice):
            part = range(self.n)[which]
            return np.arange(part.start, part.stop, part.step)
        return np.arange(self.n)[which]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.arange(self.n, dtype=dtype or np.uint32)

    def without(self, hidden: list[int]) -> Marked:
        """Return the rows without some."""
        return Marked(np.ones(self.n, bool)).without(hidden)


Found = Array | Marked | Every
"""Row numbers that a search found, in order."""
