"""Samples as signed integers as narrow as they can be, and back: FORMAT.md, section 2.5."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.codec.errors import FormatError
from shared.codec.predict import Ints, transpose_into
from shared.codec.workspace import WORKSPACE

DIRECT, SHIFTED, TABLE, TABLES, STEPS = range(5)
#: Kinds by which samples are coded by rank.
BY_RANK = (TABLE, TABLES, STEPS)

#: Values a table can hold: their ranks must fit in 16 bits, with half a mind to compress.
MAX_TABLE = 1 << 15
#: Samples for each value of a table, at least: fewer do not pay for it.
SAMPLES_PER_VALUE = 8
#: Of the range most samples lie in, the share of values in use below which they are sparse.
SPARSE = 0.6
#: Channels that are looked at before tables for each are made, and the share that must ask for it.
VOTERS = 16
ASKING = 0.25
#: Steps that a gap in a table of one channel may have to be filled.
LONGEST_GAP = 64
#: A range as wide as this is too wide to mark the values in use in.
WIDE = 1 << 16
#: Samples that are looked up at a time: their places stay in the cache.
BLOCK = 1 << 16


@dataclass(frozen=True)
class Tables:
    """Values by rank.

    Attributes
    ----------
    values : array
        Sorted values, channel by channel.
    lengths : array
        How many of them each channel has, or how many there are for all of them.
    kind : int
        `TABLE`, `TABLES`, or `STEPS` where the values are steps from sample to sample.
    """

    values: NDArray[Any]
    lengths: NDArray[np.int64]
    kind: int

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where the values of each channel start."""
        return np.cumsum(self.lengths) - self.lengths

    @classmethod
    def unpack(cls, packed: NDArray[Any], lengths: NDArray[np.int64], kind: int) -> "Tables":
        """Invert `packed`."""
        tables = cls(np.zeros_like(packed), lengths, kind)
        starts, firsts = tables.starts, packed[: len(lengths)]
        later = np.ones(len(packed), np.bool_)
        later[starts] = False
        tables.values[later] = packed[len(lengths) :]
        np.cumsum(tables.values, dtype=packed.dtype, out=tables.values)
        np.add(tables.values, np.repeat(firsts - tables.values[starts], lengths), tables.values)
        return tables

    def packed(self) -> NDArray[Any]:
        """Return the first value of each table, then how far each other is from that before."""
        starts = self.starts
        return np.append(self.values[starts], np.delete(np.diff(self.values), starts[1:] - 1))

    @property
    def middles(self) -> NDArray[np.int64]:
        """The rank that is coded as 0, of each channel."""
        return self.lengths // 2


def prepare(samples: NDArray[Any], tables: Tables | None, base: int = 0) -> tuple[int, int, Ints]:
    """Bring samples to channel-major signed integers, as narrow as they can be.

    A `base` that narrow integers can count from is kept.

    Returns how that was done (`DIRECT`, `SHIFTED`, or the kind of the tables), the base, and the
    rows.
    """
    length, channels = samples.shape
    narrow = np.dtype(np.int16)
    if tables is not None:
        rows = WORKSPACE.rows("rows", channels, length, narrow)
        if tables.kind == TABLES:
            _rank_by_channel(samples, tables, rows)
            return TABLES, 0, rows
        table = tables.values
        middle = len(table) // 2
        if samples.dtype.itemsize == 2:
            ranks = np.zeros(1 << 16, np.int16)
            ranks[table.view(np.uint16)] = np.arange(-middle, len(table) - middle)
            transpose_into(ranks[np.ascontiguousarray(samples).view(np.uint16)], rows)
        else:
            rows[:] = (np.searchsorted(table, samples) - middle).T
        return tables.kind, 0, rows
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


def _rank_by_channel(samples: NDArray[Any], tables: Tables, rows: Ints) -> None:
    """Write the ranks of samples in the table of their channel."""
    pieces = zip(tables.starts, tables.lengths, tables.middles, strict=True)
    for column, out, (start, count, middle) in zip(_columns(samples), rows, pieces, strict=True):
        table = tables.values[start : start + count].astype(np.int64)
        if table[-1] - table[0] >= WIDE:
            out[:] = np.searchsorted(table, column) - middle
            continue
        ranks = np.empty(table[-1] - table[0] + 1, np.int16)
        ranks[table - table[0]] = np.arange(-middle, count - middle)
        np.take(ranks, np.subtract(column, table[0], dtype=np.intp), out=out, mode="clip")


def _columns(samples: NDArray[Any]) -> NDArray[Any]:
    """Return the samples of each channel together, in memory that is used again."""
    length, channels = samples.shape
    columns = WORKSPACE.rows("columns", channels, length, samples.dtype)
    transpose_into(samples, columns)
    return columns


def restore(
    samples: Ints, kind: int, base: int, tables: Tables | None, dtype: np.dtype
) -> NDArray[Any]:
    """Invert `prepare`, but for the transposition."""
    if tables is not None:
        found = _look_up(samples, tables)
        return np.cumsum(found, axis=0, dtype=dtype, out=found) if kind == STEPS else found
    if kind == SHIFTED:
        wide = samples.astype(np.int64) + base
        return wide.astype(dtype)
    if dtype == np.uint16:
        np.bitwise_xor(samples, np.int16(-32768), out=samples)
    return samples.view(dtype)


def _look_up(samples: Ints, tables: Tables) -> NDArray[Any]:
    """Return the values that have these ranks."""
    channels = samples.shape[1]
    step = channels * max(1, min(len(samples), BLOCK // channels))
    # What holds for each channel is laid out as samples are: few channels make no row to speak of.
    times = step // len(tables.lengths)
    low = np.tile(-tables.middles, times).astype(samples.dtype)
    last = np.tile(tables.lengths - tables.middles - 1, times).astype(samples.dtype)
    zeros = np.tile(tables.starts + tables.middles, times)
    flat, places = samples.reshape(-1), np.empty(step, np.intp)
    found = np.empty(len(flat), tables.values.dtype)
    for start in range(0, len(flat), step):
        ranks = flat[start : start + step]
        size = len(ranks)
        if np.any(ranks < low[:size]) or np.any(ranks > last[:size]):
            raise FormatError("a rank lies outside the table of values")
        np.add(ranks, zeros[:size], out=places[:size])
        # All places are known to be inside: to clip them only spares a second check.
        np.take(tables.values, places[:size], out=found[start : start + size], mode="clip")
    return found.reshape(samples.shape)


def sparse_values(samples: NDArray[Any], pieces: NDArray[Any], kind: int = TABLE) -> Tables | None:
    """Return the values in use when they leave most of their range unused.

    Converters of few bits are often stored stretched to 16: the values in use are then few, and
    their ranks code much shorter than they do. Some `pieces` decide whether to look closer.
    """
    bounds = _sparse_range(pieces[:: max(1, pieces.size >> 18)])
    if bounds is None:
        return None
    low, high = bounds
    table = one_table(samples, kind)
    if table is None or samples.size < SAMPLES_PER_VALUE * len(table.values):
        return None
    within = np.count_nonzero((table.values >= low) & (table.values <= high))
    return table if within <= SPARSE * (high - low + 1) else None


def sparse_channels(rows: Ints) -> bool:
    """Tell whether channels may leave most of their range unused, each in its own way.

    Parameters
    ----------
    rows : array, shape (channels, samples)
        Pieces of a recording as `prepare` makes them: ranks, where all share a table.
    """
    some = rows[:: max(1, len(rows) // VOTERS)]
    asking = sum(_sparse_range(row) is not None for row in some)
    return len(rows) > 1 and asking >= ASKING * len(some)


def _sparse_range(pieces: NDArray[Any]) -> tuple[int, int] | None:
    """Return where nine tenths of some samples lie if they are worth a table of their values."""
    if pieces.size < 3:
        return None
    some, counts = _count_values(pieces)
    if len(some) < 3:
        return None
    below = np.cumsum(counts)
    low, high = some[np.searchsorted(below, below[-1] * np.array([0.05, 0.95]))].tolist()
    inside = np.count_nonzero((some >= low) & (some <= high))
    span = high - low + 1
    if span < 16 or inside > SPARSE * span or pieces.size < SAMPLES_PER_VALUE * inside:
        return None
    return low, high


def tables_of(samples: NDArray[Any], kind: int) -> Tables | None:
    """Return the tables of a kind for some samples, or nothing if their values are too many.

    For `STEPS` give the steps, not the samples.
    """
    if kind in (TABLE, STEPS):
        return one_table(samples, kind)
    return table_per_channel(samples) if kind == TABLES else None


def one_table(samples: NDArray[Any], kind: int = TABLE) -> Tables | None:
    """Return the values in use, or nothing if they are too many for a table."""
    table = values_in_use(samples)
    return Tables(table, np.array([len(table)]), kind) if len(table) <= MAX_TABLE else None


def steps_of(samples: NDArray[Any]) -> NDArray[Any]:
    """Return each sample less the one before it in its channel; the first stays as it is."""
    steps = samples.copy()
    np.subtract(samples[1:], samples[:-1], out=steps[1:])
    return steps


def may_have_sparse_steps(pieces: NDArray[Any]) -> bool:
    """Tell whether steps may leave most of their range unused, where the values do not.

    So it is with stretched samples to which something slow was added.
    """
    some = pieces[:, :: max(1, pieces.shape[1] // VOTERS)]
    return some.dtype.itemsize == 2 and _sparse_range(np.diff(some, axis=0)) is not None


def table_per_channel(samples: NDArray[Any]) -> Tables | None:
    """Return the values in use of each channel, or nothing if they are too many for tables.

    Gaps are filled with values like those beside them: ranks then grow evenly with values, and the
    steps of a table are nearly all the same.
    """
    room, tables = samples.size // SAMPLES_PER_VALUE, []
    for column in _columns(samples):
        table = values_in_use(column)
        room -= len(table)
        if room < 0 or len(table) > MAX_TABLE:
            return None
        tables.append(_fill_gaps(table, min(len(samples), MAX_TABLE)))
    lengths = np.array([len(table) for table in tables])
    return Tables(np.concatenate(tables), lengths, TABLES)


def _fill_gaps(table: NDArray[Any], most: int) -> NDArray[Any]:
    """Return a table with gaps of a few steps filled, if it then has not too many values."""
    gaps = np.diff(table.astype(np.int64))
    if not len(gaps):
        return table
    counts = np.maximum(1, np.rint(gaps / np.sort(gaps)[len(gaps) // 2]).astype(np.int64))
    counts[counts > LONGEST_GAP] = 1
    total = int(counts.sum())
    if total >= most:
        return table
    nth = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    starts, gaps, counts = (np.repeat(each, counts) for each in (table[:-1], gaps, counts))
    return np.append(starts + nth * gaps // counts, table[-1]).astype(table.dtype)


def values_in_use(samples: NDArray[Any]) -> NDArray[Any]:
    """Return the different values of some samples, sorted."""
    low, high = int(samples.min()), int(samples.max())
    if high - low >= WIDE:
        return np.unique(samples)
    used = np.zeros(high - low + 1, np.bool_)
    flat = samples.reshape(-1)
    for start in range(0, len(flat), BLOCK):
        used[np.subtract(flat[start : start + BLOCK], low, dtype=np.intp)] = True
    return (np.flatnonzero(used) + low).astype(samples.dtype)


def _count_values(
    samples: NDArray[Any],
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the different values, sorted, and how often each occurs."""
    low, high = int(samples.min()), int(samples.max())
    if high - low >= WIDE:
        return np.unique(samples, return_counts=True)
    counts = np.bincount(np.subtract(samples.reshape(-1), low, dtype=np.intp))
    used = np.flatnonzero(counts)
    return (used + low).astype(samples.dtype), counts[used]
