"""Texts and JSON that differ from row to row, stored in blocks of rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.catalog.columns.blocks import BlockEntry, BlockFile, Need
from shared.catalog.columns.coded import Coded
from shared.catalog.columns.column import Array, Column, JsonText, decode_json
from shared.records.where import Where

ROWS = 1024
"""Rows of a block; eight times as many in a kind of a million rows."""

WEIGHT = 3
"""Approximate bytes in Python's memory for a byte of such texts."""


def to_json(values: Sequence[Any]) -> bytes:
    """Return coded values as JSON; a list with one text stands for a JSON value."""
    plain = [[str(v)] if type(v) is JsonText else v for v in values]
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False).encode()


def of_json(body: bytes) -> list[Any]:
    """Return the values that `to_json` wrote."""
    return [JsonText(v[0]) if type(v) is list else v for v in json.loads(body)]


class Local:
    """A column whose values are stored with their rows.

    Parameters
    ----------
    file : BlockFile
    entries : sequence of BlockEntry
        Blocks of rows.
    n : int
        Rows.
    per : int
        Rows of a block.
    """

    def __init__(self, file: BlockFile, entries: Sequence[BlockEntry], n: int, per: int) -> None:
        self.file, self.entries, self.n, self.per = file, entries, n, per

    def needs(self, rows: Array | None) -> list[Need]:
        """See `Column`."""
        numbers = [] if rows is None else np.flatnonzero(np.bincount(rows // self.per)).tolist()
        return [Need(self.entries[i], of_json, WEIGHT) for i in numbers]

    def _values(self, rows: Array) -> list[Any]:
        """Return the coded values of some rows."""
        which = (rows // self.per).tolist()
        needed = sorted(set(which))
        read = self.file.blocks([Need(self.entries[i], of_json, WEIGHT) for i in needed])
        blocks = dict(zip(needed, read, strict=True))
        within = (rows % self.per).tolist()
        return [blocks[block][place] for block, place in zip(which, within, strict=True)]

    def mask(self, where: Where, rows: Array | None) -> Array:
        """See `Column`."""
        values = self._values(np.arange(self.n) if rows is None else rows)
        return np.fromiter(where.on_values(values, decode_json), bool, len(values))

    def pick(self, rows: Array) -> list[Any]:
        """See `Column`."""
        return [decode_json(value) for value in self._values(rows)]

    def take(self, rows: Array) -> Column:
        """See `Column`."""
        return Coded.of_coded(self._values(rows))

    def concat(self, other: Column) -> Column:
        """See `Column`."""
        return self.take(np.arange(self.n)).concat(other)

    def ranks(self) -> Array:
        """See `Column`."""
        return self.take(np.arange(self.n)).ranks()

    @property
    def nbytes(self) -> int:
        """Bytes of the whole column, read or not."""
        return sum(entry.size for entry in self.entries) * WEIGHT
