"""Integers with too many distinct values to code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.catalog.columns.blocks import Need
from shared.catalog.columns.column import Array, Column, decode_json
from shared.records.where import Where


class Numbers:
    """Integers with too many distinct values to code; -1 stands for None."""

    def __init__(self, values: Any) -> None:
        self.values = values

    @classmethod
    def of(cls, values: Sequence[Any]) -> Numbers:
        """Store a list of whole numbers."""
        return cls(np.array([-1 if value is None else value for value in values], np.int64))

    def mask(self, where: Where, rows: Array | None) -> Array:
        """See `Column`."""
        values = np.asarray(self.values) if rows is None else self.values[rows]
        mask = where.on_array(values, values == -1)
        if mask is None:
            some = where.on_values([None if v == -1 else v for v in values.tolist()], decode_json)
            mask = np.fromiter(some, bool, len(values))
        return mask

    def pick(self, rows: Array) -> list[Any]:
        """See `Column`."""
        return [None if value == -1 else value for value in self.values[rows].tolist()]

    def take(self, rows: Array) -> Numbers:
        """See `Column`."""
        return Numbers(self.values[rows])

    def concat(self, other: Column) -> Numbers:
        """See `Column`."""
        assert isinstance(other, Numbers)  # noqa: S101 - same field, same kind of column
        return Numbers(np.concatenate([np.asarray(self.values), other.values]))

    def needs(self, rows: Array | None) -> list[Need]:
        """See `Column`."""
        is_read = rows is None or isinstance(self.values, np.ndarray)
        return [] if is_read else self.values.needs(rows)

    def ranks(self) -> Array:
        """See `Column`."""
        return np.asarray(self.values)

    @property
    def nbytes(self) -> int:
        """See `Column`."""
        return int(self.values.nbytes)
