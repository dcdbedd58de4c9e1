"""Lossless prediction of samples in time and across channels, in integers only.

All arithmetic is modular two's complement on fixed widths, the same on the way in and on the way
out, so any samples and any model come back bit for bit: an overflow costs bits, never exactness.
Floating point is used only to *fit* models, never to apply them. FORMAT.md gives the equations.

Arrays of samples are channel-major here: `(channels, samples)`.
"""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]

#: From here on a recording has many channels: enough to decode in parallel across them.
MANY_CHANNELS = 32
#: Samples of a tile of a transposition.
TILE = 1024
#: Rows of history kept by the recursion between moves to the front of its buffer.
HISTORY = 64


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
    """

    order: int
    shift: int
    wide: bool
    taps: NDArray[np.int16]
    segment: int
    wrapping: bool = False


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


# ---- time -------------------------------------------------------------------------------------


def time_residual(samples: Ints, model: TimeModel, out: Ints) -> bool:
    """Replace each sample by its difference from the prediction.

    Parameters
    ----------
    samples : array, shape (channels, samples)
    model : TimeModel
    out : array like `samples`
        Receives the residual; must not overlap `samples`.

    Returns
    -------
    bool
        Whether a wide model wrapped somewhere, so that its inverse must wrap at every step.
    """
    length = samples.shape[1]
    segment, width = model.segment, model.taps.shape[1]
    wraps = False
    if width == 0 or (width == 1 and model.order == 0 and not model.wide):
        # The common cases work on whole rows; the values at segment heads are replaced below.
        scratch = np.empty(length, samples.dtype)
        for channel, (row, residual) in enumerate(zip(samples, out, strict=True)):
            if model.order == 1:
                np.subtract(row[1:], row[:-1], out=residual[1:])
            elif width == 0:
                residual[:] = row
            else:
                np.multiply(row[:-1], model.taps[channel, 0], out=scratch[1:])
                np.right_shift(scratch[1:], model.shift, out=scratch[1:])
                np.subtract(row[1:], scratch[1:], out=residual[1:])
    else:
        wraps = _time_residual_segments(samples, model, out)
    out[:, ::segment] = samples[:, ::segment]
    return wraps


def _time_residual_segments(samples: Ints, model: TimeModel, out: Ints) -> bool:
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
    wraps = False
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
        taps = model.taps[channel].astype(dtype)
        np.multiply(history[:, width - 1 : -1], taps[0], out=total)
        for lag in range(2, width + 1):
            np.multiply(history[:, width - lag : -lag], taps[lag - 1], out=product)
            np.add(total, product, out=total)
        if model.wide:
            peak = max(int(values.max()), -int(values.min()))
            wraps |= int(np.abs(taps).sum()) * peak > room
        np.right_shift(total, model.shift, out=total)
        np.subtract(values, total, out=total)
        if model.wide:
            wraps |= bool(total.min() < limits.min or total.max() > limits.max)
        out[channel] = total.reshape(-1)[:length]
    return wraps


def time_restore(residual: Ints, model: TimeModel, out: Ints) -> None:
    """Invert `time_residual`, from channel-major residuals to time-major samples.

    Parameters
    ----------
    residual : array, shape (channels, samples)
    model : TimeModel
    out : C-contiguous array, shape (segments × segment, channels)
        Receives the samples; rows beyond the recording are padding without meaning.
    """
    channels, length = residual.shape
    segment = model.segment
    count = -(-length // segment)
    if not model.wide and (channels >= MANY_CHANNELS or count == 1):
        transpose_into(residual, out[:length])
        out[length:] = 0
        steps = out.reshape(count, segment, channels).transpose(1, 0, 2)
        _recur(steps, model, model.taps.T[:, None, :])
        return
    # Gather (channel, segment) lanes, so that one step of the recursion is one contiguous row.
    warm = model.taps.shape[1] if model.wide else 0
    lanes = np.zeros((warm + segment, channels, count), sum_type(model, residual.dtype))
    steps = lanes[warm:]
    whole = length // segment
    body = residual[:, : whole * segment].reshape(channels, whole, segment)
    steps[:, :, :whole] = body.transpose(2, 0, 1)
    if whole < count:
        steps[: length - whole * segment, :, whole] = residual[:, whole * segment :].T
    if model.wide:
        _recur_wide(lanes, model)
    else:
        _recur(steps, model, model.taps.T[:, :, None])
    out.reshape(count, segment, channels)[:] = steps.transpose(2, 0, 1)


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


def _recur(steps: Ints, model: TimeModel, taps: Ints) -> None:
    """Run the narrow recursion over the first axis of `steps`: residual in, samples out."""
    width, heads = len(taps), steps[0]
    if width == 0:
        if model.order == 1:
            for now in range(1, len(steps)):
                np.add(steps[now], steps[now - 1], out=steps[now])
        return
    dtype = steps.dtype
    shift = dtype.type(model.shift)
    total = np.empty(heads.shape, dtype)
    if width == 1 and model.order == 0:
        tap = np.ascontiguousarray(np.broadcast_to(taps[0], heads.shape))
        row = heads
        for now in range(1, len(steps)):
            np.multiply(row, tap, out=total)
            np.right_shift(total, shift, out=total)
            row = steps[now]
            np.add(row, total, out=row)
        return
    # A window of the history, oldest first, is one contiguous operand of one multiplication. The
    # history lives in a short buffer that stays in the cache.
    reverse = np.ascontiguousarray(np.broadcast_to(taps[::-1], (width, *heads.shape)))
    history = np.zeros((width + HISTORY, *heads.shape), dtype)
    if model.order == 0:
        history[:width] = heads
    products = np.empty((width, *heads.shape), dtype)
    end = width
    for now in range(1, len(steps)):
        if end == len(history):
            history[:width] = history[end - width :]
            end = width
        np.multiply(history[end - width : end], reverse, out=products)
        np.add.reduce(products, axis=0, out=total)
        np.right_shift(total, shift, out=total)
        value = history[end]
        np.add(steps[now], total, out=value)
        end += 1
        if model.order == 1:
            np.add(value, steps[now - 1], out=steps[now])
        else:
            steps[now] = value


def _recur_wide(lanes: Ints, model: TimeModel) -> None:
    """Run the wide recursion over rows of `lanes`, the first of which are free for the history.

    The residual enters the sum before the shift as one more tap: three calls per step. An
    overflow of the sum changes only bits that fall away with the reduction to the sample's width,
    and that is left out where the encoder found that nothing wraps.
    """
    width = model.taps.shape[1]
    if model.order == 0:
        lanes[:width] = lanes[width]
    heads = lanes[width].copy()
    if model.order == 1:
        lanes[width] = 0  # the recursion is over differences, and these start at the head
    taps = np.concatenate([model.taps.T[::-1], np.full((1, lanes.shape[1]), 0, np.int16)])
    weights = np.empty((width + 1, *lanes.shape[1:]), lanes.dtype)
    weights[:] = taps[:, :, None]
    weights[width] = 1 << model.shift
    shift = lanes.dtype.type(model.shift)
    products = np.empty_like(weights)
    total = np.empty(lanes.shape[1:], lanes.dtype)
    halves = total.view(np.dtype(f"i{lanes.itemsize // 2}"))
    reduced = halves[..., int(sys.byteorder == "big") :: 2]
    for now in range(width + 1, len(lanes)):
        np.multiply(lanes[now - width : now + 1], weights, out=products)
        np.add.reduce(products, axis=0, out=total)
        if model.wrapping:
            np.right_shift(total, shift, out=total)
            lanes[now] = reduced
        else:
            np.right_shift(total, shift, out=lanes[now])
    if model.order == 1:
        lanes[width] = heads
        np.cumsum(lanes[width:], axis=0, out=lanes[width:])


# ---- channels ---------------------------------------------------------------------------------


def space_terms(
    model: SpaceModel, dtype: np.dtype
) -> list[list[tuple[int, int, np.signedinteger]]]:
    """List the (distance, lag, weight) of each channel."""
    ends = np.cumsum(model.counts, dtype=np.int64)
    all_terms = list(
        zip(
            model.distances.tolist(),
            model.lags.tolist(),
            list(model.weights.astype(dtype)),
            strict=True,
        )
    )
    return [
        all_terms[end - count : end]
        for end, count in zip(ends, model.counts.tolist(), strict=True)
    ]


def lag_reach(model: SpaceModel) -> int:
    """Return how many samples away a sample can depend on others, through chains of lags."""
    if not model.lags.any():
        return 0
    reach: list[int] = []
    start = 0
    distances, lags = model.distances.tolist(), np.abs(model.lags).tolist()
    for channel, count in enumerate(model.counts.tolist()):
        own = range(start, start + count)
        reach.append(max((reach[channel - distances[i]] + lags[i] for i in own), default=0))
        start += count
    return max(reach)


def sum_terms(
    residual: Ints,
    channel: int,
    terms: list[tuple[int, int, np.signedinteger]],
    shift: int,
    scratch: Ints,
) -> Ints:
    """Return the prediction of a channel's residual from earlier channels, in `scratch`."""
    total, product = scratch
    fresh = True
    for distance, lag, weight in terms:
        row = residual[channel - distance]
        if lag == 0:
            np.multiply(row, weight, out=total if fresh else product)
            if not fresh:
                np.add(total, product, out=total)
        else:
            if fresh:
                total[:] = 0
            here, there = (slice(None, -1), slice(1, None))[::lag]
            np.multiply(row[there], weight, out=product[here])
            np.add(total[here], product[here], out=total[here])
        fresh = False
    np.right_shift(total, total.dtype.type(shift), out=total)
    return total


def predict_row(
    residual: Ints,
    channel: int,
    terms: list[tuple[int, int, np.signedinteger]],
    shift: int,
    scratch: Ints,
    out: Ints,
) -> None:
    """Write to `out` what is left of a channel's residual after prediction from its neighbours."""
    if terms:
        total = sum_terms(residual, channel, terms, shift, scratch)
        np.subtract(residual[channel], total, out=out)
    else:
        out[:] = residual[channel]
