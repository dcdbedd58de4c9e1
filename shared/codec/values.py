"""Samples as signed integers as narrow as they can be, and back: FORMAT.md, section 2.5."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.codec.errors import FormatError
from shared.codec.predict import Ints, transpose_into
from shared.codec.workspace import WORKSPACE

DIRECT, SHIFTED, TABLE = 0, 1, 2

#: Values a table can hold: their ranks must fit in 16 bits, with half a mind to compress.
MAX_TABLE = 1 << 15


def prepare(
    samples: NDArray[Any], table: NDArray[Any] | None, base: int = 0
) -> tuple[int, int, Ints]:
    """Bring samples to channel-major signed integers, as narrow as they can be.

    A `base` that narrow integers can count from is kept.

    Returns how that was done (`DIRECT`, `SHIFTED` or `TABLE`), the base, and the rows.
    """
    length, channels = samples.shape
    narrow = np.dtype(np.int16)
    if table is not None:
        rows = WORKSPACE.rows("rows", channels, length, narrow)
        middle = len(table) // 2
        if samples.dtype.itemsize == 2:
            ranks = np.zeros(1 << 16, np.int16)
            ranks[table.view(np.uint16)] = np.arange(-middle, len(table) - middle)
            transpose_into(ranks[np.ascontiguousarray(samples).view(np.uint16)], rows)
        else:
            rows[:] = (np.searchsorted(table, samples) - middle).T
        return TABLE, 0, rows
    if samples.dtype == np.int32:
        low, high = int(samples.min()), int(samples.max())
        if high - low < 1 << 16:
            if not base - (1 << 15) <= low <= high < base + (1 << 15):
                base = (low + high + 1) // 2
            rows = WORKSPACE.rows("rows", channels, length, narrow)
            transpose_into((samples - np.int64(base)).astype(narrow), rows)
            return SHIFTED, base, rows
    dtype = np.dtype(f"i{samples.dtype.itemsize}")
    rows = WORKSPACE.rows("rows", channels, length, dtype)
    transpose_into(samples.view(dtype), rows)
    if samples.dtype == np.uint16:
        np.bitwise_xor(rows, np.int16(-32768), out=rows)
    return DIRECT, 0, rows


def restore(
    samples: Ints, kind: int, base: int, table: NDArray[Any], dtype: np.dtype
) -> NDArray[Any]:
    """Invert `prepare`, but for the transposition."""
    if kind == TABLE:
        ranks = samples.astype(np.int64) + len(table) // 2
        if ranks.min(initial=0) < 0 or ranks.max(initial=0) >= len(table):
            raise FormatError("a rank lies outside the table of values")
        return table[ranks]
    if kind == SHIFTED:
        wide = samples.astype(np.int64) + base
        return wide.astype(dtype)
    if dtype == np.uint16:
        np.bitwise_xor(samples, np.int16(-32768), out=samples)
    return samples.view(dtype)


def sparse_values(samples: NDArray[Any], pieces: NDArray[Any]) -> NDArray[Any] | None:
    """Return the sorted values in use when they leave most of their range unused.

    Converters of few bits are often stored stretched to 16: the values in use are then few, and
    their ranks code much shorter than they do. Some `pieces` decide whether to look closer.
    """
    some, counts = _count_values(pieces[:: max(1, pieces.size >> 19)])
    if len(some) < 3:
        return None
    below = np.cumsum(counts)
    low, high = some[np.searchsorted(below, below[-1] * np.array([0.05, 0.95]))]
    inside = np.count_nonzero((some >= low) & (some <= high))
    span = int(high) - int(low) + 1
    if span < 16 or inside > 0.6 * span or pieces.size < 8 * inside:
        return None
    table = values_in_use(samples)
    if len(table) > MAX_TABLE or samples.size < 8 * len(table):
        return None
    within = np.count_nonzero((table >= low) & (table <= high))
    return table if within <= 0.6 * span else None


def values_in_use(samples: NDArray[Any]) -> NDArray[Any]:
    """Return the different values of a chunk, sorted."""
    return _count_values(samples)[0]


def _count_values(
    samples: NDArray[Any],
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the different values, sorted, and how often each occurs."""
    if samples.dtype.itemsize > 2:
        return np.unique(samples, return_counts=True)
    flat = np.ascontiguousarray(samples).view(np.uint16).reshape(-1)
    counts = np.bincount(flat, minlength=1 << 16)
    if samples.dtype.kind == "i":
        counts = np.roll(counts, 1 << 15)
    used = np.flatnonzero(counts)
    return (used + np.iinfo(samples.dtype).min).astype(samples.dtype), counts[used]
