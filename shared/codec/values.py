"""Samples as signed integers as narrow as they can be, and back: FORMAT.md, section 2.5."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.codec.chunk import MAX_TABLE, ValueKind
from shared.codec.errors import FormatError
from shared.codec.predict import Ints, transpose_into
from shared.codec.workspace import WORKSPACE

#: Least number of samples per value of a table; with fewer, the table does not pay.
SAMPLES_PER_VALUE = 8
#: Samples are sparse if less than this share of the values in their range is in use.
SPARSE = 0.6
#: Smallest range that is too wide for a table of marks of the values in use.
WIDE = 1 << 16
#: Samples looked up at a time, so that their places stay in the cache.
BLOCK = 1 << 16


class Prepared(NamedTuple):
    """Channel-major signed integers, and how they were made from the samples."""

    kind: ValueKind
    base: int
    table: NDArray[Any]
    rows: Ints


def prepare(samples: NDArray[Any], ranked: bool, base: int = 0) -> Prepared:
    """Convert samples × channels to channel-major signed integers, as narrow as possible.

    If `ranked`, they are coded by their ranks, provided that a table can hold their values. The
    `base` is kept if narrow integers can count from it.
    """
    length, channels = samples.shape
    none = samples[:0, 0]
    if ranked:
        table = values_in_use(samples)
        if len(table) <= MAX_TABLE:
            rows = WORKSPACE.rows("rows", channels, length, np.dtype(np.int16))
            _rank(samples, table, rows)
            return Prepared(ValueKind.RANKED, 0, table, rows)
    if samples.dtype == np.int32:
        low, high = int(samples.min()), int(samples.max())
        if high - low < 1 << 16:
            if not base - (1 << 15) <= low <= high < base + (1 << 15):
                base = (low + high + 1) // 2
            rows = WORKSPACE.rows("rows", channels, length, np.dtype(np.int16))
            transpose_into((samples - np.int64(base)).astype(np.int16), rows)
            return Prepared(ValueKind.SHIFTED, base, none, rows)
    dtype = np.dtype(f"i{samples.dtype.itemsize}")
    rows = WORKSPACE.rows("rows", channels, length, dtype)
    transpose_into(samples.view(dtype), rows)
    if samples.dtype == np.uint16:
        np.bitwise_xor(rows, np.int16(-32768), out=rows)
    return Prepared(ValueKind.DIRECT, 0, none, rows)


def _rank(samples: NDArray[Any], table: NDArray[Any], rows: Ints) -> None:
    """Write the rank of each sample, counted from the middle of the table."""
    middle = len(table) // 2
    if samples.dtype.itemsize == 2:
        ranks = np.zeros(1 << 16, np.int16)
        ranks[table.view(np.uint16)] = np.arange(-middle, len(table) - middle)
        transpose_into(ranks[np.ascontiguousarray(samples).view(np.uint16)], rows)
    else:
        rows[:] = (np.searchsorted(table, samples) - middle).T


def restore(
    samples: Ints, kind: ValueKind, base: int, table: NDArray[Any], out: NDArray[Any]
) -> None:
    """Invert `prepare`, except the transposition; `out` may be the same memory."""
    if kind == ValueKind.RANKED:
        _look_up(samples, table, out)
    elif kind == ValueKind.SHIFTED:
        np.add(samples, base, out=out, dtype=np.int64, casting="unsafe")
    else:
        if out.dtype == np.uint16:
            np.bitwise_xor(samples, np.int16(-32768), out=samples)
        if not np.may_share_memory(samples, out):
            out[:] = samples.view(out.dtype)


def _look_up(samples: Ints, table: NDArray[Any], out: NDArray[Any]) -> None:
    """Write the values of these ranks."""
    middle, step = len(table) // 2, max(1, BLOCK // samples.shape[1])
    places = np.empty((step, samples.shape[1]), np.intp)
    for start in range(0, len(samples), step):
        ranks = samples[start : start + step]
        if ranks.min() < -middle or ranks.max() >= len(table) - middle:
            raise FormatError("a rank lies outside the table of values")
        here = np.add(ranks, middle, out=places[: len(ranks)])
        # All places are inside; clipping only saves numpy's check.
        np.take(table, here, out=out[start : start + step], mode="clip")


def are_sparse(samples: NDArray[Any], pieces: NDArray[Any]) -> bool:
    """Return whether most values of the range are unused.

    Samples of converters with few bits are often stretched to 16 bits. Then few values are in use,
    and their ranks take much fewer bits. The `pieces` decide whether to check all samples.
    """
    bounds = _sparse_range(pieces[:: max(1, pieces.size >> 18)])
    if bounds is None:
        return False
    low, high = bounds
    table = values_in_use(samples)
    within = np.count_nonzero((table >= low) & (table <= high))
    few = len(table) <= MAX_TABLE and samples.size >= SAMPLES_PER_VALUE * len(table)
    return few and int(within) <= SPARSE * (high - low + 1)


def _sparse_range(pieces: NDArray[Any]) -> tuple[int, int] | None:
    """Return the range of nine tenths of the samples if a table of values is worthwhile."""
    if pieces.size < 3:
        return None
    first = int(pieces.min())
    if int(pieces.max()) - first < WIDE:  # faster than sorting
        counts = np.bincount(np.subtract(pieces, first, dtype=np.intp).reshape(-1))
        some = np.flatnonzero(counts)
        some, counts = some + first, counts[some]
    else:
        some, counts = np.unique(pieces, return_counts=True)
    if len(some) < 3:
        return None
    below = np.cumsum(counts)
    low, high = some[np.searchsorted(below, below[-1] * np.array([0.05, 0.95]))].tolist()
    inside = np.count_nonzero((some >= low) & (some <= high))
    span = high - low + 1
    if span < 16 or inside > SPARSE * span or pieces.size < SAMPLES_PER_VALUE * inside:
        return None
    return low, high


def values_in_use(samples: NDArray[Any]) -> NDArray[Any]:
    """Return the distinct values of some samples, sorted."""
    low, high = int(samples.min()), int(samples.max())
    if high - low >= WIDE:
        return np.unique(samples)
    used = np.zeros(high - low + 1, np.bool_)
    flat = samples.reshape(-1)
    for start in range(0, len(flat), BLOCK):
        used[np.subtract(flat[start : start + BLOCK], low, dtype=np.intp)] = True
    return (np.flatnonzero(used) + low).astype(samples.dtype)


def pack_table(table: NDArray[Any]) -> NDArray[Any]:
    """Return the first value, then the difference of each other from the one before."""
    return np.append(table[:1], np.diff(table)).astype(table.dtype)


def unpack_table(packed: NDArray[Any]) -> NDArray[Any]:
    """Invert `pack_table`."""
    return np.cumsum(packed, dtype=packed.dtype)
