"""Lossless prediction of samples in time and across channels, in integers only.

All arithmetic is modular two's complement on fixed widths, the same on the way in and on the way
out, so any samples and any model come back bit for bit: an overflow costs bits, never exactness.
Floating point is used only to *fit* models, never to apply them. FORMAT.md gives the equations.

Arrays of samples are channel-major here: `(channels, samples)`.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.codec.workspace import WORKSPACE

Ints = NDArray[Any]

#: From here on a recording has many channels: enough to decode in parallel across them.
MANY_CHANNELS = 32
#: Samples of a tile of a transposition.
TILE = 1024
#: Steps of the recursion made on what is in the cache.
STEPS = 64


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


class Piece(NamedTuple):
    """Residuals to be restored, and where the samples go.

    Attributes
    ----------
    residual : array, shape (channels, samples)
        Whole segments; only the last may be short.
    out : C-contiguous array, shape (samples wanted, channels)
        Receives the samples from `skip` on.
    skip : int
    """

    residual: Ints
    out: Ints
    skip: int


def time_restore(pieces: Sequence[Piece], model: TimeModel) -> None:
    """Invert `time_residual`, from channel-major residuals to time-major samples."""
    if not model.wide and all(_of_many(piece, model) for piece in pieces):
        _restore_many(pieces, model)
    else:
        for piece in pieces:
            _restore_few(piece, model)


def _of_many(piece: Piece, model: TimeModel) -> bool:
    """Tell whether the channels alone make long rows, or there is but one segment."""
    channels, length = piece.residual.shape
    return channels >= MANY_CHANNELS or length <= model.segment


def _restore_few(piece: Piece, model: TimeModel) -> None:
    """Invert any model: gather (channel, segment) lanes, so that one step is one row of these."""
    residual, out, skip = piece
    channels, length = residual.shape
    segment = model.segment
    count = -(-length // segment)
    past = max(model.taps.shape[1], 1)
    lanes = np.zeros((past + segment, channels, count), sum_type(model, residual.dtype))
    steps = lanes[past:]
    whole = length // segment
    body = residual[:, : whole * segment].reshape(channels, whole, segment)
    steps[:, :, :whole] = body.transpose(2, 0, 1)
    if whole < count:
        steps[: length - whole * segment, :, whole] = residual[:, whole * segment :].T
    heads = steps[0].copy()
    if model.order == 0:
        lanes[:past] = heads
    else:
        steps[0] = 0  # the recursion is over differences, and these start at the head
    for start, stop, taps in model.stages():
        stage = lanes[: past + (segment if stop is None else min(stop, segment))]
        if model.wide:
            _recur_wide(stage, past + start, taps, model)
        else:
            rows = stage.reshape(len(stage), -1)
            _recur(rows, past + start, model.shift, np.repeat(taps.T, count, axis=1))
    if model.order == 1:
        steps[0] = heads
        accumulate(steps.reshape(segment, -1))
    first, last = skip // segment, -(-(skip + len(out)) // segment)
    wanted = steps[:, :, first:last].transpose(2, 0, 1).astype(out.dtype, order="C", copy=False)
    skip -= first * segment
    out[:] = wanted.reshape(-1, channels)[skip : skip + len(out)]


def _restore_many(pieces: Sequence[Piece], model: TimeModel) -> None:
    """Invert a narrow model over many channels, some steps of all segments at a time.

    What is worked on stays in the processor's cache from the transposition to the result.
    """
    segment, width = model.segment, model.taps.shape[1]
    channels = len(model.taps)
    sources: list[Ints] = []  # of each segment
    inner: list[tuple[slice, Ints]] = []  # segments wanted whole, and where they go
    edges: list[tuple[int, Ints, int]] = []  # others, where they go, and at which sample
    for residual, out, skip in pieces:
        before, length = len(sources), residual.shape[1]
        sources += [residual[:, at : at + segment] for at in range(0, length, segment)]
        # Of the segments wanted, the whole ones lie evenly in `out`.
        first = -(-skip // segment)
        last = max(first, (skip + len(out)) // segment)
        even = out[first * segment - skip : last * segment - skip]
        inner.append((slice(before + first, before + last), even.reshape(-1, segment, channels)))
        edges += [
            (before + place, out, place * segment - skip)
            for place in {first - 1, last} & set(range(len(sources) - before))
        ]
    past = max(width, 1)
    lanes = np.zeros((past + STEPS, len(sources) * channels), pieces[0].residual.dtype)
    stages = [(first, stop, np.tile(taps.T, len(sources))) for first, stop, taps in model.stages()]
    level = lanes[0].copy()
    for begin in range(0, segment, STEPS):
        count = min(STEPS, segment - begin)
        steps = lanes[past : past + count].reshape(count, len(sources), channels)
        for place, source in enumerate(sources):
            block = source[:, begin : begin + count]
            steps[: block.shape[1], place] = block.T
        if begin == 0 and model.order == 0:
            lanes[:past] = lanes[past]
        elif begin == 0:
            level[:], lanes[past] = lanes[past], 0
        for first, stop, taps in stages if begin == 0 else [(0, None, stages[-1][2])]:
            end = past + (count if stop is None else min(stop, count))
            _recur(lanes[:end], past + first, model.shift, taps)
        history = lanes[count : count + past].copy()
        if model.order == 1:
            np.add(lanes[past], level, out=lanes[past])
            accumulate(lanes[past : past + count])
            level[:] = lanes[past + count - 1]
        for places, target in inner:
            target[:, begin : begin + count] = steps[:, places].transpose(1, 0, 2)
        for place, out, start in edges:
            low, high = max(start + begin, 0), min(start + begin + count, len(out))
            if low < high:
                out[low:high] = steps[low - start - begin : high - start - begin, place]
        lanes[:past] = history


def accumulate(rows: Ints) -> None:
    """Replace each row by the sum of the rows up to it; quicker than the library along rows."""
    add = np.add
    for before, now in pairwise(rows):
        add(before, now, now)


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


def _recur(lanes: Ints, first: int, shift_bits: int, taps: Ints) -> None:
    """Run the narrow recursion over rows of `lanes` from `first` on: residual in, values out.

    Calls are few and plain: there are thousands, of a microsecond each.
    """
    width = len(taps)
    if width == 0:
        return
    multiply, add, right_shift = np.multiply, np.add, np.right_shift
    shift, total = np.array(shift_bits, lanes.dtype), np.empty_like(lanes[0])
    if width == 1:
        tap = taps[0].astype(lanes.dtype)
        for before, now in pairwise(lanes[first - 1 :]):
            multiply(before, tap, total)
            right_shift(total, shift, total)
            add(now, total, now)
        return
    # The last values, oldest first, are one contiguous operand of one multiplication; its rows
    # are few, and sooner added one by one than by a reduction.
    reverse = np.ascontiguousarray(taps[::-1], lanes.dtype)
    products = np.empty_like(reverse)
    one, other, *others = products
    for index, now in enumerate(lanes[first:], first):
        multiply(lanes[index - width : index], reverse, products)
        add(one, other, total)
        for product in others:
            add(total, product, total)
        right_shift(total, shift, total)
        add(now, total, now)


def _recur_wide(lanes: Ints, first: int, taps: Ints, model: TimeModel) -> None:
    """Run the wide recursion over rows of `lanes` from `first` on.

    The residual enters the sum before the shift as one more tap: three calls per step. An
    overflow of the sum changes only bits that fall away with the reduction to the sample's width,
    and that is left out where the encoder found that nothing wraps.
    """
    width = taps.shape[1]
    weights = np.empty((width + 1, *lanes.shape[1:]), lanes.dtype)
    weights[:width] = taps.T[::-1, :, None]
    weights[width] = 1 << model.shift
    shift = np.array(model.shift, lanes.dtype)
    multiply, right_shift, reduce = np.multiply, np.right_shift, np.add.reduce
    products = np.empty_like(weights)
    total = np.empty(lanes.shape[1:], lanes.dtype)
    halves = total.view(np.dtype(f"i{lanes.itemsize // 2}"))
    reduced = halves[..., int(sys.byteorder == "big") :: 2]
    for now in range(first, len(lanes)):
        multiply(lanes[now - width : now + 1], weights, products)
        reduce(products, 0, out=total)
        if model.wrapping:
            right_shift(total, shift, total)
            lanes[now] = reduced
        else:
            right_shift(total, shift, lanes[now])


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
