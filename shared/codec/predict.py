"""Lossless prediction of samples in time and across channels, in integers only.

All arithmetic is modular two's complement on fixed widths, the same on the way in and on the way
out, so any samples and any model come back bit for bit: an overflow costs bits, never exactness.
Floating point is used only to *fit* models, never to apply them. FORMAT.md gives the equations.

Arrays of samples are channel-major here: `(channels, samples)`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.codec.workspace import WORKSPACE

Ints = NDArray[Any]

#: From here on a recording has many channels: enough to decode in parallel across them.
MANY_CHANNELS = 32
#: Samples of a tile of a transposition.
TILE = 512


@dataclass(frozen=True)
class TimeModel:
    """How a sample is predicted from the samples before it in the same channel.

    Attributes
    ----------
    order : int
        0 when the taps weigh samples, 1 when they weigh first differences.
    shift : int
        Fraction bits of the taps.
    wide : bool
        Whether products are summed in twice the sample's width.
    taps : array of int16, shape (channels, p)
        Weights of the last p values, the most recent first.
    segment : int
        Samples per independent segment.
    wrapping : bool
        Whether the inverse of a wide model must reduce every sample to its width.
    warm : array of int16, shape (channels, p (p - 1) / 2) or (channels, 0)
        Weights where a segment has fewer than p values yet: the one of its first value, the two
        of its first two, and so on. Without them, values before a segment are made up.
    """

    order: int
    shift: int
    wide: bool
    taps: NDArray[np.int16]
    segment: int
    wrapping: bool = False
    warm: NDArray[np.int16] = field(default_factory=lambda: np.zeros((0, 0), np.int16))

    def stages(self) -> list[tuple[int, int | None, NDArray[np.int16]]]:
        """Return which taps hold in a segment from which step on, and up to which."""
        width = self.taps.shape[1]
        stages: list[tuple[int, int | None, NDArray[np.int16]]] = []
        first, used = 1, 0
        if self.warm.size:
            first += self.order  # there is no difference before the second sample
            for count in range(1, width):
                taps = np.zeros_like(self.taps)
                taps[:, :count] = self.warm[:, used : used + count]
                stages.append((first, first + 1, taps))
                first, used = first + 1, used + count
        return [*stages, (first, None, self.taps)]


@dataclass(frozen=True)
class SpaceModel:
    """How the residual of a channel is predicted from channels already decoded.

    Attributes
    ----------
    shift : int
        Fraction bits of the weights.
    counts : array of uint8, shape (channels,)
        Number of terms of each channel.
    distances : array of uint16, shape (terms,)
        How many channels back a term looks.
    lags : array of int8, shape (terms,)
        Samples ahead (positive) or behind (negative) a term looks.
    weights : array of int8, shape (terms,)
        Weight of each term in units of 2**-shift.
    """

    shift: int
    counts: NDArray[np.uint8]
    distances: NDArray[np.uint16]
    lags: NDArray[np.int8]
    weights: NDArray[np.int8]


def same(one: TimeModel | SpaceModel, other: TimeModel | SpaceModel) -> bool:
    """Tell whether two models of a kind say the same."""
    return all(
        np.array_equal(getattr(one, each.name), getattr(other, each.name)) for each in fields(one)
    )


# ---- time -------------------------------------------------------------------------------------


def time_residual(rows: Ints, model: TimeModel) -> bool:
    """Replace each sample by its difference from the prediction, in place.

    Parameters
    ----------
    rows : array, shape (channels, samples)
    model : TimeModel

    Returns
    -------
    bool
        Whether a wide model wrapped somewhere, so that its inverse must wrap at every step.
    """
    return any(list(row_residuals(rows, model)))


def row_residuals(rows: Ints, model: TimeModel) -> Iterator[bool]:
    """Do as `time_residual`, one row each time that the next is asked for.

    What else is done to a row then finds it in the cache.

    Yields
    ------
    bool
        Whether a wide model wrapped in the row.
    """
    width = model.taps.shape[1]
    if width == 0 or (width == 1 and model.order == 0 and not model.wide):
        wrapped = _whole_row_residuals(rows, model)
    else:
        wrapped = _segment_residuals(rows, model)
    heads = rows[:, :: model.segment].copy()
    for row, kept, wraps in zip(rows, heads, wrapped, strict=True):
        row[:: model.segment] = kept
        yield wraps


def _whole_row_residuals(rows: Ints, model: TimeModel) -> Iterator[bool]:
    """Residual of the common cases, as if there were no segments."""
    scratch = np.empty(rows.shape[1] - 1, rows.dtype)
    shift = rows.dtype.type(model.shift)
    for channel, row in enumerate(rows):
        if model.taps.shape[1]:
            np.multiply(row[:-1], model.taps[channel, 0], out=scratch)
            np.right_shift(scratch, shift, out=scratch)
            np.subtract(row[1:], scratch, out=row[1:])
        elif model.order == 1:
            scratch[:] = row[:-1]
            np.subtract(row[1:], scratch, out=row[1:])
        yield False


def _segment_residuals(samples: Ints, model: TimeModel) -> Iterator[bool]:
    """Residual with several taps: each row as segments, with their history before them."""
    length = samples.shape[1]
    segment, width = model.segment, model.taps.shape[1]
    count = -(-length // segment)
    narrow, dtype = samples.dtype, sum_type(model, samples.dtype)
    limits = np.iinfo(narrow)
    room = np.iinfo(dtype).max - (limits.max << model.shift)
    history = np.zeros((count, width + segment), dtype)
    padded = np.zeros(count * segment, narrow)
    rows = padded.reshape(count, segment)
    total = np.empty((count, segment), dtype)
    product = np.empty((count, segment), dtype)
    stages = [(first, taps.astype(dtype)) for first, _, taps in model.stages()]
    for channel, row in enumerate(samples):
        padded[:length] = row
        padded[length:] = row[-1]
        values = history[:, width:]
        if model.order == 0:
            values[:] = rows
            history[:, :width] = rows[:, :1]
        else:
            values[:, 1:] = rows[:, 1:] - rows[:, :-1]
            values[:, 0] = 0
        taps = stages[-1][1][channel]
        np.multiply(history[:, width - 1 : -1], taps[0], out=total)
        for lag in range(2, width + 1):
            np.multiply(history[:, width - lag : -lag], taps[lag - 1], out=product)
            np.add(total, product, out=total)
        for step, some in stages[:-1]:
            if step < segment:
                known = values[:, step - min(step, width) : step][:, ::-1]
                weighed = known * some[channel, : known.shape[1]]
                total[:, step] = weighed.sum(axis=1, dtype=dtype)
        wraps = False
        if model.wide:
            peak = max(int(values.max()), -int(values.min()))
            load = max(int(np.abs(some[channel]).sum()) for _, some in stages)
            wraps = load * peak > room
        np.right_shift(total, model.shift, out=total)
        np.subtract(values, total, out=total)
        if model.wide:
            wraps |= bool(total.min() < limits.min or total.max() > limits.max)
        row[:] = total.reshape(-1)[:length]
        yield wraps


def sum_type(model: TimeModel, dtype: np.dtype) -> np.dtype:
    """Return the type in which products of taps are summed."""
    return np.dtype(f"i{2 * dtype.itemsize}") if model.wide else dtype


def transpose_into(source: NDArray[Any], out: NDArray[Any]) -> None:
    """Write the transpose, in tiles that stay in the cache."""
    if source.shape[0] > source.shape[1]:
        for start in range(0, source.shape[0], TILE):
            out[:, start : start + TILE] = source[start : start + TILE].T
    else:
        for start in range(0, source.shape[1], TILE):
            stop = min(start + TILE, source.shape[1])
            out[start:stop] = source[:, start:stop].T


# ---- channels ---------------------------------------------------------------------------------


def lag_reach(model: SpaceModel) -> int:
    """Return how many samples away a sample can depend on others, at most.

    A chain of neighbours goes through no channel twice, and each lag is one sample.
    """
    channels = np.repeat(np.arange(len(model.counts)), model.counts)
    return len(np.unique(channels[model.lags != 0]))


def neighbour_sums(residual: Ints, model: SpaceModel) -> Callable[[int], Ints | None]:
    """Return what predicts the residual of a channel from the rows before it in `residual`.

    Its result holds until it is called again; for a channel without neighbours it is None. All
    views are made once, for the calls are thousands, of microseconds each.
    """
    total, product = WORKSPACE.rows("scratch", 2, residual.shape[1], residual.dtype)
    rows, behind, ahead = list(residual), list(residual[:, :-1]), list(residual[:, 1:])
    early, early_product, late, late_product = total[:-1], product[:-1], total[1:], product[1:]
    ends = np.cumsum(model.counts, dtype=np.int64).tolist()
    counts, lags = model.counts.tolist(), model.lags.tolist()
    distances = model.distances.tolist()
    # An array without axes is an operand that needs no conversion.
    weights = [np.array(weight) for weight in model.weights.astype(residual.dtype)]
    shift = np.array(model.shift, residual.dtype)
    multiply, add, right_shift = np.multiply, np.add, np.right_shift

    def predict(channel: int) -> Ints | None:
        fresh = True
        for term in range(ends[channel] - counts[channel], ends[channel]):
            neighbour, lag, weight = channel - distances[term], lags[term], weights[term]
            if lag == 0 and fresh:
                multiply(rows[neighbour], weight, total)
            elif lag == 0:
                multiply(rows[neighbour], weight, product)
                add(total, product, total)
            else:
                if fresh:
                    total.fill(0)
                if lag > 0:
                    multiply(ahead[neighbour], weight, early_product)
                    add(early, early_product, early)
                else:
                    multiply(behind[neighbour], weight, late_product)
                    add(late, late_product, late)
            fresh = False
        return None if fresh else right_shift(total, shift, total)

    return predict


def predict_row(row: Ints, total: Ints | None, out: Ints) -> None:
    """Write to `out` what is left of a row after prediction by the sum over its neighbours."""
    if total is None:
        out[:] = row
    else:
        np.subtract(row, total, out=out)
