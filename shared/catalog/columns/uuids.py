"""Columns with a different UUID in each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.catalog.columns.blocks import Need
from shared.catalog.columns.column import Array, Column, decode_json
from shared.model.identity import dashed
from shared.records.where import Where


class Uuids:
    """UUIDs, a different one in each row; zeros stand for None."""

    def __init__(self, values: Any) -> None:
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
        all_rows = np.arange(len(self.values)) if rows is None else rows
        return np.fromiter(where.on_values(self.pick(all_rows), decode_json), bool, len(all_rows))

    def pick(self, rows: Array) -> list[Any]:
        """See `Column`."""
        digits = (f"{high:016x}{low:016x}" for high, low in self.values[rows].tolist())
        return [dashed(each) if each.strip("0") else None for each in digits]

    def take(self, rows: Array) -> Uuids:
        """See `Column`."""
        return Uuids(self.values[rows])

    def concat(self, other: Column) -> Uuids:
        """See `Column`."""
        assert isinstance(other, Uuids)  # noqa: S101 - same field, same kind of column
        return Uuids(np.concatenate([np.asarray(self.values), other.values]))

    def needs(self, rows: Array | None) -> list[Need]:
        """See `Column`."""
        is_read = rows is None or isinstance(self.values, np.ndarray)
        return [] if is_read else self.values.needs(rows)

    def ranks(self) -> Array:
        """See `Column`."""
        _, ranks = np.unique(np.asarray(self.values), axis=0, return_inverse=True)
        return ranks.reshape(-1)

    @property
    def nbytes(self) -> int:
        """See `Column`."""
        return int(self.values.nbytes)
